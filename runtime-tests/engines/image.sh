#!/bin/bash
# image.sh DIR: makes DIR/image.tar, an image of busybox named
# docker.io/library/krun-test:latest in docker's archive format. No registry.
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
cat >"$dir/image/config.json" <<JSON
{"architecture":"$arch","os":"linux","config":{"Cmd":["/bin/sh"],"Env":["PATH=/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
JSON
echo '[{"Config":"config.json","RepoTags":["docker.io/library/krun-test:latest"],"Layers":["layer.tar"]}]' \
    >"$dir/image/manifest.json"
tar -C "$dir/image" -cf "$dir/image.tar" manifest.json config.json layer.tar
rm -rf "$root"
