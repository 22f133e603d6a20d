#!/bin/sh
# busybox.sh [ARCH]: prints the path of a static busybox for ARCH.
# This machine's own comes from its package busybox-static; another
# architecture's package is fetched and unpacked, never installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
arch=${1:-$(uname -m)}
cache=${KRUN_FIXTURE_CACHE:-$here/../build/fixtures}
out=$cache/busybox-$arch

case $arch in
x86_64) deb=amd64 ;;
aarch64) deb=arm64 ;;
*) echo "busybox.sh: unknown architecture $arch (x86_64 or aarch64)" >&2; exit 1 ;;
esac

if [ ! -x "$out" ]; then
    mkdir -p "$cache"
    if [ "$arch" = "$(uname -m)" ] && [ -x /bin/busybox ] && dpkg -s busybox-static >/dev/null 2>&1; then
        cp /bin/busybox "$out"
    else
        command -v apt-get >/dev/null || { echo "busybox.sh: needs apt-get (Debian) or a static busybox as $out" >&2; exit 1; }
        [ "$deb" = "$(dpkg --print-architecture)" ] || dpkg --print-foreign-architectures | grep -qx "$deb" || dpkg --add-architecture "$deb"
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        chmod 755 "$work"
        (cd "$work" && { apt-get download -q "busybox-static:$deb" || { apt-get update -q && apt-get download -q "busybox-static:$deb"; }; }) >"$cache/fetch.log" 2>&1 ||
            { cat "$cache/fetch.log" >&2; exit 1; }
        dpkg -x "$work"/busybox-static_*.deb "$work/root"
        # /bin or /usr/bin, as the suite has it.
        for b in "$work/root/bin/busybox" "$work/root/usr/bin/busybox"; do
            [ -x "$b" ] && cp "$b" "$out" && break
        done
    fi
fi
echo "$out"
