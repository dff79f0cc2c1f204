"""The default seccomp profile, and profiles in Docker's JSON form, as OCI linux.seccomp.

Pure: what the profile depends on (capabilities, machine, kernel) comes in as arguments. Equal in
effect to moby's default profile; runtime/seccomp.py turns the result into a program.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import cast

from orchestra.errors import ContainerError
from orchestra.oci.runtime import Seccomp, SyscallArg, SyscallRule
from orchestra.values import dataclass

_ALLOW = "SCMP_ACT_ALLOW"
_ERRNO = "SCMP_ACT_ERRNO"
_EPERM = 1
_ENOSYS = 38
_AF_ALG = 38
_AF_VSOCK = 40
_CLONE_NAMESPACES = 0x7E020000
"""NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
    "loongarch64": ("SCMP_ARCH_LOONGARCH64",),
}
_DOCKER_ARCHITECTURE: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}
"""How Docker's profiles name a machine in ``includes.arches``, where that is not uname's way."""

_ALWAYS = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir
chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range
creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd
getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32
getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday
getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack
membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32
setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt
setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd
signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64
statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat
uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write
writev
"""
"""Allowed for everybody, whatever the arguments."""

_BY_CAPABILITY: Mapping[str, str] = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
        "umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": (
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"
    ),
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
_BY_MACHINE: Mapping[str, str] = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": (
        "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"
    ),
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
    "riscv64": "riscv_flush_icache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a profile depends on: bounding capabilities, ``uname -m``, kernel (major, minor)."""

    capabilities: Collection[str]
    machine: str
    kernel: tuple[int, int]


def _allow(names: str) -> SyscallRule:
    return {"names": names.split(), "action": _ALLOW}


def _allow_if(name: str, index: int, op: str, value: int, value_two: int = 0) -> SyscallRule:
    argument: SyscallArg = {"index": index, "value": value, "op": op}
    if value_two or op == "SCMP_CMP_MASKED_EQ":
        argument["valueTwo"] = value_two
    return {"names": [name], "action": _ALLOW, "args": [argument]}


def _default_rules(host: Host) -> Iterable[SyscallRule]:
    yield _allow(_ALWAYS)
    if host.kernel >= (4, 8):
        # Before 4.8 a traced process could be made to skip its filter.
        yield _allow("process_vm_readv process_vm_writev ptrace")
    yield _allow_if("socket", 0, "SCMP_CMP_LT", _AF_ALG)
    yield _allow_if("socket", 0, "SCMP_CMP_EQ", _AF_ALG + 1)
    yield _allow_if("socket", 0, "SCMP_CMP_GT", _AF_VSOCK)
    for persona in (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF):
        yield _allow_if("personality", 0, "SCMP_CMP_EQ", persona)
    if host.machine in _BY_MACHINE:
        yield _allow(_BY_MACHINE[host.machine])
    for capability, names in _BY_CAPABILITY.items():
        if capability in host.capabilities:
            yield _allow(names)
    if "CAP_SYS_ADMIN" not in host.capabilities:
        index = 1 if host.machine in {"s390x", "s390"} else 0
        yield _allow_if("clone", index, "SCMP_CMP_MASKED_EQ", _CLONE_NAMESPACES, 0)
        # Its flags lie in memory, out of a filter's reach; ENOSYS makes libc take clone.
        yield {"names": ["clone3"], "action": _ERRNO, "errnoRet": _ENOSYS}


@lru_cache(maxsize=8)
def _known_rules(
    capabilities: tuple[str, ...], machine: str, kernel: tuple[int, int]
) -> tuple[SyscallRule, ...]:
    """Return the rules, which nobody changes, for a container like the last one."""
    return tuple(_default_rules(Host(capabilities=capabilities, machine=machine, kernel=kernel)))


def default_profile(host: Host) -> Seccomp:
    """Return the default profile for a container with these capabilities on this machine."""
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": _EPERM,
        "architectures": list(_ARCHITECTURES.get(host.machine, ())),
        "syscalls": list(_known_rules(tuple(host.capabilities), host.machine, host.kernel)),
    }


