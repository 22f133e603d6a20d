#!/bin/sh
# Prints the directory of an unpacked Debian kernel, fetching it if needed.
#
#   kernel.sh ARCH KERNEL
#
# ARCH is x86_64 or aarch64. KERNEL is `stable` (the machine's own suite), `newest`
# (unstable) or the code name of a suite: a cloud kernel; or `full`, the stable one
# with every driver. The directory holds `vmlinuz`, `version`,
# `modules/` (the whole tree) and `modules.dep`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$here/../../build}
arch=$1 kernel=$2
case $arch in
x86_64) deb_arch=amd64 ;;
aarch64) deb_arch=arm64 ;;
*) echo "kernel.sh: unknown architecture $arch" >&2; exit 1 ;;
esac
flavour=cloud-$deb_arch
case $kernel in
stable) suite=host ;;
full) suite=host flavour=$deb_arch ;;
newest) suite=sid ;;
*) suite=$kernel ;;
esac

dir=$build/vm/$arch/kernel-$kernel
if [ ! -s "$dir/modules.dep" ]; then
    package=$("$here/debs.sh" depends "$suite" "$deb_arch" "linux-image-$flavour" |
        grep '^linux-image-[0-9]' | head -n 1)
    [ -n "$package" ] || { echo "kernel.sh: $suite has no kernel linux-image-$flavour" >&2; exit 1; }
    rm -rf "$dir.new"
    # From 7.x on, modules may come in a package of their own.
    extra=$("$here/debs.sh" depends "$suite" "$deb_arch" "$package" | grep '^linux-\(modules\|binary\)-' || true)
    # shellcheck disable=SC2086 # a list of names
    "$here/debs.sh" only "$suite" "$deb_arch" "$dir.new" "$package" $extra
    version=${package#linux-image-}
    modules=$dir.new/lib/modules/$version
    [ -d "$modules" ] || modules=$dir.new/usr/lib/modules/$version
    # 7.x keeps the kernel beside its modules.
    image=$dir.new/boot/vmlinuz-$version
    [ -f "$image" ] || image=$modules/vmlinuz
    mv "$image" "$dir.new/vmlinuz"
    # Decompressed once here: neither busybox nor every kernel can do it.
    find "$modules" -name '*.ko.xz' -exec xz -d {} +
    host_busybox=$("$here/busybox.sh" "$(uname -m)")
    mv "$modules" "$dir.new/modules"
    mkdir -p "$dir.new/depmod/lib/modules"
    ln -s ../../../modules "$dir.new/depmod/lib/modules/$version"
    "$host_busybox" depmod -b "$dir.new/depmod" "$version"
    mv "$dir.new/modules/modules.dep" "$dir.new/modules.dep"
    rm -rf "$dir.new/depmod" "$dir.new/boot" "$dir.new/lib" "$dir.new/usr"
    echo "$version" > "$dir.new/version"
    rm -rf "$dir"
    mv "$dir.new" "$dir"
fi
echo "$dir"
