# What stands around this process, in lines that are the same wherever it was started.
grep -E '^(Cap...|Seccomp|NoNewPrivs):' /proc/self/status
echo "descriptors $(ls /proc/self/fd | wc -w)"
for path in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do
  [ -e $path ] && echo "$path $(head -c 100 $path | wc -c)"
done
echo "firmware $(ls -A /sys/firmware 2>/dev/null | wc -l)"
for path in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do
  (echo 1 > $path) 2>/dev/null && echo "could write $path"
done
mknod /tmp/kmsg-$$ c 1 11 && (cat /tmp/kmsg-$$ > /dev/null) 2>/dev/null && echo "could read kmsg"
rm -f /tmp/kmsg-$$
unshare -U true 2>/dev/null && echo "could make a user namespace"
mount -t tmpfs x /mnt 2>/dev/null && echo "could mount"
find /sys/fs/cgroup -name release_agent 2>/dev/null
tr '\0' '\n' < /proc/self/environ | grep LEAKED
grep '@.*orchestra' /proc/net/unix
grep -c . /proc/sysvipc/shm
for kind in mnt uts pid ipc net cgroup; do
  readlink /proc/self/ns/$kind > /tmp/ns-$$
  grep -qxF "$(cat /tmp/ns-$$)" /hosts-namespaces 2>/dev/null && echo "shares $kind with the host"
done
rm -f /tmp/ns-$$
ls -A /dev | grep -vE '^(console|core|fd|full|mqueue|null|ptmx|pts|random|shm|stderr|stdin|stdout|tty|urandom|zero)$'
echo end
