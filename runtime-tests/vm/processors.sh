#!/bin/sh
# The processor question, asked inside a virtual machine: one bundle definition, two
# architectures. Leaves this machine's plan in /out/plan.json, to be compared with
# the other one's. Prints a closing line that report.sh counts.
#
# In /krun/processors: bundle-x86_64, bundle-aarch64 (the same config.json) and
# qemu-user, an emulator of the foreign processor.
set -u

here=$(uname -m)
case $here in
x86_64) foreign=aarch64 said=x86-64 ;;
*) foreign=x86_64 said=aarch64 ;;
esac
work=/data/processors
rm -rf $work
mkdir -p $work
cp -a /krun/processors/bundle-$here $work/own
cp -a /krun/processors/bundle-$foreign $work/foreign
cd $work || exit 1
passed=0 failed=0

check() {
    name=$1
    shift
    echo "processors::$name" >> /out/tests-processors
    if "$@"; then
        passed=$((passed + 1))
        echo "test processors::$name ... ok"
    else
        failed=$((failed + 1))
        echo "test processors::$name ... FAILED"
        sed 's/^/    /' $work/out $work/err 2>/dev/null
    fi
}
run() { krun run "$1" > $work/out 2> $work/err; }

own_runs() { run "$work/own/" && grep -q "$here" $work/out; }

# Refused before anything starts, and in words.
foreign_is_refused() {
    if run "$work/foreign/"; then return 1; fi
    [ ! -s $work/out ] && grep -qi "$foreign\|$(echo $foreign | tr _ -)" $work/err &&
        grep -qi "this host is \($here\|$said\)" $work/err && [ -z "$(krun list -q)" ]
}

foreign_is_refused_by_check() {
    if krun check "$work/foreign/" > $work/out 2> $work/err; then return 1; fi
    cat $work/out $work/err | grep -qi "$foreign\|$(echo $foreign | tr _ -)"
}

plan_is_made() { krun plan --format json "$work/own/" > /out/plan.json 2> $work/err && [ -s /out/plan.json ]; }

# ELF header up to e_machine, as binfmt_misc(5) wants it; `F` opens the emulator now.
foreign_runs_with_an_interpreter() {
    case $foreign in
    x86_64) machine='\x3e' ;;
    *) machine='\xb7' ;;
    esac
    printf '%s' ":krun-foreign:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00$machine\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/krun/processors/qemu-user:F" \
        > /proc/sys/fs/binfmt_misc/register || return 1
    run "$work/foreign/"
    status=$?
    echo -1 > /proc/sys/fs/binfmt_misc/krun-foreign
    [ $status = 0 ] && grep -q "$foreign" $work/out
}

check own_rootfs_runs own_runs
check foreign_rootfs_is_refused_by_run foreign_is_refused
check foreign_rootfs_is_refused_by_check foreign_is_refused_by_check
check foreign_rootfs_runs_where_binfmt_has_an_interpreter foreign_runs_with_an_interpreter
check plan_is_made plan_is_made
echo "test result: $([ $failed = 0 ] && echo ok || echo FAILED). $passed passed; $failed failed; 0 ignored"
sed 's/$/ processors/' /out/tests-processors >> /out/tests
[ $failed = 0 ]
