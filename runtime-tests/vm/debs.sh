#!/bin/sh
# Fetches Debian packages with an apt of its own and unpacks them into a
# directory: nothing is installed, nothing on the host changes, and no conflict
# with what the host has installed is possible.
#
#   debs.sh closure SUITE ARCH DIR PACKAGE...   the packages and every dependency the host lacks
#   debs.sh only    SUITE ARCH DIR PACKAGE...   just these packages
#   debs.sh depends SUITE ARCH PACKAGE          what a package depends on, one name a line
#   debs.sh installed REGEX                     names installed on the host, on one line
#
# SUITE is a code name, or `host` for the suites the machine itself uses.
# The mirror is the machine's own; the project names none.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${KRUN_BUILD:-$top/build}

die() { echo "debs.sh: $*" >&2; exit 1; }

# The repositories of the machine, one line each: URI SUITE LABEL.
host_repositories() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(LABEL)' \
        'Created-By: Packages' 'Origin: Debian' | sort -u
}

# Writes the sources of SUITE to stdout.
sources() {
    repos=$(host_repositories)
    if [ -z "$repos" ]; then
        apt-get update -qq >&2 || true
        repos=$(host_repositories)
    fi
    [ -n "$repos" ] || die "apt knows no Debian repository: this needs Debian's packages"
    if [ "$1" = host ]; then
        echo "$repos" | while read -r uri suite _; do echo "deb $uri $suite main"; done
    else
        uri=$(echo "$repos" | awk '$3 == "Debian" { print $1; exit }')
        echo "deb $uri $1 main"
    fi
}

# Sets $apt to the options of the private apt for SUITE and ARCH, and updates it.
private_apt() {
    root=$build/apt/$1-$2
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
    [ -s "$root/sources.list" ] || { sources "$1" > "$root/new"; mv "$root/new" "$root/sources.list"; }
    host_arch=$(dpkg --print-architecture)
    if [ "$1" = host ] && [ "$2" = "$host_arch" ]; then
        cp /var/lib/dpkg/status "$root/status"
        for package in ${KRUN_DEBS_WITHOUT:-}; do
            awk -v p="Package: $package" 'BEGIN { RS=""; ORS="\n\n" } $0 !~ "^" p "\n"' \
                "$root/status" > "$root/new"
            mv "$root/new" "$root/status"
        done
    else
        : > "$root/status"
    fi
    apt="-qq -o Dir::State=$root -o Dir::State::lists=$root/lists -o Dir::State::status=$root/status
         -o Dir::Cache=$root/cache -o Dir::Etc::sourcelist=$root/sources.list -o Dir::Etc::sourceparts=-
         -o APT::Architecture=$2 -o APT::Architectures=$2 -o APT::Sandbox::User=root
         -o APT::Install-Recommends=false -o APT::Get::AllowUnauthenticated=false
         -o Acquire::Languages=none -o Acquire::Retries=5 -o Debug::NoLocking=1"
    [ -n "$(find "$root/updated" -mmin -720 2>/dev/null)" ] || update "$1 for $2"
}

# shellcheck disable=SC2086 # the options are words
update() {
    apt-get $apt update >&2 || { sleep 10; apt-get $apt update >&2; } || die "no package lists of $1"
    : > "$root/updated"
}

# Runs a command that fetches into $root/get; lists that are older than the mirror's packages are renewed once.
fetching() {
    for try in first second; do
        rm -rf "$root/get"; mkdir -p "$root/get/partial"
        ! (cd "$root/get" && "$@" >&2) || return 0
        [ "$try" = second ] || { sleep 10; update "$suite for $arch"; }
    done
    die "$suite for $arch: its packages could not be fetched"
}

unpack() {
    dir=$1
    mkdir -p "$dir"
    for deb in "$root"/get/*.deb; do
        dpkg-deb -x "$deb" "$dir"
    done
    rm -rf "$root/get"
}

if [ "$1" = installed ]; then
    dpkg-query -W -f '${Package}\n' | grep -E -- "$2" | sort -u | tr '\n' ' ' || true
    exit 0
fi
mode=$1 suite=$2 arch=$3
shift 3
command -v apt-get >/dev/null || die "apt-get is missing: this needs a Debian machine"
private_apt "$suite" "$arch"
case $mode in
closure)
    dir=$1; shift
    # shellcheck disable=SC2086
    fetching apt-get $apt -y --download-only -o Dir::Cache::archives="$root/get" -o Dpkg::Use-Pty=0 install "$@"
    unpack "$dir" ;;
only)
    dir=$1; shift
    # shellcheck disable=SC2086
    fetching apt-get $apt download "$@"
    unpack "$dir" ;;
depends)
    # shellcheck disable=SC2086
    apt-cache $apt depends --no-recommends --no-suggests "$1" | awk '$1 == "Depends:" { print $2 }' ;;
*)
    die "unknown mode $mode" ;;
esac
