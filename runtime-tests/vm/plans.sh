#!/bin/sh
# Compares the plans that krun made of one bundle on two architectures, byte by byte.
#
#   plans.sh PLAN.json PLAN.json
#
# Arch-specific by nature, and so left out of the comparison: `seccomp`, a program over
# system call numbers. Nothing else is.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for plan; do
    jq 'del(.seccomp)' "$plan" > "$work/$(echo "$plan" | tr / _)"
done
if diff "$work"/*; then
    echo "plans: the same on both architectures"
else
    echo "plans: different between architectures"
    exit 1
fi
