#!/bin/sh
# What needs no kernel, in Miri: the heap, the arena and the plan in it, the codecs of the shim and of D-Bus. It needs
#   rustup toolchain install nightly --component miri --component rust-src
# Without Miri the same tests run with AddressSanitizer, which needs the nightly toolchain alone.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cd "$top"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$top/target/miri}"
unset CARGO_BUILD_TARGET
arch=$(uname -m)

cargo +nightly --version >/dev/null 2>&1 ||
    { echo "missing: a nightly toolchain (rustup toolchain install nightly --component miri --component rust-src)" >&2; exit 1; }

# PACKAGE OPTIONS... -- FILTERS...
if cargo +nightly miri --version >/dev/null 2>&1; then
    run() { cargo +nightly miri test --quiet -p "$@"; }
    export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance"
else
    echo "no Miri for the nightly toolchain: AddressSanitizer looks instead" >&2
    run() { RUSTFLAGS=-Zsanitizer=address cargo +nightly test --quiet --target "$arch-unknown-linux-gnu" -p "$@"; }
fi

run containerd-shim-krun-v2 --lib
run krun --lib -- plan::buf systemd::wire systemd::variant
# dlmalloc's bins point into itself, which no model of borrows allows behind `&mut self`. Memory that is not allocated,
# not initialised, not aligned or shared without order is still found. The heap is musl's.
if cargo +nightly miri --version >/dev/null 2>&1; then
    MIRIFLAGS="$MIRIFLAGS -Zmiri-disable-stacked-borrows" run krun-sys --features std --lib --target "$arch-unknown-linux-musl"
fi
