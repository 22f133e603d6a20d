#!/bin/sh
# Runs the suite on each machine named, then reports the sum.
#
#   test-all.sh MACHINE...    native, ARCH-KERNEL (x86_64-stable, aarch64-newest …), ARCH-systemd,
#                             or ARCH-full: only the tests that need its drivers and SELinux
#
# MACHINE:FILTER[,FILTER] runs only the tests with a FILTER in their name there, and not the processor question.
# With `native` and more machines, a test that ran nowhere fails the whole.
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${KRUN_BUILD:-$top/build}
status=0 dirs=

native() {
    results=$build/results/native
    rm -rf "$results"
    mkdir -p "$results"
    cd "$top" || return 1
    KRUN_BUSYBOX=$("$here/busybox.sh" "$(uname -m)") || return 1
    KRUN_TEST_SKIPS=$results/skips
    CARGO_BUILD_TARGET=$("$here/target.sh" "$(uname -m)")
    KRUN_SHIM_UNDER_TEST=$top/target/$CARGO_BUILD_TARGET/debug/containerd-shim-krun-v2
    export KRUN_BUSYBOX KRUN_TEST_SKIPS CARGO_BUILD_TARGET KRUN_SHIM_UNDER_TEST
    # Test programs unwind in any case: one build of the dependencies serves both.
    export CARGO_PROFILE_DEV_PANIC=unwind
    cargo build --workspace --bins || return 1
    # The krun under test here aborts when a thread allocates between clone3 and the container's program.
    cargo build -p krun --features window --target-dir "$top/target/window" || return 1
    export KRUN_UNDER_TEST="$top/target/window/$CARGO_BUILD_TARGET/debug/krun"
    cargo test --workspace -- --list --format terse 2>/dev/null | sed -n 's/: test$//p' > "$results/tests"
    { cargo test --workspace --no-fail-fast 2>&1; echo $? > "$results/status"; } | tee "$results/log"
    return "$(cat "$results/status")"
}

# suite.sh with its arguments, its output kept for the report. A machine in which not one test ran (its
# packages did not come, its guest did not) is tried a second time: that says nothing of krun.
guest() {
    output=$build/results/$machine.output
    mkdir -p "$build/results"
    for try in first second; do
        { "$here/suite.sh" "$@" 2>&1; echo $? > "$output.status"; } | tee "$output"
        [ "$(cat "$output.status")" -ne 0 ] || return 0
        ! grep -q '^test result: ' "$build/results/$machine/log" 2>/dev/null || return 1
        [ "$try" = second ] || echo "=== $machine: no test ran, trying once more"
    done
    return 1
}

for machine; do
    echo "=== $machine"
    filter=
    case $machine in *:*) filter=$(echo "${machine#*:}" | tr , " ") machine=${machine%%:*} ;; esac
    case $machine in
    native) native || status=1 ;;
    *-full) KRUN_VM_PROCESSORS=true guest "${machine%-full}" full labels:: limits:: || status=1 ;;
    *) KRUN_VM_PROCESSORS=${filter:+true} guest "${machine%%-*}" "${machine#*-}" $filter || status=1 ;;
    esac
    dirs="$dirs $build/results/$machine"
done

# One bundle, two processors: the plan may differ in the documented parts only.
if [ -s "$build/results/x86_64-stable/plan.json" ] && [ -s "$build/results/aarch64-stable/plan.json" ]; then
    "$here/plans.sh" "$build/results/x86_64-stable/plan.json" "$build/results/aarch64-stable/plan.json" || status=1
fi

echo "=== report"
if [ $# -gt 1 ]; then
    # shellcheck disable=SC2086 # a list of directories
    "$here/report.sh" all $dirs || status=1
else
    # shellcheck disable=SC2086
    "$here/report.sh" one $dirs || status=1
fi
exit $status
