#!/bin/sh
# Seeds each fault of faults.txt into a copy of krun and runs the test that must
# notice. run.sh [PART-OF-A-FAULT'S-NAME]: only those.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
cargo build -p krun -p runtime-tests --bins
tests=$(cargo test -p runtime-tests --test all --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
exec cargo run -q -p runtime-tests --bin mutants -- "$top" "${KRUN_BUILD:-$top/build}/mutants" "$tests" "$@"
