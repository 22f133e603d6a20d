#!/bin/sh
# Prints a directory to lay over the root of a test machine: Debian's programs that
# busybox has no match for (newuidmap, ip and rdma, apparmor_parser, mke2fs, strace), and their libraries.
#
#   tools.sh ARCH
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$here/../../build}
arch=$1
case $arch in
x86_64) deb_arch=amd64 ;;
aarch64) deb_arch=arm64 ;;
*) echo "tools.sh: unknown architecture $arch" >&2; exit 1 ;;
esac
dir=$build/vm/$arch/tools
if [ "$dir/complete" -nt "$0" ]; then echo "$dir/root"; exit 0; fi

rm -rf "$dir"
mkdir -p "$dir/root"
# By the suite's name, not `host`: what the host has installed would be left out.
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
"$here/debs.sh" closure "$suite" "$deb_arch" "$dir/debs" uidmap iproute2 e2fsprogs strace
"$here/debs.sh" only "$suite" "$deb_arch" "$dir/debs" apparmor libstdc++6

# Copies a file to the tools, and whatever libraries it names. Merged /usr moves files from suite to suite;
# an absolute link would be the host's.
take() {
    [ ! -e "$dir/root$2/$1" ] || return 0
    found=$(find "$dir/debs" -name "$1" \( -type f -o -lname '[!/]*' \) ! -path '*/doc/*' ! -path '*/bash-completion/*' | head -n 1)
    [ -n "$found" ] || { echo "tools.sh: no $1 among the packages" >&2; exit 1; }
    mkdir -p "$dir/root$2"
    cp -L --preserve=mode "$found" "$dir/root$2/$1"
    for library in $(readelf -d "$dir/root$2/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        take "$library" "/lib/$arch-linux-gnu"
    done
}
for program in newuidmap newgidmap ip rdma apparmor_parser mke2fs strace; do take "$program" /sbin; done
loader=$(readelf -l "$dir/root/sbin/ip" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
take "$(basename "$loader")" "$(dirname "$loader")"
rm -rf "$dir/debs"
: > "$dir/complete"
echo "$dir/root"
