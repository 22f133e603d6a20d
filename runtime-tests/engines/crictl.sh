#!/bin/bash
# A pod's life through containerd's CRI, told by crictl. Debian has none:
# ENGINES_PATH must hold it.
command -v crictl >/dev/null || { echo "FAIL  crictl: there is no crictl on PATH (ENGINES_PATH=DIR names where)" >&2; exit 1; }
KRUN_ENGINES_CLIENT=crictl exec "$(dirname "$0")/cri.sh"
