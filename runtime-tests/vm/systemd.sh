#!/bin/sh
# Prints the directory of a Debian root with systemd for ARCH, made with debootstrap
# if needed. In it: a unit that runs /krun/run-in-vm, and the user `user` (1000) with
# subordinate ids, a lingering systemd of its own and every controller delegated.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${KRUN_BUILD:-$here/../../build}
arch=$1
dir=$build/vm/$arch/systemd-root
if [ "$dir/.complete" -nt "$0" ]; then echo "$dir"; exit 0; fi
if [ "$arch" != "$(uname -m)" ]; then
    echo "systemd.sh: a systemd root can only be made for $(uname -m)" >&2
    exit 1
fi

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
rm -rf "$dir"
mkdir -p "$dir"
debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,uidmap,iproute2,procps,busybox-static \
    "$suite" "$dir" "$mirror" > "$dir.log" 2>&1 || { tail -n 20 "$dir.log" >&2; exit 1; }
rm -rf "$dir"/var/cache/apt/* "$dir"/var/lib/apt/lists/* "$dir"/usr/share/doc "$dir"/usr/share/locale "$dir"/usr/share/man

in_root() { chroot "$dir" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
in_root useradd -m -u 1000 -s /bin/bash user
printf 'user:100000:65536\n' > "$dir/etc/subuid"
cp "$dir/etc/subuid" "$dir/etc/subgid"
mkdir -p "$dir/var/lib/systemd/linger" "$dir/etc/systemd/system/user@.service.d" "$dir/data/tmp" "$dir/out"
: > "$dir/var/lib/systemd/linger/user"
chmod 1777 "$dir/data/tmp"
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' > "$dir/etc/systemd/system/user@.service.d/delegate.conf"
echo krun-vm > "$dir/etc/hostname"
: > "$dir/etc/fstab"

cat > "$dir/usr/local/sbin/run-in-vm" <<'GUEST'
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/krun HOME=/root
[ -e /krun/krun ] && ln -sf /krun/krun /usr/local/bin/krun
[ -b /dev/vdc ] && mkswap /dev/vdc >/dev/null && swapon /dev/vdc
echo 16 > /proc/sys/vm/nr_hugepages
# The lingering user's own manager, which rootless tests talk to.
for _ in $(seq 60); do [ -S /run/user/1000/bus ] && break; sleep 0.5; done
sh /krun/run-in-vm
status=$?
[ -b /dev/vdb ] && tar cf /dev/vdb -C /out .
sync
printf '\nKRUN-VM-EXIT: %s\n' "$status"
sleep 0.2
exec poweroff -ff
GUEST
chmod 755 "$dir/usr/local/sbin/run-in-vm"
cat > "$dir/etc/systemd/system/run-in-vm.service" <<'UNIT'
[Unit]
Description=Run the command of the host
After=multi-user.target systemd-user-sessions.service
[Service]
Type=simple
ExecStart=/usr/local/sbin/run-in-vm
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
KillMode=process
Delegate=yes
TasksMax=infinity
UNIT
cat > "$dir/etc/systemd/system/run-in-vm.target" <<'UNIT'
[Unit]
Description=multi-user, then the command
Requires=multi-user.target
Wants=run-in-vm.service
After=multi-user.target
AllowIsolate=yes
UNIT
ln -sf /etc/systemd/system/run-in-vm.target "$dir/etc/systemd/system/default.target"
for unit in getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service systemd-timesyncd.service; do
    ln -sf /dev/null "$dir/etc/systemd/system/$unit"
done
: > "$dir/.complete"
echo "$dir"
