# Sourced: finds QEMU, or unpacks Debian's without installing it.
# Sets qemu, qemu_options and accel.

find_qemu() {
    qemu=$(command -v "qemu-system-$1" || true)
    qemu_options=
    if [ -z "$qemu" ]; then
        unpacked=$build/qemu
        if [ ! -e "$unpacked/complete" ]; then
            # A host with a newer qemu-utils could not install these.
            KRUN_DEBS_WITHOUT="qemu-utils qemu-block-extra" "$here/debs.sh" closure host \
                "$(dpkg --print-architecture)" "$unpacked" qemu-system-x86 qemu-system-arm
            : > "$unpacked/complete"
        fi
        qemu=$build/vm/qemu-$1
        multiarch=$(uname -m)-linux-gnu
        cat > "$qemu.$$" <<WRAPPER
#!/bin/sh
export LD_LIBRARY_PATH="$unpacked/usr/lib/$multiarch:$unpacked/lib/$multiarch"
export QEMU_MODULE_DIR="$unpacked/usr/lib/$multiarch/qemu"
exec "$unpacked/usr/bin/qemu-system-$1" "\$@"
WRAPPER
        chmod +x "$qemu.$$"
        mv "$qemu.$$" "$qemu"
        qemu_options="-L $unpacked/usr/share/qemu -L $unpacked/usr/share/seabios -L $unpacked/usr/lib/ipxe/qemu"
    fi
    choose_accel "$1"
}

# KVM where it really works. A device node says nothing on a nested host, where
# QEMU can die or the guest can stop at its first unusual instruction: so a kernel
# has to come up, once per boot of the host.
choose_accel() {
    accel=tcg cpu=max
    # Emulating the real pointer authentication cipher costs half the machine's speed.
    if [ "$1" = aarch64 ]; then cpu=max,pauth-impdef=on; fi
    if [ -n "${KRUN_VM_ACCEL:-}" ]; then accel=$KRUN_VM_ACCEL; return; fi
    [ "$1" = "$(uname -m)" ] && [ -w /dev/kvm ] || return 0
    verdict=$build/vm/kvm-$(cat /proc/sys/kernel/random/boot_id)
    if [ ! -e "$verdict" ]; then
        echo no > "$verdict"
        case $1 in
        x86_64) machine=q35 console=ttyS0 ;;
        *) machine=virt,gic-version=host console=ttyAMA0 ;;
        esac
        # The base archive has no /run-in-vm: the guest ends with a status at once.
        # shellcheck disable=SC2086 # options are words
        timeout -s KILL 20 "$qemu" $qemu_options -machine "$machine,accel=kvm" -cpu max -smp 2 -m 1024 \
            -nodefaults -display none -no-reboot -kernel "$kernel_dir/vmlinuz" -initrd "$base" \
            -append "console=$console panic=-1 quiet" -serial "file:$verdict.log" </dev/null >/dev/null 2>&1 || true
        grep -q KRUN-VM-EXIT "$verdict.log" 2>/dev/null && echo yes > "$verdict"
    fi
    if [ "$(cat "$verdict")" = yes ]; then accel=kvm cpu=max; fi
}
