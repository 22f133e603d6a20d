#!/bin/bash
# The CRI: pods as a kubelet makes them, with a CNI bridge, through containerd's
# CRI plugin: with our shim, and with Go's shim and krun as its runc. Debian has
# no crictl; cri.py speaks the same protocol. crictl.sh runs this with crictl.
suite=${KRUN_ENGINES_CLIENT:-cri}
. "$(dirname "$0")/lib.sh"
mkdir -p /run/containerd /etc/cni/net.d
cni_bridge
# Pods get a weight, which needs the cpu controller; containerd 1 can do without.
grep -qw cpu /sys/fs/cgroup/cgroup.controllers && without=false || without=true
if [ $without = true ] && "${CONTAINERD:=containerd}" --version | grep -q ' v\?2\.'; then
    skip all "this containerd wants the cpu controller, which is not on cgroup v2 here: run this in the VM"
    exit 0
fi
# Sandboxes get a score of -998, which takes CAP_SYS_RESOURCE.
(echo -998 >/proc/self/oom_score_adj) 2>/dev/null && restrict=false || restrict=true
cat >/run/containerd/config.toml <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/krun-pause:latest"
  disable_cgroup = $without
  restrict_oom_score_adj = $restrict
  enable_unprivileged_ports = false
  enable_unprivileged_icmp = false
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.krun]
  runtime_type = "io.containerd.krun.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.krun-runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.krun-runc.options]
  BinaryName = "$KRUN"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
TOML
"${CONTAINERD:=containerd}" -c /run/containerd/config.toml -l info >"$work/$suite.log" 2>&1 &
daemon=$!
until_ok ctr version || { say "containerd does not start: $(tail -3 "$work/$suite.log")"; exit 1; }
. "$here/crictl-life.sh"
no_shim() { ! pgrep -f "$shims .*-namespace" >/dev/null; }
check "image import" ctr -n k8s.io image import "$work/image.tar"
for handler in ${KRUN_ENGINES_HANDLERS:-krun krun-runc}; do
    shims="containerd-shim-${handler#krun-}-v2"
    if [ $suite = crictl ]; then
        crictl_life /run/containerd/containerd.sock
    else
        /usr/bin/python3 "$here/cri.py" "$handler" "$shims" || failed=$((failed + 1))
    fi
    check "$handler: no shim is left" until_ok no_shim
    check "$handler: no mount is left" bash -c "! grep -q runtime.v2.task /proc/self/mountinfo"
done
kill "$daemon"
wait "$daemon" 2>/dev/null
finish
