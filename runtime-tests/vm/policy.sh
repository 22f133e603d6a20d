#!/bin/sh
# Prints the path of selinux.cil compiled, by Debian's secilc.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$here/../../build}
policy=$build/vm/selinux.policy
if [ ! "$policy" -nt "$here/selinux.cil" ]; then
    tools=$build/secilc
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    [ -x "$tools/usr/bin/secilc" ] ||
        "$here/debs.sh" closure "$suite" "$(dpkg --print-architecture)" "$tools" secilc
    libraries=$(dirname "$(find "$tools" -name 'libsepol.so*' | head -n 1)")
    # 33: what Linux 6.1 knows, and every later kernel reads.
    LD_LIBRARY_PATH=$libraries "$tools/usr/bin/secilc" -c 33 -o "$policy.new" -f /dev/null "$here/selinux.cil" >&2
    mv "$policy.new" "$policy"
fi
echo "$policy"
