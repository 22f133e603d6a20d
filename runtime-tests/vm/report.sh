#!/bin/sh
# What was skipped where, and whether every test ran somewhere.
#
#   report.sh one DIR       one machine's summary, from the files `tests`, `skips` and `log` in DIR
#   report.sh all DIR...    the sum; fails and names the tests that ran in none
set -eu

# Tests that DIR ran to the end: those listed less those skipped and those ignored.
ran() {
    touch "$1/skips" "$1/log"
    awk 'FILENAME ~ /skips$/ { sub(":$", "", $2); skipped[$2]; next }
         FILENAME ~ /log$/ { if (/^test .* \.\.\. ignored/) skipped[$2]; next }
         !($1 in skipped) { print $1 }' "$1/skips" "$1/log" "$1/tests"
}

# Adds the figures of libtest's closing lines.
figure() {
    cat "$@" | sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' |
        awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }'
}

one() {
    touch "$1/skips" "$1/tests" "$1/log"
    name=$(basename "$1")
    skipped=$(sort -u "$1/skips" | wc -l)
    # shellcheck disable=SC2046
    set -- "$1" $(figure "$1/log")
    if [ "$skipped" -gt 0 ]; then
        echo "$name: skipped, by reason:"
        sort -u "$1/skips" | sed 's/^SKIPPED [^ ]*: //' | sort | uniq -c | sort -rn
    fi
    echo "$name: $(($2 - skipped)) passed, $3 failed, $skipped skipped"
    if [ $(($2 + $3)) -eq 0 ]; then
        echo "$name: no test ran"
        [ ! -s "$1.output" ] || tail -n 20 "$1.output" | sed 's/^/    /'
        return 1
    fi
    [ "$3" -eq 0 ]
}

all() {
    status=0 passed=0 failed=0
    list=$(mktemp)
    for dir; do
        one "$dir" || status=1
        # shellcheck disable=SC2046
        set -- $(figure "$dir/log")
        passed=$((passed + $1 - $(sort -u "$dir/skips" | wc -l)))
        failed=$((failed + $2))
        ran "$dir" >> "$list.ran"
        cut -d' ' -f1 "$dir/tests" >> "$list"
    done
    sort -u "$list.ran" > "$list.once"
    nowhere=$(sort -u "$list" | comm -23 - "$list.once")
    rm -f "$list" "$list.ran" "$list.once"
    if [ -n "$nowhere" ]; then
        echo "tests that ran on no machine:"
        echo "$nowhere" | sed 's/^/  /'
        status=1
    else
        echo "every test ran on at least one machine"
    fi
    count=$([ -z "$nowhere" ] || echo "$nowhere" | wc -l)
    echo "$passed passed, $failed failed, ${count:-0} skipped"
    return $status
}

mode=$1
shift
"$mode" "$@"
