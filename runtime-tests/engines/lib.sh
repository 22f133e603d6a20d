# Sourced by every engine's script: checks, waiting, the image.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${KRUN_ENGINES_WORK:?}
failed=0

say() { printf '%s\n' "$*" >&2; }

# check NAME COMMAND...: the command must succeed.
check() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        say "ok    $suite: $name"
    else
        say "FAIL  $suite: $name: exit $?"
        say "      $* -> ${out:0:2000}"
        failed=$((failed + 1))
    fi
}

# expect NAME WANTED COMMAND...: the command's output must contain a text.
expect() {
    local name=$1 wanted=$2 out status=0
    shift 2
    out=$("$@" 2>&1) || status=$?
    if [[ $out == *"$wanted"* ]]; then
        say "ok    $suite: $name"
    else
        say "FAIL  $suite: $name: no \"$wanted\" (exit $status)"
        say "      $* -> ${out:0:2000}"
        failed=$((failed + 1))
    fi
}

# status NAME CODE COMMAND...: the command must end with a code.
status() {
    local name=$1 wanted=$2 out got=0
    shift 2
    out=$("$@" 2>&1) || got=$?
    if [ "$got" = "$wanted" ]; then
        say "ok    $suite: $name"
    else
        say "FAIL  $suite: $name: exit $got, not $wanted"
        say "      $* -> ${out:0:2000}"
        failed=$((failed + 1))
    fi
}

# skip NAME WHY: says so, loudly.
skip() { say "SKIP  $suite: $1: $2"; }

# until_ok COMMAND...: tries for ten seconds.
until_ok() {
    local _
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}

# in_tty COMMAND...: with a terminal, whose carriage returns are dropped. At the
# end of its input a client may leave before the output has come: there is none.
in_tty() {
    [ -p "$work/silence" ] || mkfifo "$work/silence"
    script -qec "$(printf '%q ' "$@")" /dev/null <>"$work/silence" | tr -d '\r'
}

# counted_krun FILE [LINE]: krun under another name, that notes the commands it
# is given: some engines would quietly use a runc they find. LINE goes before.
counted_krun() {
    cat >"$1" <<SH
#!/bin/sh
echo " \$* " >>"$work/calls"
${2:-}
exec "$KRUN" "\$@"
SH
    chmod 755 "$1"
    : >"$work/calls"
}
# calls COMMAND: how often it was called.
calls() { grep -c " $1 " "$work/calls"; }

# The network of pods.
cni_bridge() {
    cat >/etc/cni/net.d/10-test.conflist <<'JSON'
{"cniVersion":"0.4.0","name":"test","plugins":[
 {"type":"bridge","bridge":"cni-test","isGateway":true,"ipMasq":false,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/24"}]]}}]}
JSON
}

# Where podman and CRI-O keep images, and that they need no signature.
containers_storage() {
    echo '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
    cat >/etc/containers/storage.conf <<'TOML'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
TOML
}

finish() {
    [ "$failed" = 0 ] || { say "$suite: $failed failed"; exit 1; }
}
