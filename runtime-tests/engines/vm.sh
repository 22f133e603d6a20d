#!/bin/bash
# vm.sh [ENGINE...]: run.sh in a virtual machine, which has every controller on
# cgroup v2: Docker's limits, CRI of containerd 2. ENGINES_SUITE is sid unless set.
set -eu
. "$(dirname "$0")/under-test.sh"
engines=("$@")
[ $# -gt 0 ] || engines=(docker podman conmon cri)
# With the suite named, everything is unpacked that the engines need: the
# machine's Debian is a small one.
export ENGINES_SUITE=${ENGINES_SUITE:-sid}
root=$("$here/packages.sh" "${engines[@]}")
"$top/runtime-tests/vm/run.sh" --arch "$(uname -m)" --root systemd --memory 4096 --disk 4096 --idle 300 \
    --on-disk "$root:/engines" --add "$here" --add "$KRUN:/krun/krun" --add "$SHIM:/krun/containerd-shim-krun-v2" --cmd "
        for controller in \$(cat /sys/fs/cgroup/cgroup.controllers); do
            echo +\$controller >/sys/fs/cgroup/cgroup.subtree_control
        done
        # containerd copies it for pods; a Debian of debootstrap's has none.
        [ -e /etc/hosts ] || echo 127.0.0.1 localhost >/etc/hosts
        export KRUN=/krun/krun SHIM=/krun/containerd-shim-krun-v2 KRUN_ENGINES_ROOT=/engines TMPDIR=/data/tmp
        export KRUN_ENGINES_MANY=${KRUN_ENGINES_MANY:-10}
        bash /krun/engines/run.sh ${engines[*]}"
