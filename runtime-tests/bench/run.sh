#!/bin/sh
# krun against the floor and the installed peers: table, JSON and chart.
# Options are those of the bench program; BENCH_OUT is where the files go.
set -eu
out=${BENCH_OUT:-build/bench}
vm=runtime-tests/vm arch=$(uname -m)
mkdir -p "$out/bin"

# Builds a program, and copies it as an installation would: a file that was written, not one that the linker has
# mapped, lies in large pages of the cache.
build() {
    "$vm/cross.sh" "$arch" cargo build --release -p "$1" --bin "$2"
    cp "$("$vm/target.sh" "$arch" dir)/release/$2" "$out/bin/$2"
}
build krun krun
build runtime-tests bench
# The floor is a program like any other, and so starts with glibc, as the peers do. KRUN_FLOOR_LIBC=musl: as krun does.
(
    export KRUN_LIBC="${KRUN_FLOOR_LIBC:-gnu}"
    build runtime-tests floor
)

# An engine's seccomp profile: the machine's, or Debian's.
profile=usr/share/containers/seccomp.json
if ! [ -e "/$profile" ] && command -v apt-get >/dev/null; then
    [ -e "build/profile/$profile" ] || sh "$vm/debs.sh" only host "$(dpkg --print-architecture)" \
        build/profile golang-github-containers-common
    export KRUN_BENCH_PROFILE="build/profile/$profile"
fi
exec "$out/bin/bench" --json "$out/bench.json" --svg "$out/bench.svg" "$@"
