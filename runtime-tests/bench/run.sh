#!/bin/sh
# krun against the floor and the installed peers: table, JSON and chart.
# Options are those of the bench program; BENCH_OUT is where the files go.
set -eu
out=${BENCH_OUT:-build/bench}
release=target/$(uname -m)-unknown-linux-gnu/release
mkdir -p "$out/bin"
cargo build --release -p krun --bin krun
cargo build --release -p runtime-tests --bin floor --bin bench

# As installed: a file that was written, not one that the linker has mapped, lies in large pages of the cache.
cp "$release/krun" "$release/floor" "$release/bench" "$out/bin/"

# An engine's seccomp profile: the machine's, or Debian's.
profile=usr/share/containers/seccomp.json
if ! [ -e "/$profile" ] && command -v apt-get >/dev/null; then
    [ -e "build/profile/$profile" ] || sh runtime-tests/vm/debs.sh only host "$(dpkg --print-architecture)" \
        build/profile golang-github-containers-common
    export KRUN_BENCH_PROFILE="build/profile/$profile"
fi
exec "$out/bin/bench" --json "$out/bench.json" --svg "$out/bench.svg" "$@"
