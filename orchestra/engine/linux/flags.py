"""Constants of the kernel, each under the header that defines it.

Numbers alone: no call is made here. IntFlag where values are or-ed, IntEnum where one is picked.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

AT_FDCWD = -100
"""linux/fcntl.h: paths are relative to the working directory."""


class CloneFlag(IntFlag):
    """linux/sched.h: namespaces of clone(2), unshare(2), setns(2), and two flags of clone3."""

    NEWTIME = 0x00000080
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    PARENT = 0x00008000
    INTO_CGROUP = 0x200000000


class MountFlag(IntFlag):
    """linux/mount.h, MS_*: flags of mount(2)."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOATIME = 1024
    BIND = 4096
    MOVE = 8192
    REC = 16384
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    STRICTATIME = 1 << 24


class UmountFlag(IntFlag):
    """sys/mount.h: flags of umount2(2)."""

    NONE = 0
    FORCE = 1
    DETACH = 2
    NOFOLLOW = 8


class MountAttr(IntFlag):
    """linux/mount.h, MOUNT_ATTR_*: attributes of fsmount(2) and mount_setattr(2)."""

    NONE = 0
    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    NOATIME = 0x10
    STRICTATIME = 0x20
    ATIME_MASK = 0x70
    NODIRATIME = 0x80
    IDMAP = 0x100000
    NOSYMFOLLOW = 0x200000


class AtFlag(IntFlag):
    """linux/fcntl.h: AT_* flags of the *at calls."""

    NONE = 0
    SYMLINK_NOFOLLOW = 0x100
    SYMLINK_FOLLOW = 0x400
    EMPTY_PATH = 0x1000
    RECURSIVE = 0x8000


class OpenTree(IntFlag):
    """linux/mount.h: flags of open_tree(2), beside AtFlag."""

    CLONE = 1
    CLOEXEC = 0o2000000


class MoveMount(IntFlag):
    """linux/mount.h: flags of move_mount(2)."""

    FROM_EMPTY_PATH = 0x4
    TO_SYMLINKS = 0x10
    TO_EMPTY_PATH = 0x40


class FsConfig(IntEnum):
    """linux/mount.h: commands of fsconfig(2)."""

    SET_FLAG = 0
    SET_STRING = 1
    CREATE = 6


class Resolve(IntFlag):
    """linux/openat2.h: how openat2(2) walks a path."""

    NONE = 0
    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


class Prctl(IntEnum):
    """linux/prctl.h: operations of prctl(2)."""

    SET_PDEATHSIG = 1
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    SET_KEEPCAPS = 8
    SET_NAME = 15
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    SET_CHILD_SUBREAPER = 36
    SET_NO_NEW_PRIVS = 38
    CAP_AMBIENT = 47


class CapAmbient(IntEnum):
    """linux/prctl.h: second argument of PR_CAP_AMBIENT."""

    RAISE = 2
    CLEAR_ALL = 4


class SeccompFlag(IntFlag):
    """linux/seccomp.h: flags of seccomp(SECCOMP_SET_MODE_FILTER)."""

    NONE = 0
    TSYNC = 1
    LOG = 2
    SPEC_ALLOW = 4


class CloseRange(IntFlag):
    """linux/close_range.h."""

    NONE = 0
    UNSHARE = 2
    CLOEXEC = 4


class Inotify(IntFlag):
    """linux/inotify.h: events of inotify(7)."""

    ACCESS = 0x1
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    DONT_FOLLOW = 0x2000000


class FsMagic(IntEnum):
    """linux/magic.h: f_type of statfs(2)."""

    PROC = 0x9FA0
    SYSFS = 0x62656572
    DEVPTS = 0x1CD1
    CGROUP = 0x27E0EB
    CGROUP2 = 0x63677270
    TMPFS = 0x01021994
    OVERLAY = 0x794C7630


class SealFlag(IntFlag):
    """linux/fcntl.h: seals of a memfd."""

    SEAL = 1
    SHRINK = 2
    GROW = 4
    WRITE = 8


_CAPABILITY_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
    "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
    "CHECKPOINT_RESTORE"
)
CAPABILITIES: tuple[str, ...] = tuple(f"CAP_{name}" for name in _CAPABILITY_NAMES.split())
"""linux/capability.h: every capability by number, CAP_CHOWN being 0."""
