# Sourced: a pod's life, told by crictl. $handler is the runtime.

# crictl_life SOCKET
crictl_life() {
    local dir=$work/crictl-$handler pod c
    mkdir -p "$dir/logs"
    : >/run/crictl.yaml
    crictl() { command crictl -c /run/crictl.yaml -r "unix://$socket" -i "unix://$socket" -t 30s "$@"; }
    local socket=$1
    cat >"$dir/pod.json" <<JSON
{"metadata":{"name":"pod","namespace":"default","uid":"uid-$handler","attempt":1},"hostname":"pod-host",
 "log_directory":"$dir/logs","linux":{"cgroup_parent":"/crictl-$handler"}}
JSON
    cat >"$dir/container.json" <<JSON
{"metadata":{"name":"main"},"image":{"image":"docker.io/library/krun-test:latest"},
 "command":["sh","-c","echo to the log; exec sleep 1000"],"log_path":"main.log","linux":{}}
JSON
    check "$handler: info" crictl info
    pod=$(crictl runp --runtime "$handler" "$dir/pod.json") || { say "FAIL  $suite: $handler: runp"; failed=$((failed + 1)); return; }
    expect "$handler: pods" Ready crictl pods
    c=$(crictl create "$pod" "$dir/container.json" "$dir/pod.json") || { say "FAIL  $suite: $handler: create"; failed=$((failed + 1)); return; }
    check "$handler: start" crictl start "$c"
    expect "$handler: ps" Running crictl ps
    expect "$handler: exec" pod-host crictl exec "$c" hostname
    expect "$handler: exec -s" 'uid=0' crictl exec -s "$c" id
    expect "$handler: exec's exit code" 'exited with 7' crictl exec -s "$c" sh -c 'exit 7'
    expect "$handler: exec -it" 'tty=/dev/' in_tty crictl -c /run/crictl.yaml -r "unix://$socket" exec -it "$c" sh -c 'echo tty=$(tty)'
    expect "$handler: logs" 'to the log' crictl logs "$c"
    check "$handler: stats" crictl stats "$c"
    expect "$handler: inspect" '"CONTAINER_RUNNING"' crictl inspect "$c"
    expect "$handler: inspectp" '10.88.0.' crictl inspectp "$pod"
    check "$handler: stop" crictl stop -t 1 "$c"
    expect "$handler: its code was kept" 143 crictl inspect -o go-template --template '{{.status.exitCode}}' "$c"
    check "$handler: rm" crictl rm "$c"
    check "$handler: stopp" crictl stopp "$pod"
    check "$handler: rmp" crictl rmp "$pod"
    expect "$handler: nothing is left" 'POD ID' crictl pods
    status "$handler: the pod is gone" 1 crictl inspectp "$pod"
}
