#!/bin/sh
# Runs a command (usually cargo) with the environment to build for ARCH.
#
#   cross.sh ARCH COMMAND...
#
# For the host's own architecture it only names the target (target.sh). For the
# other one the compiler is the host's if rustup has or gets that target, else
# Debian's rustc-web; the linker is Debian's cross gcc. Packages are unpacked, not
# installed, and every tool gets a wrapper that finds the libraries it was built with.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${KRUN_BUILD:-$top/build}
arch=$1
shift
host=$(uname -m)
if [ "$arch" = "$host" ]; then
    CARGO_BUILD_TARGET=$("$here/target.sh" "$arch")
    export CARGO_BUILD_TARGET
    exec "$@"
fi

case $arch in
aarch64) deb_arch=arm64 gcc=aarch64-linux-gnu gcc_package=gcc-aarch64-linux-gnu ;;
x86_64) deb_arch=amd64 gcc=x86_64-linux-gnu gcc_package=gcc-x86-64-linux-gnu ;;
*) echo "cross.sh: unknown architecture $arch" >&2; exit 1 ;;
esac
"$here/target.sh" "$arch" add
target=$("$here/target.sh" "$arch")
dir=$build/cross-$arch

has_std() {
    libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null) && ls "$libdir"/libstd-*.rlib >/dev/null 2>&1
}

wrap() {
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s/usr/lib/%s-linux-gnu"\nexec "%s/usr/bin/%s" "$@"\n' \
        "$dir" "$host" "$dir" "$1" > "$dir/bin/$1"
    chmod +x "$dir/bin/$1"
}

from=debian
! has_std || from=rustup
if [ ! -e "$dir/complete-$from" ]; then
    rm -rf "$dir"
    # libc6-dev comes through libc6-dev-ARCH-cross; both are unpacked below $dir.
    packages="$gcc_package libc6-dev-$deb_arch-cross"
    [ "$from" = rustup ] || packages="$packages rustc-web cargo-web"
    # What the host has installed of these would not be fetched: have them all in one place.
    # shellcheck disable=SC2086 # a list of names
    KRUN_DEBS_WITHOUT="rustc-web cargo-web libstd-rust-web-dev $("$here/debs.sh" installed "$gcc|-$deb_arch-cross")" \
        "$here/debs.sh" closure host "$(dpkg --print-architecture)" "$dir" $packages
    [ "$from" = rustup ] || "$here/debs.sh" only host "$deb_arch" "$dir" libstd-rust-web-dev
    mkdir -p "$dir/bin"
    for tool in gcc ar strip objcopy nm; do wrap "$gcc-$tool"; done
    for tool in rustc cargo; do [ ! -e "$dir/usr/bin/$tool" ] || wrap "$tool"; done
    : > "$dir/complete-$from"
fi

if [ "$from" = debian ]; then
    export RUSTC="$dir/bin/rustc" CARGO="$dir/bin/cargo"
    # One that rustup's proxies would follow instead.
    unset RUSTUP_TOOLCHAIN
fi
triple=$(echo "$target" | tr 'a-z-' 'A-Z_')
under=$(echo "$target" | tr - _)
export PATH="$dir/bin:$PATH" CARGO_BUILD_TARGET="$target" CARGO_TARGET_DIR="$top/target/cross"
export "CARGO_TARGET_${triple}_LINKER=$dir/bin/$gcc-gcc" "CC_$under=$dir/bin/$gcc-gcc" "AR_$under=$dir/bin/$gcc-ar"
exec "$@"
