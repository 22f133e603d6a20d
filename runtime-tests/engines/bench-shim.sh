#!/bin/bash
# bench-shim.sh: our shim against Go's shim with runc, under one containerd:
# start and exec latency as ratios of interleaved runs, memory of idle pods.
# Run by `make bench-shim`, through enter.sh; needs a release build.
suite=bench-shim
. "$(dirname "$0")/lib.sh"
mkdir -p /run/containerd
cat >/run/containerd/config.toml <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
TOML
"${CONTAINERD:=containerd}" -c /run/containerd/config.toml -l error >"$work/bench-shim.log" 2>&1 &
daemon=$!
until_ok ctr version || { tail "$work/bench-shim.log" >&2; exit 1; }
ctr image import "$work/image.tar" >/dev/null
"${PYTHON:-/usr/bin/python3}" "$here/bench_shim.py" "${RUNS:-30}" "${EXECS:-200}" "${IDLE:-20}" && status=0 || status=$?
kill "$daemon"
exit $status
