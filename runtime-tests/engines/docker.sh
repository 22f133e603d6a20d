#!/bin/bash
# Docker: krun as a runtime of its own (--add-runtime) and through our shim.
suite=docker
. "$(dirname "$0")/lib.sh"
for tool in dockerd docker iptables; do
    command -v "$tool" >/dev/null || { say "FAIL  docker: $tool is not installed"; exit 1; }
done
export DOCKER_HOST=unix:///run/docker.sock
mkdir -p /run/containerd "$work/docker"
cat >/run/containerd/config.toml <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
TOML

# Networks need the kernel's bridge and a packet filter.
net=(--iptables=false --ip6tables=false --bridge=none)
if ip link add probe-br type bridge 2>/dev/null; then
    ip link del probe-br
    net=(--iptables=false --ip6tables=false)
fi
# Docker knows shims since 23.0.
shim_runtime='"krun-shim":{"runtimeType":"io.containerd.krun.v2"}' runtimes='krun krun-shim'
version=$(dockerd --version | sed 's/^Docker version \([0-9]*\).*/\1/')
if [ "$version" -lt 23 ]; then
    shim_runtime= runtimes=krun
    skip krun-shim "this Docker knows no shims; 23.0 and newer do"
fi
cat >"$work/daemon.json" <<JSON
{"runtimes":{"krun":{"path":"$KRUN"}${shim_runtime:+,$shim_runtime}}}
JSON

# dockerd's BuildKit doesn't ask for the default runtime: it takes what this
# variable names, before Docker 25 a runc on PATH.
mkdir "$work/buildkit"
counted_krun "$work/buildkit/runc"
buildkit_runc=DOCKER_BUILDKIT_RUNC_COMMAND=$work/buildkit/runc
[ "$version" -ge 25 ] || buildkit_runc=PATH=$work/buildkit:$PATH

start_docker() {
    containerd -c /run/containerd/config.toml -l warn >>"$work/docker.log" 2>&1 &
    containerd=$!
    until_ok ctr version
    env "$buildkit_runc" dockerd --config-file "$work/daemon.json" -H "$DOCKER_HOST" --data-root /var/lib/docker \
        --exec-root /run/docker --pidfile /run/docker.pid --containerd /run/containerd/containerd.sock \
        "${net[@]}" "$@" >>"$work/docker.log" 2>&1 &
    daemon=$!
    until_ok docker version && return
    kill "$daemon" 2>/dev/null
    return 1
}

d() { docker "$@"; }
image=krun-test:latest

life() {
    local netopt=()
    [ "${net[*]: -1}" != --bridge=none ] || netopt=(--network none)
    local run=(run --runtime "$runtime" "${netopt[@]}")
    expect "$runtime: run" hello d "${run[@]}" --rm $image echo hello
    status "$runtime: exit status" 42 d "${run[@]}" --rm $image sh -c 'exit 42'
    status "$runtime: a missing program is 127" 127 d "${run[@]}" --rm $image /no/such
    status "$runtime: a program that can't be run is 126" 126 d "${run[@]}" --rm $image /etc/passwd
    expect "$runtime: run -it" 'tty=/dev/' in_tty docker "${run[@]}" --rm -it $image sh -c 'echo tty=$(tty)'
    expect "$runtime: run -i" 'got word' bash -c "echo word | docker ${run[*]} --rm -i $image sh -c 'read x; echo got \$x'"
    expect "$runtime: user" 'uid=1000' d "${run[@]}" --rm -u 1000 $image id
    check "$runtime: run -d" d "${run[@]}" -d --name c1 --hostname host1 --init=false -v "$work:/data:ro" \
        --health-cmd 'test -e /etc/passwd' --health-interval 1s $image sh -c 'echo started; exec sleep 1000'
    expect "$runtime: krun list shows it" "$(docker inspect -f '{{.Id}}' c1)" "$KRUN" --root "$root" list
    expect "$runtime: ps" 'Up' d ps
    expect "$runtime: logs" started d logs c1
    expect "$runtime: exec" host1 d exec c1 hostname
    status "$runtime: exec's exit status" 3 d exec c1 sh -c 'exit 3'
    expect "$runtime: exec of a missing program names it" '/no/such' d exec c1 /no/such
    expect "$runtime: exec -it" 'tty=/dev/' in_tty docker exec -it c1 sh -c 'echo tty=$(tty)'
    expect "$runtime: exec -i" 'got word' bash -c "echo word | docker exec -i c1 cat | sed 's/^/got /'"
    expect "$runtime: top" sleep d top c1
    check "$runtime: stats" d stats --no-stream c1
    check "$runtime: healthcheck" until_ok bash -c 'docker inspect -f "{{.State.Health.Status}}" c1 | grep -q ^healthy'
    check "$runtime: pause" d pause c1
    expect "$runtime: is paused" Paused d ps
    check "$runtime: unpause" d unpause c1
    expect "$runtime: volume is read-only" Read-only d exec c1 touch /data/x
    check "$runtime: cp" d cp c1:/etc/passwd "$work/passwd"
    check "$runtime: restart" d restart -t 1 c1
    expect "$runtime: runs again" host1 d exec c1 hostname
    check "$runtime: stop" d stop -t 1 c1
    expect "$runtime: its status was kept" 137 d inspect -f '{{.State.ExitCode}}' c1
    check "$runtime: start" d start c1
    check "$runtime: kill" d kill c1
    check "$runtime: rm" d rm -f c1
    limits
    build
    check "$runtime: restart policy" d "${run[@]}" -d --name c2 --restart on-failure:2 $image sh -c 'exit 1'
    check "$runtime: restarted twice" until_ok bash -c '[ "$(docker inspect -f "{{.RestartCount}}" c2)" = 2 ]'
    d rm -f c2 >/dev/null
    check "$runtime: no state is left" until_ok bash -c "[ -z \"\$(ls $root 2>/dev/null)\" ]"
}

