#!/bin/sh
# Seeds each fault of faults.txt into a copy of krun and runs the test that must
# notice. run.sh [PART-OF-A-FAULT'S-NAME]: only those.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
cargo build -p krun -p runtime-tests --bins
# The last line of cargo's need not be the test program: what is fresh is reported in any order.
tests=$(cargo test -p runtime-tests --test all --no-run --message-format=json |
    jq -r 'select(.profile.test == true and .target.name == "all").executable')
exec cargo run -q -p runtime-tests --bin mutants -- "$top" "${KRUN_BUILD:-$top/build}/mutants" "$tests" "$@"
