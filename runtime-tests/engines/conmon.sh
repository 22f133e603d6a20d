#!/bin/bash
# conmon as CRI-O drives it: a monitor for the container and one for each exec,
# their exit codes in files, the log in the CRI's format.
suite=conmon
. "$(dirname "$0")/lib.sh"
base=/run/crio-test root=/run/crio-test/state
mkdir -p $base/{bundle/rootfs,exits,pidfiles,socket,persist} $root
tar -xf "$work/image/layer.tar" -C $base/bundle/rootfs

# bundle TERMINAL COMMAND: a config.json whose shell runs it.
bundle() {
    rm -f $base/bundle/config.json
    "$KRUN" spec -b $base/bundle
    jq --argjson tty "$1" --arg command "$2" '.process.terminal = $tty | .process.args = ["/bin/sh", "-c", $command]
        | .process.env = ["PATH=/bin"] | .root.readonly = false | .linux.cgroupsPath = "/crio-test"' \
        $base/bundle/config.json >$base/config.new
    mv $base/config.new $base/bundle/config.json
}

# conmon_reports ARG...: starts conmon with CRI-O's flags and prints what it
# reports on its sync pipe, which it keeps open: one line is all.
conmon_reports() {
    # Descriptor 3: the sync pipe, 4: the start pipe, which lets it go on.
    head -n 1 < <(_OCI_SYNCPIPE=3 _OCI_STARTPIPE=4 conmon -r "$KRUN" -b $base/bundle --exit-dir $base/exits \
        --persist-dir $base/persist --socket-dir-path $base/socket --runtime-arg --root=$root "$@" \
        3>&1 4< <(echo) >/dev/null 2>>"$work/conmon.log" </dev/null)
}
# monitor ID ARG...: creates a container.
monitor() { conmon_reports -c "$1" -n "$1" -u "$1" -p "$base/pidfiles/$1" --full-attach "${@:2}"; }
# run_exec ID ARG...: an exec with a monitor of its own, as for an exec probe.
run_exec() {
    printf '%s' "$process" >$base/process.json
    conmon_reports -c "$1" -n "$1" -u "$1" -p $base/pidfiles/exec -e --exec-process-spec $base/process.json \
        -l $base/exec.log --sync "${@:2}"
}
process_of() { jq --arg command "$1" --argjson tty "${2:-false}" '.process | .terminal = $tty | .args = ["/bin/sh", "-c", $command]' $base/bundle/config.json; }
krun() { "$KRUN" --root $root "$@"; }
is() { [ "$(krun state "$1" | jq -r .status)" = "$2" ]; }

life() {
    local id=$kind pid
    bundle "$tty" 'echo to the log; echo as error >&2; trap "exit 7" TERM; while :; do sleep 0.1; done'
    expect "$kind: create reports the pid" '"pid":' monitor "$id" -l $base/log "${flags[@]}"
    pid=$(cat $base/pidfiles/"$id")
    check "$kind: it is created" is "$id" created
    check "$kind: start" krun start "$id"
    check "$kind: it runs" is "$id" running
    expect "$kind: krun list shows it" "$id" krun list
    check "$kind: its parent is conmon" bash -c "[ \"\$(cat /proc/\$(awk '{print \$4}' /proc/$pid/stat)/comm)\" = conmon ]"
    check "$kind: the log is the CRI's" until_ok grep -Eq '^[0-9T:.Z+-]+ stdout F to the log' $base/log
    process=$(process_of 'echo from exec; exit 3')
    expect "$kind: exec's exit code" '"exit_code": 3' run_exec "$id"
    check "$kind: exec's log" until_ok grep -q 'stdout F from exec' $base/exec.log
    process=$(process_of '[ -t 1 ] && echo has a terminal' true)
    expect "$kind: exec with a terminal" '"exit_code": 0' run_exec "$id" -t
    check "$kind: its log" until_ok grep -q 'has a terminal' $base/exec.log
    process='{"cwd":"/","args":["/no/such"],"user":{"uid":0,"gid":0}}'
    expect "$kind: exec of a missing program is told" '/no/such' run_exec "$id"
    check "$kind: pause" krun pause "$id"
    check "$kind: it is paused" is "$id" paused
    check "$kind: resume" krun resume "$id"
    check "$kind: kill TERM" krun kill "$id" TERM
    check "$kind: its code is in the exit file" until_ok bash -c "[ \"\$(cat $base/exits/$id)\" = 7 ]"
    check "$kind: it is stopped" is "$id" stopped
    check "$kind: delete" krun delete "$id"
    check "$kind: conmon has gone" until_ok bash -c '! pgrep -x conmon'
    check "$kind: no state is left" [ -z "$(ls $root)" ]
    check "$kind: no cgroup is left" [ ! -e /sys/fs/cgroup/crio-test ]
    rm -f $base/log $base/exec.log $base/exits/*
}

for kind in pipes terminal; do
    case $kind in
    pipes) tty=false flags=() ;;
    terminal) tty=true flags=(-t) ;;
    esac
    life
done
bundle false true
jq '.process.args = ["/no/such"]' $base/bundle/config.json >$base/config.new
mv $base/config.new $base/bundle/config.json
monitor missing -l $base/log >"$work/sync" || true
expect "a missing program is told at create or start" '/no/such' bash -c "cat '$work/sync'; '$KRUN' --root $root start missing"
"$KRUN" --root $root delete --force missing 2>/dev/null
finish