def load_profile(text: str, host: Host) -> Seccomp:
    """Turn a profile file in Docker's form (archMap, includes, excludes) into OCI seccomp.

    :raises ContainerError: when it is no JSON, or not of that form.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise _refused(f"it is no JSON ({err})") from err
    if not isinstance(document, dict) or not isinstance(document.get("defaultAction"), str):
        raise _refused('it has no "defaultAction"')
    if document.get("architectures") and document.get("archMap"):
        raise _refused('it has both "architectures" and "archMap"')
    profile: Seccomp = {"defaultAction": document["defaultAction"]}
    if isinstance(document.get("defaultErrnoRet"), int):
        profile["defaultErrnoRet"] = document["defaultErrnoRet"]
    architectures = _architectures(document, host.machine)
    if architectures:
        profile["architectures"] = architectures
    if document.get("flags"):
        profile["flags"] = _strings(document["flags"], "flags")
    profile["syscalls"] = _rules(document.get("syscalls") or [], host)
    return profile


def _refused(why: str) -> ContainerError:
    return ContainerError(
        f"cannot use the seccomp profile: {why}",
        hint="docs.docker.com/engine/security/seccomp describes the form",
    )


def _strings(value: object, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refused(f'"{place}" is not a list of strings')
    return [str(item) for item in value]


def _architectures(document: Mapping[str, object], machine: str) -> list[str]:
    if document.get("architectures"):
        return _strings(document["architectures"], "architectures")
    native = _ARCHITECTURES.get(machine, ("",))[0]
    entries = document.get("archMap") or []
    if not isinstance(entries, list):
        raise _refused('"archMap" is not a list')
    for entry in entries:
        if isinstance(entry, dict) and entry.get("architecture") == native:
            return [native, *_strings(entry.get("subArchitectures") or [], "subArchitectures")]
    return []


def _rules(entries: object, host: Host) -> list[SyscallRule]:
    if not isinstance(entries, list):
        raise _refused('"syscalls" is not a list')
    rules = []
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise _refused(f"syscalls[{position}] is not an object")
        if _applies(entry, host):
            rules.append(_rule(entry, f"syscalls[{position}]"))
    return rules


def _applies(entry: Mapping[str, object], host: Host) -> bool:
    """Tell whether ``includes`` all hold and ``excludes`` do not."""
    machine = _DOCKER_ARCHITECTURE.get(host.machine, host.machine)
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    if not isinstance(includes, dict) or not isinstance(excludes, dict):
        raise _refused('"includes" or "excludes" is not an object')
    needed = _strings(includes.get("arches") or [], "includes.arches")
    if needed and machine not in needed:
        return False
    if not set(_strings(includes.get("caps") or [], "includes.caps")) <= set(host.capabilities):
        return False
    if includes.get("minKernel") and host.kernel < _kernel(includes["minKernel"]):
        return False
    return not (
        machine in _strings(excludes.get("arches") or [], "excludes.arches")
        or set(_strings(excludes.get("caps") or [], "excludes.caps")) & set(host.capabilities)
        or (excludes.get("minKernel") and host.kernel >= _kernel(excludes["minKernel"]))
    )


def _kernel(value: object) -> tuple[int, int]:
    parts = value.split(".") if isinstance(value, str) else []
    if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
        raise _refused(f"minKernel {value!r} is no version")
    return int(parts[0]), int(parts[1])


def _rule(entry: Mapping[str, object], place: str) -> SyscallRule:
    if entry.get("name") and entry.get("names"):
        raise _refused(f'{place} has both "name" and "names"')
    names = _strings(entry.get("names") or [entry.get("name")], f"{place}.names")
    action = entry.get("action")
    if not isinstance(action, str):
        raise _refused(f'{place} has no "action"')
    rule: SyscallRule = {"names": names, "action": action}
    errno_return = entry.get("errnoRet")
    if isinstance(errno_return, int):
        rule["errnoRet"] = errno_return
    arguments = entry.get("args") or []
    if not isinstance(arguments, list) or not all(_is_argument(item) for item in arguments):
        raise _refused(f'{place}.args is not a list of {{"index", "value", "op"}}')
    if arguments:
        rule["args"] = cast("list[SyscallArg]", arguments)  # every item was checked
    return rule


def _is_argument(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("index"), int)
        and 0 <= item["index"] <= 5
        and isinstance(item.get("value"), int)
        and isinstance(item.get("valueTwo", 0), int)
        and isinstance(item.get("op"), str)
    )
