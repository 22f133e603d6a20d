#!/bin/bash
# run.sh [ENGINE...]: krun under real engines: containerd, docker, podman, cri
# (default: all four), or the measurement bench-shim. Needs root; installs what
# is missing with apt-get. KRUN and SHIM name the programs under test (default:
# the workspace's build of profile KRUN_PROFILE, debug).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}/$(uname -m)-unknown-linux-gnu/${KRUN_PROFILE:-debug}
: "${KRUN:=$target/krun}" "${SHIM:=$target/containerd-shim-krun-v2}"
engines=("${@:-}")
[ -n "${engines[0]}" ] || engines=(containerd docker podman cri)

need() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || { echo "missing: ${missing[*]}" >&2; exit 1; }
    apt-get install -y --no-install-recommends "${missing[@]}" >&2
}
need containerd containerd runc runc busybox busybox-static ip iproute2 script bsdutils pgrep procps unshare util-linux
for engine in "${engines[@]}"; do
    case $engine in
    docker) need dockerd docker.io iptables iptables ;;
    podman) need podman podman conmon conmon newuidmap uidmap ;;
    cri | bench-shim)
        need /usr/lib/cni/bridge containernetworking-plugins /usr/bin/python3 python3 iptables iptables
        /usr/bin/python3 -c 'import grpc' 2>/dev/null || apt-get install -y --no-install-recommends python3-grpcio >&2
        ;;
    esac
done

export KRUN_ENGINES_WORK=$(mktemp -d "${TMPDIR:-/tmp}/krun-engines.XXXXXX")
trap 'rm -rf "$KRUN_ENGINES_WORK"' EXIT
mkdir "$KRUN_ENGINES_WORK/bin"
# Engines look programs up by name; podman treats the name krun specially.
ln -s "$(realpath "$KRUN")" "$KRUN_ENGINES_WORK/bin/krun"
ln -s "$(realpath "$SHIM")" "$KRUN_ENGINES_WORK/bin/containerd-shim-krun-v2"
export KRUN=$KRUN_ENGINES_WORK/bin/krun PATH=$KRUN_ENGINES_WORK/bin:$PATH
"$here/image.sh" "$KRUN_ENGINES_WORK"

status=0
for engine in "${engines[@]}"; do
    "$here/enter.sh" "$here/$engine.sh" || { status=1; tail -n 20 "$KRUN_ENGINES_WORK/$engine.log" >&2 || true; }
done
exit $status
