#!/bin/sh
# Builds the initramfs that every virtual machine starts from: busybox, the init
# script and the modules in `modules.list`, in load order. What a run adds (krun,
# tests, fixtures) is a second archive that the runner appends.
#
#   initramfs.sh ARCH KERNEL    prints the path of the archive
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$here/../../build}
arch=$1 kernel=$2
kernel_dir=$("$here/kernel.sh" "$arch" "$kernel")
busybox=$("$here/busybox.sh" "$arch")
out=$build/vm/$arch/initramfs-$kernel.cpio

fresh() {
    [ -s "$out" ] || return 1
    for source in "$here/init" "$here/modules.list" "$here/initramfs.sh" "$kernel_dir/version"; do
        [ "$out" -nt "$source" ] || return 1
    done
}
if fresh; then echo "$out"; exit 0; fi

root=$out.root
rm -rf "$root"
mkdir -p "$root/bin" "$root/modules" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/new"
cp "$busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cp "$here/init" "$root/init"
chmod 755 "$root/init"

# Module names in load order, each after what it depends on (modules.dep lists
# dependencies closest first). Names the kernel has built in are simply absent.
awk -v list="$here/modules.list" '
    { split($0, half, ":"); path = half[1]; deps[path] = half[2]
      name = path; sub(".*/", "", name); sub("[.]ko.*", "", name); gsub("-", "_", name); by_name[name] = path }
    END {
        while ((getline name < list) > 0) {
            sub("#.*", "", name); gsub("[ \t]", "", name); gsub("-", "_", name)
            if (!(name in by_name)) continue
            n = split(deps[by_name[name]], need, " ")
            for (i = n; i > 0; i--) load(need[i])
            load(by_name[name])
        }
    }
    function load(path) { if (path != "" && !seen[path]++) print path }
' "$kernel_dir/modules.dep" > "$root/modules/order"
while read -r path; do
    cp "$kernel_dir/modules/${path#*/lib/modules/*/}" "$root/modules/" 2>/dev/null ||
        cp "$kernel_dir/modules/$path" "$root/modules/"
done < "$root/modules/order"
sed -i 's|.*/||' "$root/modules/order"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) > "$out.new"
mv "$out.new" "$out"
rm -rf "$root"
echo "$out"
