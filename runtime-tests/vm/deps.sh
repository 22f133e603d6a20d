#!/bin/sh
# Installs what building and testing need and the machine lacks. QEMU, kernels and
# the cross compiler are not installed: debs.sh unpacks them when a run needs them.
#
#   deps.sh [lints | fuzz]    with `lints`, rustfmt and clippy too; with `fuzz`, what compiles libFuzzer
set -eu

# command=package
needs="gcc=gcc jq=jq cpio=cpio xz=xz-utils mke2fs=e2fsprogs ip=iproute2 strip=binutils tar=tar
       unshare=util-linux debootstrap=debootstrap newuidmap=uidmap strace=strace ps=procps"

[ "${1:-}" != fuzz ] || needs="$needs c++=g++"
missing= packages=
for need in $needs; do
    command -v "${need%%=*}" >/dev/null && continue
    missing="$missing ${need%%=*}" packages="$packages ${need#*=}"
done
# The static C library that krun is linked with, and a busybox that needs none.
echo 'int main(void){return 0;}' > /tmp/krun-deps-$$.c
if ! gcc -static -o /tmp/krun-deps-$$ /tmp/krun-deps-$$.c 2>/dev/null; then
    missing="$missing libc.a" packages="$packages gcc libc6-dev"
fi
rm -f /tmp/krun-deps-$$.c /tmp/krun-deps-$$
if ! [ -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then
    missing="$missing static-busybox" packages="$packages busybox-static"
fi

# Not older than the workspace asks for.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../../Cargo.toml")
have=$(cargo --version 2>/dev/null | cut -d' ' -f2)
if [ "$(printf '%s\n%s\n' "$wanted" "${have:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "cargo is ${have:-missing}, krun needs $wanted: using Debian's cargo-web and rustc-web" >&2
    missing="$missing cargo-$wanted" packages="$packages cargo-web rustc-web"
    have=
fi
if [ "${1:-}" = lints ]; then
    { [ -n "$have" ] && cargo fmt --version >/dev/null 2>&1; } ||
        missing="$missing rustfmt" packages="$packages rustfmt-web"
    { [ -n "$have" ] && cargo clippy --version >/dev/null 2>&1; } ||
        missing="$missing clippy" packages="$packages rust-web-clippy"
fi

"$(dirname "$0")/target.sh" "$(uname -m)" add

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "missing:$missing" >&2
    echo "on Debian, as root: apt-get install$packages" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
apt-get install -qq -y --no-install-recommends $packages >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends $packages >/dev/null
}
