#!/bin/sh
# Prints the path of Debian's static busybox for ARCH (x86_64 or aarch64), fetching it if needed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$here/../../build}
case $1 in
x86_64) deb_arch=amd64 ;;
aarch64) deb_arch=arm64 ;;
*) echo "busybox.sh: unknown architecture $1" >&2; exit 1 ;;
esac
dir=$build/vm/$1/busybox
if [ ! -x "$dir/busybox" ]; then
    rm -rf "$dir.new"
    "$here/debs.sh" only host "$deb_arch" "$dir.new" busybox-static
    # Merged /usr moves the file from suite to suite.
    found=$(find "$dir.new" -type f -path '*bin/busybox' | head -n 1)
    mkdir -p "$dir"
    mv "$found" "$dir/busybox"
    rm -rf "$dir.new"
fi
echo "$dir/busybox"
