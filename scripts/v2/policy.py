"""Print a small policy of SELinux: what tests of labels need, for checkpolicy.

Only changes of a process and the opening of files are spoken of: everything else is allowed, as
the policy is compiled with unknown permissions allowed. A container opens its own files and the
kernel's.
"""

from __future__ import annotations

# By their numbers in the kernel (security/selinux/include/initial_sid_to_string.h).
SIDS = (
    "kernel", "security", "unlabeled", "fs", "file", "file_labels", "init",
    "any_socket", "port", "netif", "netmsg", "node", "igmp_packet", "icmp_socket",
    "tcp_socket", "sysctl_modprobe", "sysctl", "sysctl_fs", "sysctl_kernel", "sysctl_net",
    "sysctl_net_unix",
    "sysctl_vm", "sysctl_dev", "kmod", "policy", "scmp_packet", "devnull",
)  # fmt: skip
TYPES = ("host_t", "kernel_fs_t", "container_t", "other_t", "container_file_t", "other_file_t")
USERS = ("system_u", "other_u")
ROLES = ("system_r", "other_r")
OTHER_FILES = ("dir", "lnk_file", "fifo_file", "sock_file", "chr_file", "blk_file")
"""Classes that have no wall here, but must be known to be relabelled."""
GENERATED = ("proc", "sysfs", "cgroup2", "devtmpfs", "selinuxfs", "securityfs", "nsfs", "sockfs")


def policy() -> str:
    """Return the source."""
    categories = [f"c{number}" for number in range(1024)]
    everything = "s0 - s0:c0.c1023"
    files = ("file", *OTHER_FILES)
    lines = ["class process", *(f"class {name}" for name in files)]
    lines += [f"sid {name}" for name in SIDS]
    lines += ["class process { transition dyntransition }"]
    lines += [f"class {name} {{ open }}" for name in files]
    lines += ["sensitivity s0;", "dominance { s0 }", *(f"category {name};" for name in categories)]
    lines += ["level s0:c0.c1023;", "mlsconstrain file { open } ( l1 dom l2 or t1 == host_t );"]
    lines += ["policycap open_perms;", *(f"type {name};" for name in TYPES)]
    every, others = " ".join(TYPES), " ".join(OTHER_FILES)
    lines += [f"allow host_t {{ {every} }}:file open;"]
    lines += [f"allow host_t {{ {every} }}:process {{ transition dyntransition }};"]
    lines += [f"allow {{ {every} }} {{ {every} }}:{{ {others} }} open;"]
    for name in ("container_t", "other_t"):
        lines.append(f"allow {name} {{ container_file_t kernel_fs_t {name} }}:file open;")
    lines += [f"role {role};" for role in ROLES]
    lines += [f"role {role} types {{ {every} }};" for role in ROLES]
    lines += [
        f"user {user} roles {{ {' '.join(ROLES)} }} level s0 range {everything};" for user in USERS
    ]
    lines += [f"sid {name} system_u:system_r:host_t:s0" for name in SIDS]
    lines += [f"fs_use_xattr {name} system_u:object_r:host_t:s0;" for name in ("ext4", "overlay")]
    lines += [
        f"fs_use_trans {name} system_u:object_r:host_t:s0;"
        for name in ("tmpfs", "devpts", "mqueue")
    ]
    lines += [f"genfscon {name} / system_u:object_r:kernel_fs_t:s0" for name in GENERATED]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(policy(), end="")
