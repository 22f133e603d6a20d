#!/bin/sh
# Boots a virtual machine and runs a command in it as root, on a pure cgroup v2
# host with every controller. Exits with the command's status.
#
#   run.sh --arch ARCH [options] --cmd 'COMMAND'
#     --kernel stable|newest|full|SUITE   default stable; `full` has SELinux instead of AppArmor
#     --add HOST[:GUEST]   a file or directory to have inside; default under /krun
#     --on-disk DIR:GUEST  a large directory to have on the disk of a systemd root
#     --out DIR            unpack what the command left in /out here
#     --console FILE       keep the console's text here
#     --root systemd       boot a Debian with systemd instead of the small init
#     --shell              an interactive shell instead of a command
#     --memory MIB --cpus N --disk MIB --swap MIB
#     --timeout S          whole run, default 1500     --idle S   without output, default 240
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$(cd "$here/../.." && pwd)/build}
arch=$(uname -m) kernel=stable cmd= shell= out= console_copy= root= on_disk= memory=2048 cpus=2 disk=2048 swap=256
timeout=1500 idle=240
work=
die() { echo "run.sh: $*" >&2; exit 1; }

mkdir -p "$build/vm"
work=$(mktemp -d "$build/vm/run.XXXXXX")
qemu_pid= tail_pid=
cleanup() {
    [ -z "$tail_pid" ] || kill "$tail_pid" 2>/dev/null || true
    [ -z "$qemu_pid" ] || kill -9 "$qemu_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Copies HOST[:GUEST] into the payload.
add() {
    host=${1%%:*} guest=/krun/$(basename "${1%%:*}")
    case $1 in *:*) guest=${1#*:} ;; esac
    [ -e "$host" ] || die "no such file: $host"
    mkdir -p "$work/payload$(dirname "$guest")"
    cp -aH --reflink=auto "$host" "$work/payload$guest"
}

mkdir -p "$work/payload"
while [ $# -gt 0 ]; do
    case $1 in
    --shell) shell=1; shift; continue ;;
    esac
    [ $# -ge 2 ] || die "$1 needs a value"
    case $1 in
    --arch) arch=$2 ;; --kernel) kernel=$2 ;; --cmd) cmd=$2 ;; --add) add "$2" ;;
    --out) out=$2 ;; --console) console_copy=$2 ;; --root) root=$2 ;; --on-disk) on_disk=$2 ;; --memory) memory=$2 ;; --cpus) cpus=$2 ;; --disk) disk=$2 ;;
    --swap) swap=$2 ;; --timeout) timeout=$2 ;; --idle) idle=$2 ;;
    *) die "unknown option $1" ;;
    esac
    shift 2
done
[ -n "$cmd$shell" ] || die "--cmd or --shell is needed"

kernel_dir=$("$here/kernel.sh" "$arch" "$kernel")
base=$("$here/initramfs.sh" "$arch" "$kernel")
. "$here/qemu.sh"
find_qemu "$arch"

if [ "$kernel" = full ]; then
    KRUN_VM_APPEND="security=selinux enforcing=1 ${KRUN_VM_APPEND:-}"
    add "$("$here/policy.sh"):/selinux.policy"
fi
if [ -n "$shell" ]; then : > "$work/payload/shell-in-vm"; fi
if [ -n "$root" ]; then : > "$work/payload/boot-systemd"; fi
printf '%s\n' "$cmd" > "$work/payload/run-in-vm"
(cd "$work/payload" && find . | cpio -o -H newc -R 0:0 --quiet) > "$work/payload.cpio"
rm -rf "$work/payload"
cat "$base" "$work/payload.cpio" > "$work/initramfs"
rm "$work/payload.cpio"

truncate -s "${disk}M" "$work/data"
if [ -n "$root" ]; then
    files=$("$here/systemd.sh" "$arch")
    if [ -n "$on_disk" ]; then
        cp -al "$files" "$work/disk"
        cp -al "${on_disk%%:*}" "$work/disk${on_disk#*:}"
        files=$work/disk
    fi
    mke2fs -q -t ext4 -F -m 0 -E lazy_itable_init=1 -d "$files" "$work/data"
    rm -rf "$work/disk"
else
    mke2fs -q -t ext4 -F -m 0 -E lazy_itable_init=1 "$work/data"
fi
truncate -s 256M "$work/out"
truncate -s "${swap}M" "$work/swap"

case $arch in
x86_64) machine="-machine q35,accel=$accel" console=ttyS0 ;;
aarch64) machine="-machine virt,gic-version=3,accel=$accel" console=ttyAMA0 ;;
esac
drive() { echo "-drive file=$work/$1,if=none,format=raw,cache=unsafe,id=$1 -device virtio-blk-pci,drive=$1"; }

# shellcheck disable=SC2086 # options are words
start() {
    exec "$qemu" $qemu_options $machine -cpu "$cpu" -smp "$cpus" -m "$memory" -nodefaults -display none -no-reboot \
        -kernel "$kernel_dir/vmlinuz" -initrd "$work/initramfs" \
        -append "console=$console panic=-1 loglevel=3 quiet random.trust_cpu=on ${KRUN_VM_APPEND:-}" \
        -device virtio-rng-pci $(drive data) $(drive out) $(drive swap) "$@"
}

if [ -n "$shell" ]; then
    (start -serial mon:stdio)
    exit 0
fi

log=$work/console
: > "$log"
start -serial "file:$log" </dev/null 2>"$work/qemu.err" &
qemu_pid=$!
tail -s 0.2 --pid=$qemu_pid -n +1 -f "$log" | sed -u 's/\r//g' &
tail_pid=$!

began=$(date +%s) why=
while kill -0 "$qemu_pid" 2>/dev/null; do
    sleep 0.5
    now=$(date +%s)
    if [ $((now - began)) -gt "$timeout" ]; then why="not finished after $timeout s"; break; fi
    if [ $((now - $(stat -c %Y "$log"))) -gt "$idle" ]; then why="no output for $idle s"; break; fi
done
[ -z "$why" ] || kill -9 "$qemu_pid"
wait "$qemu_pid" 2>/dev/null || true
qemu_pid=
wait "$tail_pid" || true
tail_pid=
cat "$work/qemu.err" >&2
[ -z "$console_copy" ] || tr -d '\r' < "$log" > "$console_copy"

if [ -n "$why" ]; then
    echo "run.sh: $arch machine cut: $why; its console ended with:" >&2
    tail -n 30 "$log" | tr -d '\r' >&2
    exit 124
fi
status=$(tr -d '\r' < "$log" | sed -n 's/^KRUN-VM-EXIT: //p' | tail -n 1)
[ -n "$status" ] || { tail -n 30 "$log" >&2; die "$arch machine ended without a status"; }
if [ -n "$out" ]; then
    mkdir -p "$out"
    tar xf "$work/out" -C "$out" 2>/dev/null || die "nothing came out of the machine"
fi
exit "$status"
