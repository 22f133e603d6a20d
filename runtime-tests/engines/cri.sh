#!/bin/bash
# The CRI: pods as a kubelet makes them, through crictl and containerd's CRI
# plugin, with our shim and with Go's shim and krun.
suite=cri
. "$(dirname "$0")/lib.sh"
command -v crictl >/dev/null || { skip "all" "crictl is not installed (Debian has no package of it)"; exit 0; }
finish
