#!/bin/sh
# Runs every test of the workspace in a virtual machine: the same programs that run
# natively, built for ARCH. Results go to build/results/ARCH-KERNEL.
#
#   suite.sh ARCH [KERNEL] [TEST-FILTER...]    KERNEL `systemd`: the stable one, with a Debian root
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${KRUN_BUILD:-$top/build}
arch=$1 kernel=${2:-stable}
shift
[ $# -eq 0 ] || shift
filter=$*

root=
root_kernel=
if [ "$kernel" = systemd ]; then root=systemd root_kernel=stable; fi
results=$build/results/$arch-$kernel
stage=$build/vm/$arch/stage-$kernel
rm -rf "$results" "$stage"
mkdir -p "$results" "$stage/tests"
cd "$top"

# Test programs unwind in any case: one build of the dependencies serves both.
export CARGO_PROFILE_DEV_PANIC=unwind
"$here/cross.sh" "$arch" cargo build --workspace --bins
strip=strip
[ "$arch" = "$(uname -m)" ] || strip=$build/cross-$arch/bin/$arch-linux-gnu-strip
bins=$top/$("$here/target.sh" "$arch" dir)/debug

# The test programs by the name of their crate and target, stripped for the way into the guest.
"$here/cross.sh" "$arch" cargo test --workspace --no-run --message-format=json > "$results/build.json"
jq -r 'select(.profile.test == true and .executable != null)
       | [.executable, (.package_id | sub(".*/"; "") | sub("#.*"; "")), .target.name + "-" + .target.kind[0]] | @tsv' "$results/build.json" |
while read -r program package name; do
    "$strip" -o "$stage/tests/$package-$name" "$program"
done
for program in krun containerd-shim-krun-v2 probe; do
    "$strip" -o "$stage/$program" "$bins/$program"
done

# The processor question: the same bundle for both architectures.
mkdir -p "$stage/processors" "$stage/fixtures"
case $arch in x86_64) foreign=aarch64 deb_arch=amd64 ;; *) foreign=x86_64 deb_arch=arm64 ;; esac
for a in x86_64 aarch64; do
    cp "$("$here/busybox.sh" "$a")" "$stage/fixtures/busybox-$a"
    KRUN_FIXTURE_CACHE=$stage/fixtures sh "$top/rootfs-fixtures/make-bundle.sh" busybox "$stage/processors/bundle-$a" "$a"
done
emulator=$build/vm/$arch/qemu-user
if [ ! -e "$emulator/usr/bin/qemu-$foreign-static" ]; then
    "$here/debs.sh" only host "$deb_arch" "$emulator" qemu-user-static
fi
cp -L "$emulator/usr/bin/qemu-$foreign-static" "$stage/processors/qemu-user"

cat > "$stage/suite" <<GUEST
export KRUN_UNDER_TEST=/krun/krun KRUN_SHIM_UNDER_TEST=/krun/containerd-shim-krun-v2 KRUN_PROBE=/krun/probe KRUN_BUSYBOX=/bin/busybox
export KRUN_TEST_TMP=/data/tmp TMPDIR=/data/tmp KRUN_TEST_SKIPS=/out/skips RUST_TEST_THREADS=${KRUN_VM_THREADS:-2}
export KRUN_SHIM_EXECS=100 KRUN_FAULTS_DIVIDED=20
export KRUN_TEST_SLOW=1 RUST_BACKTRACE=0
failed=0
for program in /krun/tests/*; do
    name=\${program##*/}
    echo "== \$name"
    \$program --list --format terse $filter 2>/dev/null | sed -n "s/: test\$/ \$name/p" >> /out/tests
    (cd /data/tmp && \$program --color never $filter) || failed=1
done
echo "== processors"
${KRUN_VM_PROCESSORS:-sh /krun/processors.sh} || failed=1
exit \$failed
GUEST

# A Debian root has these programs already.
tools=
[ -n "$root" ] || tools=$("$here/tools.sh" "$arch")
status=0
"$here/run.sh" --arch "$arch" ${root:+--root "$root"} ${tools:+--add "$tools/.:/"} --kernel "${root_kernel:-$kernel}" --memory "${KRUN_VM_MEMORY:-3072}" \
    --add "$stage/krun" --add "$stage/containerd-shim-krun-v2" --add "$stage/probe" \
    --add "$here/processors.sh" --add "$stage/processors" --add "$stage/tests" --add "$stage/suite" --add "$top/src:$top/src" \
    --add "$top/rootfs-fixtures:$top/rootfs-fixtures" --add "$stage/krun:$bins/krun" \
    --timeout "${KRUN_VM_TIMEOUT:-2400}" --idle "${KRUN_VM_IDLE:-300}" \
    --out "$results" --console "$results/log" --cmd 'sh /krun/suite' || status=$?
"$here/report.sh" one "$results" || status=1
exit "$status"
