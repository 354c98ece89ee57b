# A Debian box of its own: this machine's files below an overlay that goes away, systemd as PID 1. Run by tests/src/machine.rs
# in new mount, process, UTS, IPC and cgroup namespaces; $1 is an empty folder.
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
root=$1/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work,index=off" "$root"
# What this machine was told not to start, or to start, is not the box's affair; nor are files of people.
rm -f "$root/usr/sbin/policy-rc.d"
rm -rf "$root/etc/systemd/system" "$root/etc/vesper" "$root/var/lib/vesper"
mkdir "$root/etc/systemd/system"
: > "$root/etc/machine-id"
: > "$root/etc/fstab"
echo box > "$root/etc/hostname"
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
for folder in run tmp root home; do
    mount -t tmpfs -o mode=0755 tmpfs "$root/$folder"
done
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
# What changed since the start can be seen here.
mkdir -p "$root/mnt/upper"
mount --bind "$1/upper" "$root/mnt/upper"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
# Where only root may look, as systemd mounts it.
mount -t bpf -o mode=0700 bpf "$root/sys/fs/bpf"
# Nodes of its own: PrivateDevices= cannot bind over bind mounts.
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666
cd "$root"
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
mount --make-rshared /
exec env -i container=vesper-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --log-target=journal-or-kmsg --log-level=info --unit=multi-user.target
