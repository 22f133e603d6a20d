#!/bin/bash
# containerd and ctr: with our shim, and with Go's shim and krun as its runc.
suite=containerd
. "$(dirname "$0")/lib.sh"
: "${CONTAINERD:=containerd}" "${CTR:=ctr}"
sock=/run/containerd/containerd.sock
image=docker.io/library/krun-test:latest

mkdir -p /run/containerd
cat >/run/containerd/config.toml <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
[grpc]
  address = "$sock"
TOML

start_containerd() {
    "$CONTAINERD" -c /run/containerd/config.toml -l warn >>"$work/containerd.log" 2>&1 &
    daemon=$!
    until_ok "$CTR" version || { say "containerd does not start: $(tail -3 "$work/containerd.log")"; exit 1; }
}

ctr() { command "$CTR" "$@"; }
# A default of ctr asks for a weight, which needs the cpu controller.
grep -qw cpu /sys/fs/cgroup/cgroup.controllers && shares=() || shares=(--cpu-shares 0)
run() { ctr run "${shares[@]}" "${flags[@]}" "$@"; }
shims() { pgrep -f "containerd-shim-$1-v2 .*-namespace" | wc -l; }
no_shim() { [ "$(shims "$shim")" = 0 ]; }
no_state() { [ -z "$(ls "$1" 2>/dev/null)" ]; }

life() {
    expect "$kind: output" hello run --rm "$image" c1 echo hello
    status "$kind: exit status" 42 run --rm "$image" c1 sh -c 'exit 42'
    expect "$kind: a missing program is named" 'no/such' run --rm "$image" c1 /no/such
    ctr container rm c1 2>/dev/null
    expect "$kind: terminal" 'tty=/dev/' in_tty "$CTR" run "${shares[@]}" "${flags[@]}" --rm -t "$image" c1 sh -c 'echo tty=$(tty)'
    expect "$kind: stdin" 'got word' bash -c "echo word | $CTR run ${shares[*]} ${flags[*]} --rm $image c1 sh -c 'read x; echo got \$x'"
    check "$kind: run -d" run -d "$image" c1 sleep 1000
    expect "$kind: krun list shows it" c1 "$KRUN" --root "$root" list
    expect "$kind: task list" RUNNING ctr task ls
    expect "$kind: exec" 'uid=1000' ctr task exec --exec-id e1 --user 1000 c1 id
    status "$kind: exec's exit status" 3 ctr task exec --exec-id e2 c1 sh -c 'exit 3'
    expect "$kind: exec with a terminal" 'tty=/dev/' in_tty "$CTR" task exec -t --exec-id e3 c1 sh -c 'echo tty=$(tty)'
    expect "$kind: ps" PID ctr task ps c1
    check "$kind: metrics" ctr task metrics c1
    check "$kind: pause" ctr task pause c1
    expect "$kind: is paused" PAUSED ctr task ls
    check "$kind: resume" ctr task resume c1
    check "$kind: kill" ctr task kill -s KILL c1
    check "$kind: stopped" until_ok bash -c "$CTR task ls | grep -q STOPPED"
    expect "$kind: delete tells the status" 'code 137' ctr task delete c1
    check "$kind: container rm" ctr container rm c1
    check "$kind: log to a file" run --log-uri "file://$work/c1.log" -d "$image" c2 sh -c 'echo logged; sleep 0.1'
    check "$kind: the file has it" until_ok grep -q logged "$work/c1.log"
    rm -f "$work/c1.log"
    { ctr task delete -f c2; ctr container rm c2; } >/dev/null 2>&1
    check "$kind: no state is left" until_ok no_state "$root"
    check "$kind: no shim is left" until_ok no_shim
}

# A killed shim is cleaned up after; a killed containerd finds its containers
# again; both killed, everything goes when containerd is back.
kills() {
    local n pids
    for n in $(seq "$many"); do run -d "$image" "k$n" sleep 1000 || break; done
    check "$kind: $many containers run" [ "$(ctr task ls | grep -c RUNNING)" = "$many" ]
    kill -9 "$daemon"; wait "$daemon" 2>/dev/null
    start_containerd
    check "$kind: all are there after containerd was killed" until_ok bash -c "[ \$($CTR task ls | grep -c RUNNING) = $many ]"
    expect "$kind: and take an exec" back ctr task exec --exec-id b k1 echo back
    pids=$(pgrep -f "containerd-shim-$shim-v2 .*-namespace")
    kill -9 $(echo "$pids" | head -n $((many / 2)))
    check "$kind: those of killed shims are gone" until_ok bash -c "[ \$($CTR task ls | grep -c RUNNING) = $((many - many / 2)) ]"
    kill -9 "$daemon" $(pgrep -f "containerd-shim-$shim-v2 .*-namespace"); wait "$daemon" 2>/dev/null
    start_containerd
    check "$kind: nothing runs after all was killed" until_ok bash -c "[ \$($CTR task ls | grep -c RUNNING) = 0 ]"
    check "$kind: no process is left" until_ok bash -c '! pgrep -x sleep'
    check "$kind: no state is left behind" until_ok no_state "$root"
    check "$kind: no mount is left" bash -c "! grep -q io.containerd.runtime.v2.task /proc/self/mountinfo"
    check "$kind: no cgroup is left" bash -c "! ls -d /sys/fs/cgroup/default/k*"
    for n in $(seq "$many"); do ctr task delete -f "k$n"; ctr container rm "k$n"; done >/dev/null 2>&1
}

start_containerd
check "image import" ctr image import "$work/image.tar"
many=${KRUN_ENGINES_MANY:-50}
for kind in ${KRUN_ENGINES_KINDS:-shim runc-binary}; do
    case $kind in
    shim) shim=krun flags=(--runtime io.containerd.krun.v2) root=/run/containerd/krun/default ;;
    runc-binary) shim=runc flags=(--runc-binary "$KRUN") root=/run/containerd/runc/default ;;
    # Proves that what fails is the runtime's fault.
    runc) shim=runc flags=() root=/run/containerd/runc/default KRUN=$(command -v runc) ;;
    esac
    life
    kills
done
kill "$daemon"
wait "$daemon" 2>/dev/null
finish
