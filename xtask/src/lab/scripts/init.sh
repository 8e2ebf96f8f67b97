#!/bin/sh
# The guest's first process: it mounts file systems, loads modules, and runs the job. Whatever happens, the
# guest powers itself off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
echo 0 >/proc/sys/kernel/kptr_restrict
while read -r module; do
    insmod "/modules/$module" || echo "cannot load $module"
done </modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 out /out || echo 'cannot mount /out'
# IPv6's own packets (router solicitations, multicast reports) would disturb the counts.
for which in all default; do
    echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6
done
ip link set lo up
sh /job >/out/log 2>&1
sync
reboot -f
