#!/bin/sh
# Runs the fuzz targets, each for SECONDS, and prints what they did. Fails with the inputs' paths if something was found.
#
#   run.sh SECONDS [TARGET...]
#
# KRUN_FUZZ_DIR (build/fuzz) keeps what the fuzzer grows: TARGET/corpus, TARGET/log, and TARGET/crash-… or the like. Seeds
# are the files in seeds/TARGET and what the program itself makes. An input is tried again with
#   KRUN_FUZZ_TARGET=TARGET target/fuzz/…/krun-fuzz FILE
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
seconds=$1
shift
work=${KRUN_FUZZ_DIR:-$top/build/fuzz}
target=$(uname -m)-unknown-linux-gnu
build=${CARGO_TARGET_DIR:-$top/target/fuzz}

command -v c++ >/dev/null || { echo "missing: c++, which compiles libFuzzer (Debian: g++)" >&2; exit 1; }
libdir=$(rustc --print target-libdir --target "$target")
ls "$libdir"/libstd-*.rlib >/dev/null 2>&1 ||
    { echo "missing: Rust's standard library for $target (rustup target add $target)" >&2; exit 1; }

# What `cargo fuzz` passes: LLVM's pass that counts edges and comparisons is in every compiler. With --target, so that
# build scripts go without.
flags="--cfg fuzzing -Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$flag"
done
RUSTFLAGS="$flags" cargo build --quiet --release --locked --manifest-path "$here/Cargo.toml" \
    --target "$target" --target-dir "$build"
program=$build/$target/release/krun-fuzz
[ $# != 0 ] || set -- $("$program" 2>/dev/null)

# So small a stack that recursion along an input shows within the longest one.
ulimit -s 1024

found=
report=
for name in "$@"; do
    dir=$work/$name
    mkdir -p "$dir/corpus" "$dir/made"
    # Files that targets write, in memory if possible: a disk is slower by two orders of magnitude.
    tmp=$(mktemp -d /dev/shm/krun-fuzz.XXXXXX 2>/dev/null || mktemp -d)
    KRUN_FUZZ_TARGET=$name KRUN_FUZZ_SEEDS=$dir/made "$program" >/dev/null 2>&1
    seeds=$here/seeds/$name
    [ -d "$seeds" ] || seeds=
    echo "fuzzing $name for $seconds s" >&2
    # A target's own time is short: what takes 10 s even on a busy machine never ends.
    KRUN_FUZZ_TARGET=$name TMPDIR=$tmp "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=16384 -dict="$here/json.dict" -artifact_prefix="$dir/" -print_final_stats=1 \
        "$dir/corpus" "$dir/made" ${seeds:+"$seeds"} >"$dir/log" 2>&1 || found="$found $name"
    rm -rf "$tmp"
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log")
    last=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$dir/log" | tail -n 1)
    input=$(sed -n 's/.*Test unit written to //p' "$dir/log" | tail -n 1)
    case " $found " in
    *" $name "*) input=${input:-see $dir/log} ;;
    *) input=nothing ;;
    esac
    report="$report$(printf '%-10s %11s  %-24s %s' "$name" "${runs:-?}" "${last:-?}" "$input")
"
done
printf '%-10s %11s  %-24s %s\n%s' target executions 'edges and features' found "$report"
[ -z "$found" ]
