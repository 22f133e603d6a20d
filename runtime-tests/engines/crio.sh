#!/bin/bash
# CRI-O with conmon: pods with a CNI bridge. Debian has no CRI-O: ENGINES_PATH
# must hold crio and pinns; crictl too, if it is to be tried.
suite=crio
. "$(dirname "$0")/lib.sh"
. "$here/crictl-life.sh"
for tool in crio pinns conmon podman; do
    command -v $tool >/dev/null || { say "FAIL  crio: there is no $tool on PATH (ENGINES_PATH=DIR names where)"; exit 1; }
done
mkdir -p /etc/cni/net.d /run/crio /run/empty
cni_bridge
containers_storage
# CRI-O always asks for a weight, and a low score for sandboxes; krun refuses
# what can't be set here.
filter=.
if ! grep -qw cpu /sys/fs/cgroup/cgroup.controllers; then
    skip "cpu.shares" "no cpu controller on cgroup v2 here: taken out of each config.json"
    filter="$filter | del(.linux.resources.cpu)"
fi
if ! (echo -998 >/proc/self/oom_score_adj) 2>/dev/null; then
    skip "oomScoreAdj" "no CAP_SYS_RESOURCE here: taken out of each config.json"
    filter="$filter | del(.process.oomScoreAdj)"
fi
# The bundle is the argument after --bundle.
counted_krun "$work/krun-counted" "(
    while [ \$# -gt 0 ] && [ \"\$1\" != --bundle ] && [ \"\$1\" != -b ]; do shift; done
    [ \$# -lt 2 ] || { jq '$filter' \"\$2/config.json\" >\"\$2/config.new\" && mv \"\$2/config.new\" \"\$2/config.json\"; }
)"
cat >/run/crio/crio.conf <<TOML
[crio]
root = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
storage_driver = "overlay"
version_file = "/run/crio/version"
version_file_persist = ""
clean_shutdown_file = "/run/crio/clean"
[crio.api]
listen = "/run/crio/crio.sock"
[crio.runtime]
default_runtime = "krun"
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
pinns_path = "$(command -v pinns)"
hooks_dir = ["/run/empty"]
[crio.runtime.runtimes.krun]
runtime_path = "$work/krun-counted"
runtime_root = "/run/krun-crio"
monitor_path = "$(command -v conmon)"
monitor_cgroup = "pod"
[crio.image]
pause_image = "docker.io/library/krun-pause:latest"
pause_command = ""
signature_policy = "/etc/containers/policy.json"
[crio.network]
network_dir = "/etc/cni/net.d"
plugin_dirs = ["/usr/lib/cni"]
TOML
# CRI-O shares podman's storage.
check "load the images" podman load -i "$work/image.tar"
crio -c /run/crio/crio.conf -d /run/empty >"$work/crio.log" 2>&1 &
daemon=$!
until_ok [ -S /run/crio/crio.sock ] || { say "FAIL  crio does not start: $(tail -5 "$work/crio.log")"; exit 1; }
handler=krun
/usr/bin/python3 "$here/cri.py" krun conmon /run/crio/crio.sock || failed=$((failed + 1))
if command -v crictl >/dev/null; then crictl_life /run/crio/crio.sock; else skip crictl "not on PATH"; fi
check "krun made the containers" [ "$(calls create)" -ge 5 ]
check "no conmon is left" until_ok bash -c '! pgrep -x conmon'
check "no state is left" [ -z "$(ls /run/krun-crio)" ]
kill "$daemon"
wait "$daemon" 2>/dev/null
finish
