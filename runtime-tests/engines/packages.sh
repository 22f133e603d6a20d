#!/bin/bash
# packages.sh ENGINE...: prints a directory whose usr/ holds what the engines
# need and the machine lacks; nothing if it lacks nothing. Nothing is installed:
# a package of Docker would start its daemon on the host. ENGINES_SUITE names
# another Debian suite to take everything from (sid, experimental, ...).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
suite=${ENGINES_SUITE:-host}
one_docker=false
[ "$suite" = host ] && [ "$(. /etc/os-release && echo "${VERSION_ID:-}")" = 12 ] && one_docker=true

# command=package
always="containerd=containerd ctr=containerd runc=runc ip=iproute2 script=bsdutils pgrep=procps setpriv=util-linux"
needs() {
    case $1 in
    docker)
        echo dockerd=docker.io iptables=iptables
        # The client and BuildKit's became packages of their own.
        $one_docker && echo docker=docker.io || echo docker=docker-cli docker-buildx=docker-buildx
        ;;
    podman) echo podman=podman conmon=conmon newuidmap=uidmap ;;
    conmon) echo conmon=conmon jq=jq ;;
    crio) echo podman=podman $(needs cri) conmon=conmon jq=jq ;;
    cri | crictl) echo /usr/lib/cni/bridge=containernetworking-plugins iptables=iptables /usr/bin/python3=python3 python3-grpc=python3-grpcio ;;
    bench-shim) echo /usr/bin/python3=python3 python3-grpc=python3-grpcio ;;
    esac
}
has() {
    case $1 in
    python3-grpc) /usr/bin/python3 -c 'import grpc' 2>/dev/null ;;
    docker-buildx) ls /usr/libexec/docker/cli-plugins/docker-buildx /usr/lib/docker/cli-plugins/docker-buildx 2>/dev/null | grep -q . ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

packages=
for need in $always $(for engine in "$@"; do needs "$engine"; done); do
    [ "$suite" = host ] && has "${need%%=*}" && continue
    [[ " $packages " == *" ${need#*=} "* ]] || packages="$packages ${need#*=}"
done
[ -n "$packages" ] || exit 0

dir=${KRUN_BUILD:-$top/build}/engines/$suite
have=$(cat "$dir/.packages" 2>/dev/null || true)
for package in $packages; do
    [[ " $have " == *" $package "* ]] || missing=1
done
if [ -n "${missing:-}" ]; then
    packages="$have $packages"
    rm -rf "$dir"
    # shellcheck disable=SC2086 # a list of names
    sh "$top/runtime-tests/vm/debs.sh" closure "$suite" "$(dpkg --print-architecture)" "$dir" $packages
    # Packages of before the merge of /usr.
    for old in bin sbin lib lib64; do
        [ -d "$dir/$old" ] && [ ! -L "$dir/$old" ] || continue
        mkdir -p "$dir/usr/$old"
        cp -a "$dir/$old/." "$dir/usr/$old/"
    done
    # What update-alternatives would have made.
    for tables in iptables ip6tables; do
        [ ! -e "$dir/usr/sbin/xtables-nft-multi" ] || ln -sf xtables-nft-multi "$dir/usr/sbin/$tables"
    done
    echo "$packages" >"$dir/.packages"
fi
echo "$dir"
