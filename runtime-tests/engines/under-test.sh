# Sourced by run.sh and vm.sh: where they are, and the programs under test.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}/$(uname -m)-unknown-linux-gnu/${KRUN_PROFILE:-debug}
: "${KRUN:=$target/krun}" "${SHIM:=$target/containerd-shim-krun-v2}"
