#!/bin/bash
# enter.sh COMMAND...: runs a command where engines can do no harm: namespaces
# of its own (mount, pid, net, ipc, uts, cgroup), pure cgroup v2 below a cgroup
# of its own, empty /run and engine directories. All of it is gone afterwards.
# KRUN_ENGINES_ROOT: a directory whose usr/ is laid over the host's.
set -eu

if [ -z "${KRUN_ENGINES_STAGE:-}" ]; then
    export KRUN_ENGINES_STAGE=1
    exec unshare --mount --propagation private -- "$0" "$@"
fi

if [ "$KRUN_ENGINES_STAGE" = 1 ]; then
    # A host with v1 controllers has something else there.
    [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup
    cgroup=/sys/fs/cgroup/krun-engines-$$
    mkdir "$cgroup"
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        export KRUN_ENGINES_STAGE=2
        exec unshare --cgroup --mount -- "$0" "$@"
    ) && status=0 || status=$?
    echo 1 >"$cgroup/cgroup.kill" || true
    for _ in $(seq 100); do
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.1
    done
    if [ -d "$cgroup" ]; then
        echo "enter.sh: processes are left: $(find "$cgroup" -name cgroup.procs -exec cat {} + | xargs -r ps -o pid=,args= -p)" >&2
        status=1
    fi
    exit "$status"
fi

if [ "$KRUN_ENGINES_STAGE" = 2 ]; then
    umount /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
    # Controllers can be handed down only by a cgroup without processes.
    mkdir /sys/fs/cgroup/init
    echo $$ >/sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
    done
    export KRUN_ENGINES_STAGE=3
    exec unshare --pid --fork --kill-child --mount-proc --net --ipc --uts -- "$0" "$@"
fi

if [ -n "${KRUN_ENGINES_ROOT:-}" ]; then
    mount -t overlay -o "ro,lowerdir=$KRUN_ENGINES_ROOT/usr:/usr" overlay /usr
fi
mount -t tmpfs -o mode=755 tmpfs /run
for dir in /var/lib/containerd /var/lib/docker /var/lib/containers /var/lib/cni /etc/containers /etc/cni; do
    mkdir -p "$dir"
    mount -t tmpfs tmpfs "$dir"
done
ip link set lo up
exec "$@"
