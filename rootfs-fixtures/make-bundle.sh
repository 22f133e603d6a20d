#!/bin/sh
# make-bundle.sh busybox|debian|probe DIR [ARCH]: makes a bundle in DIR.
# Environment: ARGS (JSON array), TEMPLATE, BUNDLE_HOSTNAME, KRUN_FIXTURE_CACHE.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
usage() { echo "usage: make-bundle.sh busybox|debian|probe DIR [x86_64|aarch64]" >&2; exit 2; }
[ $# -ge 2 ] || usage
kind=$1 dir=$2 arch=${3:-$(uname -m)}
root=$dir/rootfs
template=${TEMPLATE:-$here/config/default.json}

skeleton() {
    for d in proc sys dev tmp etc bin usr/bin sbin root home/user var mnt; do mkdir -p "$root/$d"; done
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
}

busybox() {
    skeleton
    cp "$("$here/busybox.sh" "$arch")" "$root/bin/busybox"
    # The applets' names are the same in every build of a Debian version, so
    # the host's busybox may list them for one it can't run.
    list=$(/bin/busybox --list 2>/dev/null || "$root/bin/busybox" --list)
    for a in $list; do
        [ "$a" = busybox ] || ln -sf busybox "$root/bin/$a"
    done
    : "${ARGS:=[\"/bin/sh\", \"-c\", \"echo Hello from \$(hostname), \$(uname -m); id; ps\"]}"
}

debian() {
    command -v debootstrap >/dev/null || { echo "make-bundle.sh: needs debootstrap" >&2; exit 1; }
    case $arch in x86_64) deb=amd64 ;; aarch64) deb=arm64 ;; *) usage ;; esac
    # The mirror of this machine's own apt sources.
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
    suite=${SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")}
    foreign=
    [ "$deb" = "$(dpkg --print-architecture)" ] || foreign=--foreign
    debootstrap --variant=minbase --arch="$deb" $foreign "$suite" "$root" "$mirror" >&2
    : "${ARGS:=[\"/bin/sh\", \"-c\", \"cat /etc/os-release\"]}"
}

probe() {
    skeleton
    cp "${KRUN_PROBE:?KRUN_PROBE must name the probe}" "$root/probe"
    : "${ARGS:=[\"/probe\", \"report\"]}"
}

[ ! -e "$dir/config.json" ] || { echo "make-bundle.sh: $dir is a bundle already" >&2; exit 1; }
mkdir -p "$root"
case $kind in busybox | debian | probe) $kind ;; *) usage ;; esac
# A shell's own splitting would garble ARGS; awk takes it from the environment.
ARGS=$ARGS HOST=${BUNDLE_HOSTNAME:-$kind} awk '
    function fill(line, mark, value,   i) {
        while (i = index(line, mark)) line = substr(line, 1, i - 1) value substr(line, i + length(mark))
        return line
    }
    { print fill(fill($0, "@ARGS@", ENVIRON["ARGS"]), "@HOSTNAME@", ENVIRON["HOST"]) }
' "$template" >"$dir/config.json"
