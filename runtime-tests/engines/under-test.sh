# Sourced by run.sh and vm.sh: where they are, and the programs under test.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}/$("$top/runtime-tests/vm/target.sh" "$(uname -m)")/${KRUN_PROFILE:-debug}
: "${KRUN:=$target/krun}" "${SHIM:=$target/containerd-shim-krun-v2}"
