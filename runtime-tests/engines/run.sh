#!/bin/bash
# run.sh [ENGINE...]: krun under real engines: containerd, docker, podman,
# conmon and cri (the default), or crictl, buildkit, crio; or the measurement
# bench-shim. Needs root; what is missing is unpacked, not installed.
#   ENGINES_SUITE  a Debian suite to take the engines from: sid, experimental
#   ENGINES_PATH   a directory of programs that go before all others, say a
#                  containerd, crictl, buildkitd or crio that Debian doesn't have
#   KRUN, SHIM     the programs under test (default: the workspace's build of
#                  profile KRUN_PROFILE, debug)
set -eu
. "$(dirname "$0")/under-test.sh"
engines=("$@")
[ $# -gt 0 ] || engines=(containerd docker podman conmon cri)

# A machine of vm.sh's brings it along.
: "${KRUN_ENGINES_ROOT=$("$here/packages.sh" "${engines[@]}")}"
export KRUN_ENGINES_ROOT
KRUN_ENGINES_WORK=$(mktemp -d "${TMPDIR:-/tmp}/krun-engines.XXXXXX")
export KRUN_ENGINES_WORK
trap 'rm -rf "$KRUN_ENGINES_WORK"' EXIT
mkdir "$KRUN_ENGINES_WORK/bin"
# Engines look programs up by name; podman treats the name krun specially.
ln -s "$(realpath "$KRUN")" "$KRUN_ENGINES_WORK/bin/krun"
ln -s "$(realpath "$SHIM")" "$KRUN_ENGINES_WORK/bin/containerd-shim-krun-v2"
export KRUN=$KRUN_ENGINES_WORK/bin/krun
# What was unpacked lies over /usr, and goes before /usr/local.
export PATH=$KRUN_ENGINES_WORK/bin${ENGINES_PATH:+:$(realpath "$ENGINES_PATH")}${KRUN_ENGINES_ROOT:+:/usr/sbin:/usr/bin}:$PATH
"$here/image.sh" "$KRUN_ENGINES_WORK"

# What must be the same when all is over.
outside() {
    grep -oE "$KRUN_ENGINES_WORK|io\.containerd[^ ]*|[^ ]*/containers/storage[^ ]*|/var/lib/docker[^ ]*" /proc/self/mountinfo
    ls /sys/class/net | grep -E '^(docker|cni|veth|br-)'
    ls -d /run/containerd/* /run/docker/* /run/crio/* /run/buildkit/* /run/netns/* /sys/fs/cgroup/krun-engines-* 2>/dev/null
}
before=$(outside || true)
status=0 failed=
for engine in "${engines[@]}"; do
    "$here/enter.sh" "$here/$engine.sh" && continue
    status=1 failed="$failed $engine"
    tail -n 20 "$KRUN_ENGINES_WORK/$engine.log" >&2 || true
done
after=$(outside || true)
if [ "$before" != "$after" ]; then
    echo "FAIL  leftovers outside the namespaces:" >&2
    diff <(echo "$before") <(echo "$after") >&2
    status=1
fi
[ $status = 0 ] && echo "engines: ${engines[*]}: all passed" >&2 || echo "engines: failed:$failed" >&2
exit $status