limits() {
    if ! grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
        skip "$runtime: limits" "no memory controller here (cgroup v1 host?): run this in the VM"
        return
    fi
    expect "$runtime: memory limit" 67108864 d "${run[@]}" --rm -m 64m $image cat /sys/fs/cgroup/memory.max
    expect "$runtime: cpus" '50000 100000' d "${run[@]}" --rm --cpus 0.5 $image cat /sys/fs/cgroup/cpu.max
    expect "$runtime: pids limit" 77 d "${run[@]}" --rm --pids-limit 77 $image cat /sys/fs/cgroup/pids.max
    check "$runtime: update" bash -c "docker ${run[*]} -d --name lim -m 64m $image sleep 100 && docker update -m 80m --memory-swap 80m lim"
    expect "$runtime: was updated" 83886080 d exec lim cat /sys/fs/cgroup/memory.max
    d rm -f lim >/dev/null
    d "${run[@]}" --name oom -m 16m --memory-swap 16m $image sh -c 'dd if=/dev/zero of=/dev/null bs=64M' >/dev/null 2>&1
    expect "$runtime: OOM is told" true d inspect -f '{{.State.OOMKilled}}' oom
    d rm -f oom >/dev/null
}

# The classic builder runs each RUN step in a container of the default runtime.
build() {
    mkdir -p "$work/build"
    printf 'FROM %s\nRUN echo built > /built && id -u > /uid\nUSER 1000\nRUN id -u > /tmp/uid\nCMD cat /built /uid /tmp/uid\n' "$image" \
        >"$work/build/Dockerfile"
    local opts=()
    [ "${net[*]: -1}" != --bridge=none ] || opts=(--network none)
    check "$runtime: build" env DOCKER_BUILDKIT=0 docker build -q "${opts[@]}" -t "built-$runtime" "$work/build"
    expect "$runtime: what was built runs" $'built\n0\n1000' d "${run[@]}" --rm "built-$runtime"
    : >"$work/calls"
    check "$runtime: build by BuildKit" env DOCKER_BUILDKIT=1 docker build -q --no-cache "${opts[@]}" -t "bk-$runtime" "$work/build"
    expect "$runtime: what it built runs" $'built\n0\n1000' d "${run[@]}" --rm "bk-$runtime"
    check "$runtime: krun ran BuildKit's steps" [ "$(calls run)" = 2 ]
}

networks() {
    local run=(run --runtime "$runtime")
    if [ "${net[*]: -1}" = --bridge=none ]; then
        skip "$runtime: networks" "this kernel has no bridge device"
        return
    fi
    check "$runtime: network create" d network create "net-$runtime"
    check "$runtime: a server in it" d "${run[@]}" -d --name srv --network "net-$runtime" $image httpd -f -p 80 -h /etc
    expect "$runtime: reached by name" 'root:' d "${run[@]}" --rm --network "net-$runtime" $image wget -qO- http://srv/passwd
    expect "$runtime: container's network shared" 'root:' d "${run[@]}" --rm --network container:srv $image wget -qO- http://127.0.0.1/passwd
    d rm -f srv >/dev/null
    check "$runtime: network rm" d network rm "net-$runtime"
}

for runtime in ${KRUN_ENGINES_RUNTIMES:-$runtimes}; do
    start_docker --default-runtime "$runtime" || { say "FAIL  docker: dockerd does not start with $runtime"; failed=$((failed + 1)); continue; }
    [ -n "$(docker images -q $image)" ] || check "load" docker load -i "$work/image.tar"
    case $runtime in
    krun) root=/run/docker/runtime-runc/moby ;;
    krun-shim) root=/run/containerd/krun/moby ;;
    runc) root=/run/docker/runtime-runc/moby KRUN=$(command -v runc) ;;
    esac
    life
    networks
    kill "$daemon" && wait "$daemon"
    kill "$containerd" && wait "$containerd"
done
finish
