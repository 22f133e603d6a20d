#!/bin/sh
# Prints the Rust target that krun is built for on ARCH.
#
#   target.sh ARCH          the target's name
#   target.sh ARCH dir      the directory of its debug/ and release/, below the top
#   target.sh ARCH add      has rustup fetch what the target needs, if it can
#
# musl's C library starts a program without asking the processor twenty questions, which a
# virtual machine answers at some microseconds each (src/DECISIONS.md). A toolchain without it
# (Debian's, or no network) builds for glibc instead; KRUN_LIBC=gnu or musl decides it by hand.
set -eu

arch=$1
musl=$arch-unknown-linux-musl

has_std() {
    libdir=$(rustc --print target-libdir --target "$1" 2>/dev/null) && ls "$libdir"/libstd-*.rlib >/dev/null 2>&1
}

target=$arch-unknown-linux-gnu
case ${KRUN_LIBC:-} in
gnu) ;;
musl) target=$musl ;;
*) ! has_std "$musl" || target=$musl ;;
esac
case ${2:-} in
add)
    if [ "$target" != "$musl" ] && [ "${KRUN_LIBC:-}" != gnu ] && command -v rustup >/dev/null; then
        timeout 60 rustup target add "$musl" >/dev/null 2>&1 ||
            echo "rustup has no $musl: building for glibc, which starts slower" >&2
    fi
    ;;
dir) [ "$arch" = "$(uname -m)" ] && echo "target/$target" || echo "target/cross/$target" ;;
*) echo "$target" ;;
esac
