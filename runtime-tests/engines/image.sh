#!/bin/bash
# image.sh DIR: makes DIR/image.tar, in docker's archive format: an image of
# busybox named docker.io/library/krun-test:latest, and docker.io/library/
# krun-pause:latest that sleeps until SIGTERM. No registry.
set -eu
dir=$1
busybox=$(command -v busybox)
root=$dir/image-root
mkdir -p "$root"/{bin,etc,tmp,root,proc,sys,dev,home/user}
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/home/user:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
user:x:1000:' >"$root/etc/group"
chmod 1777 "$root/tmp"
mkdir -p "$dir/image"
tar --numeric-owner --owner=0 --group=0 -C "$root" -cf "$dir/image/layer.tar" .
layer=$(sha256sum <"$dir/image/layer.tar" | cut -d' ' -f1)
arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
config() {
    cat <<JSON
{"architecture":"$arch","os":"linux","config":{"Cmd":$1,"Env":["PATH=/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
JSON
}
config '["/bin/sh"]' >"$dir/image/config.json"
# CRI-O waits for a minute for a pod whose first process ignores SIGTERM.
config '["/bin/sh","-c","trap exit TERM; sleep 1000000 & wait"]' >"$dir/image/pause.json"
cat >"$dir/image/manifest.json" <<'JSON'
[{"Config":"config.json","RepoTags":["docker.io/library/krun-test:latest"],"Layers":["layer.tar"]},
 {"Config":"pause.json","RepoTags":["docker.io/library/krun-pause:latest"],"Layers":["layer.tar"]}]
JSON
tar -C "$dir/image" -cf "$dir/image.tar" manifest.json config.json pause.json layer.tar
rm -rf "$root"
