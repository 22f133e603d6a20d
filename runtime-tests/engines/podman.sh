#!/bin/bash
# podman with conmon: krun as its runtime, as root and rootless.
suite=podman
. "$(dirname "$0")/lib.sh"
for tool in podman conmon; do
    command -v "$tool" >/dev/null || { say "FAIL  podman: $tool is not installed"; exit 1; }
done
containers_storage
cat >/etc/containers/containers.conf <<TOML
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
TOML

p() { "${cmd[@]}" "$@"; }
image=docker.io/library/krun-test:latest

life() {
    local net=(--network none)
    expect "$who: run" hello p run --rm "${net[@]}" $image echo hello
    status "$who: exit status" 42 p run --rm "${net[@]}" $image sh -c 'exit 42'
    status "$who: a missing program is 127" 127 p run --rm "${net[@]}" $image /no/such
    expect "$who: run -it" 'tty=/dev/' in_tty "${cmd[@]}" run --rm -it "${net[@]}" $image sh -c 'echo tty=$(tty)'
    expect "$who: user" 'uid=1000' p run --rm "${net[@]}" -u 1000 $image id
    check "$who: run -d" p run -d --name c1 "${net[@]}" $image sh -c 'echo started; exec sleep 1000'
    expect "$who: logs" started p logs c1
    expect "$who: ps" Up p ps
    expect "$who: exec" 'uid=0' p exec c1 id
    status "$who: exec's exit status" 3 p exec c1 sh -c 'exit 3'
    expect "$who: exec -it" 'tty=/dev/' in_tty "${cmd[@]}" exec -it c1 sh -c 'echo tty=$(tty)'
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
    check "$who: a server in it" p run -d --pod pod1 --name p1 $image httpd -f -p 8080 -h /etc
    check "$who: and a second container" p run -d --pod pod1 --name p2 $image sleep 1000
    expect "$who: which reaches the first" 'root:' p exec p2 wget -qO- http://127.0.0.1:8080/passwd
    check "$who: pod stop" p pod stop -t 1 pod1
    check "$who: pod rm" p pod rm -f pod1
    check "$who: no state is left" until_ok bash -c "[ -z \"\$(ls $1 2>/dev/null)\" ]"
}

# An ordinary user with subordinate ids, in files of this mount namespace only.
# Before Linux 6.6 tmpfs, which /run is, can't hold a user's overlays.
make_user() {
    local home=$work/home
    chmod 711 "$work"
    mkdir -p $home/.config/containers /run/user/1000
    grep -v '^[^:]*:[^:]*:1000:' /etc/passwd >/run/passwd
    echo "tester:x:1000:1000::$home:/bin/sh" >>/run/passwd
    echo 'tester:100000:65536' >/run/subids
    mount --bind /run/passwd /etc/passwd
    mount --bind /run/subids /etc/subuid
    mount --bind /run/subids /etc/subgid
    cp /etc/containers/containers.conf $home/.config/containers/
    # podman 5 takes root's storage for a user's too, unless told otherwise.
    printf '[storage]\ndriver = "overlay"\nrunroot = "/run/user/1000/containers"\ngraphroot = "%s/storage"\n' $home \
        >$home/.config/containers/storage.conf
    cp "$(realpath "$KRUN")" /run/krun-rootless
    cp "$work/image.tar" /run/image.tar
    chown -R 1000:1000 $home /run/user/1000
    chmod 700 /run/user/1000
    chmod 644 /run/image.tar
    cd /run || exit 1
    cmd=(setpriv --reuid 1000 --regid 1000 --clear-groups env -i "HOME=$home" USER=tester
        XDG_RUNTIME_DIR=/run/user/1000 PATH=/usr/bin:/usr/sbin:/bin podman --runtime /run/krun-rootless)
}

# podman takes the basename krun for libkrun's runtime; without SELinux that
# changes nothing.
who=root
cmd=(podman --runtime "$KRUN")
check "load" p load -i "$work/image.tar"
if grep -qw pids /sys/fs/cgroup/cgroup.controllers; then
    check "root: limits" p run --rm --network none -m 64m --pids-limit 50 $image true
else
    # Its default limit of 2,048 processes needs the pids controller.
    printf '[containers]\npids_limit = 0\n' >>/etc/containers/containers.conf
fi
life "${KRUN_ENGINES_PODMAN_ROOT:-/run/krun}"
who=rootless
if command -v newuidmap >/dev/null; then
    make_user
    check "load as a user" p load -i /run/image.tar
    # Without a session of systemd's a user has no cgroups, and podman no pods.
    life "${KRUN_ENGINES_PODMAN_USER_ROOT:-/run/user/1000/krun}"
else
    say "FAIL  podman: newuidmap is not installed"
    failed=$((failed + 1))
fi
finish
