#!/bin/bash
# podman with conmon: krun as its runtime, as root and rootless.
suite=podman
. "$(dirname "$0")/lib.sh"
for tool in podman conmon; do
    command -v "$tool" >/dev/null || { say "FAIL  podman: $tool is not installed"; exit 1; }
done
cat >/etc/containers/policy.json <<'JSON'
{"default":[{"type":"insecureAcceptAnything"}]}
JSON
cat >/etc/containers/containers.conf <<TOML
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
TOML
cat >/etc/containers/storage.conf <<'TOML'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
TOML

p() { podman --runtime "$KRUN" "$@"; }
image=docker.io/library/krun-test:latest

life() {
    local net=(--network none)
    expect "$who: run" hello p run --rm "${net[@]}" $image echo hello
    status "$who: exit status" 42 p run --rm "${net[@]}" $image sh -c 'exit 42'
    status "$who: a missing program is 127" 127 p run --rm "${net[@]}" $image /no/such
    expect "$who: run -it" 'tty=/dev/' in_tty podman --runtime "$KRUN" run --rm -it "${net[@]}" $image sh -c 'echo tty=$(tty)'
    expect "$who: user" 'uid=1000' p run --rm "${net[@]}" -u 1000 $image id
    check "$who: run -d" p run -d --name c1 "${net[@]}" $image sh -c 'echo started; exec sleep 1000'
    expect "$who: logs" started p logs c1
    expect "$who: ps" Up p ps
    expect "$who: exec" 'uid=0' p exec c1 id
    status "$who: exec's exit status" 3 p exec c1 sh -c 'exit 3'
    expect "$who: exec -it" 'tty=/dev/' in_tty podman --runtime "$KRUN" exec -it c1 sh -c 'echo tty=$(tty)'
    expect "$who: krun list shows it" "$(p inspect -f '{{.Id}}' c1)" "$KRUN" --root "$1" list
    expect "$who: top" sleep p top c1
    check "$who: stop" p stop -t 1 c1
    expect "$who: its status was kept" 137 p inspect -f '{{.State.ExitCode}}' c1
    check "$who: start" p start c1
    check "$who: restart" p restart -t 1 c1
    check "$who: kill" p kill c1
    check "$who: rm" p rm -f c1
    # With the pod's cgroup as parent and cgroupfs, podman 4.3 denies all devices
    # there, to runc as well.
    check "$who: pod create" p pod create --share-parent=false --name pod1 --infra-image "$image" --infra-command '/bin/sleep 1000' --share net,ipc,uts --network none
    check "$who: two containers in it" bash -c "podman --runtime $KRUN run -d --pod pod1 --name p1 $image httpd -f -p 8080 -h /etc && podman --runtime $KRUN run -d --pod pod1 --name p2 $image sleep 1000"
    check "$who: pod stop" p pod stop -t 1 pod1
    check "$who: pod rm" p pod rm -f pod1
    check "$who: no state is left" until_ok bash -c "[ -z \"\$(ls $1 2>/dev/null)\" ]"
}

# podman takes the basename krun for libkrun's runtime; under another name it
# is like any other.
who=root
check "load" p load -i "$work/image.tar"
if grep -qw pids /sys/fs/cgroup/cgroup.controllers; then
    check "root: pause" bash -c "podman --runtime $KRUN run -d --name pz --network none $image sleep 100 && podman --runtime $KRUN pause pz && podman --runtime $KRUN unpause pz && podman --runtime $KRUN rm -f pz"
else
    # Its default limit of 2,048 processes needs the pids controller.
    printf '[containers]\npids_limit = 0\n' >>/etc/containers/containers.conf
fi
life "${KRUN_ENGINES_PODMAN_ROOT:-/run/krun}"
finish
