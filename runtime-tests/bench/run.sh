#!/bin/sh
# krun against the floor and the installed peers: table, JSON and chart.
# Options are those of the bench program; BENCH_OUT is where the files go.
set -eu
out=${BENCH_OUT:-build/bench}
release=target/$(uname -m)-unknown-linux-gnu/release
mkdir -p "$out"
cargo build --release -p krun --bin krun
cargo build --release -p runtime-tests --bin floor --bin bench
exec "$release/bench" --json "$out/bench.json" --svg "$out/bench.svg" "$@"
