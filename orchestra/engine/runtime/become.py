"""The last stages of every process in a container, its init's and an exec's: from us to it.

Nothing can be imported here: the host's files are out of reach. The walls go up in an order in
which each still may: limits and bounding set as root, then the user, then (with the full permitted
set kept) the wait for start, the filter, and the capabilities at the very end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloseRange, Prctl, Resolve
from orchestra.engine.runtime import labels, seccomp, security
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.resolve import Root
from orchestra.oci.runtime import Personality, Process, Seccomp
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.engine.runtime.scheduling import Scheduling

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STRICT = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What a container's process is to become: made ready outside, acted on inside."""

    process: Process
    environment: Mapping[str, str]
    filter: bytes | None
    filter_flags: int
    optional_rlimits: str
    scheduling: Scheduling | None = None
    preserved_fds: int = 0
    """How many descriptors from 3 on the program gets, beside stdio."""
    labels: tuple[labels.Label, ...] = ()


def prepare(
    process: Process,
    profile: Seccomp | None,
    *,
    optional_rlimits: str = "",
    personality: Personality | None = None,
    preserved_fds: int = 0,
) -> Person:
    """Check a process and compile its filter, while errors are cheap.

    :raises RuntimeFailure: for what could not be done anyway.
    """
    if not process.get("args"):
        raise RuntimeFailure("the process has no arguments", exit_code=125)
    cwd = process.get("cwd", "/")
    if not cwd.startswith("/"):
        raise RuntimeFailure(f'the working directory "{cwd}" is not absolute')
    for values in (process["args"], process.get("env") or []):
        if any("\0" in text for text in values):
            raise RuntimeFailure("arguments and environment must not contain a zero byte")
    for names in (process.get("capabilities") or {}).values():
        security.mask_of(names if isinstance(names, list) else [])
    program = None if profile is None else seccomp.compile_profile(profile)
    return Person(
        process=process,
        environment=environment_of(process.get("env") or []),
        filter=program,
        filter_flags=0 if profile is None else seccomp.filter_flags(profile),
        optional_rlimits=optional_rlimits,
        scheduling=_scheduling(process, personality),
        preserved_fds=preserved_fds,
        labels=labels.plan_labels(process),
    )


def _scheduling(process: Process, personality: Personality | None) -> Scheduling | None:
    if not (process.get("scheduler") or process.get("ioPriority") or personality):
        return None
    from orchestra.engine.runtime.scheduling import plan_scheduling  # noqa: PLC0415 - seldom asked for

    return plan_scheduling(process, personality)


def environment_of(env: list[str]) -> dict[str, str]:
    """Turn "NAME=value" into a mapping; the last of a name wins, what has no name is left out."""
    environment = {}
    for item in env:
        name, equals, value = item.partition("=")
        if name and equals:
            environment[name] = value
    return environment


def with_environment(person: Person, name: str, value: str) -> Person:
    """Return the person with one variable more."""
    return replace(person, environment={**person.environment, name: value})


def home_of(root: Root, uid: int) -> str:
    """Return the home directory of a user by the container's /etc/passwd, "/" if unknown."""
    for line in root.read("/etc/passwd").decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[2] == str(uid) and fields[5]:
            return fields[5]
    return "/"


def own_pipes(fds: Sequence[int], uid: int, gid: int) -> None:
    """Let the container's user own its pipes, so that it may open /dev/stdout again."""
    for fd in fds:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, uid, gid)


def own_stdio(uid: int) -> None:
    """Give pipes on stdio to the user, so that he may open /dev/stdout. Files stay whose they are.

    A container's output is a pipe or a terminal of ours; anything else is the caller's property.
    """
    for number in range(3):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.fchown(number, uid, -1)
        except OSError as err:
            if err.errno not in {errno.EBADF, errno.EPERM, errno.EINVAL, errno.EROFS}:
                raise


def drop_bounding(names: Sequence[str]) -> None:
    """Set the bounding set.

    :raises RuntimeFailure: without CAP_SETPCAP.
    """
    try:
        security.drop_bounding(names)
    except OSError as err:
        raise failed("drop capabilities", err) from err


def bounding_of(process: Process) -> Sequence[str]:
    """Return the names of the bounding set."""
    return (process.get("capabilities") or {}).get("bounding") or []


def take_user(person: Person, *, at_root: bool = False) -> None:
    """Set limits, bounding set, user and working directory.

    ``at_root``: the bounding set is there, stdio belongs to the user, and "/" is where we are.

    :raises RuntimeFailure: when one of them cannot be had.
    """
    process = person.process
    if person.scheduling is not None:
        person.scheduling.apply()
    security.set_rlimits(process.get("rlimits") or [], person.optional_rlimits)
    user = process.get("user") or {"uid": 0, "gid": 0}
    if not at_root:
        own_stdio(user["uid"])
        drop_bounding(bounding_of(process))
    try:
        security.change_user(user)
    except OSError as err:
        raise failed(f"become user {user['uid']}:{user['gid']}", err) from err
    cwd = process.get("cwd", "/")
    if cwd != "/" or not at_root:
        enter_directory(cwd)


def enter_directory(path: str) -> None:
    """Change to the working directory, by a walk that takes no magic link (CVE-2024-21626).

    :raises RuntimeFailure: when it is missing, or not inside the container.
    """
    try:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        directory = syscalls.openat2(root, path, os.O_PATH | os.O_DIRECTORY, resolve=_STRICT)
        os.fchdir(directory)
        os.close(directory)
        os.close(root)
        inside = os.getcwd().startswith("/")  # noqa: PTH109 - the bare system call
    except OSError as err:
        raise failed(f'change to the working directory "{path}"', err) from err
    if not inside:
        raise RuntimeFailure(f'the working directory "{path}" is outside of the container')


def close_walls(person: Person) -> None:
    """Put up the last walls: no_new_privs, filter, capabilities.

    :raises RuntimeFailure: when the kernel refuses one.
    """
    process = person.process
    labels.take(person.labels)
    try:
        if process.get("noNewPrivileges"):
            syscalls.prctl(Prctl.SET_NO_NEW_PRIVS, 1)
        syscalls.prctl(Prctl.SET_PDEATHSIG, 0)
        first = 3 + person.preserved_fds
        syscalls.close_range(first, flags=CloseRange.CLOEXEC)
        for number in range(3, first):
            os.set_inheritable(number, True)  # noqa: FBT003 - a call of the library
        # Without no_new_privs the filter needs CAP_SYS_ADMIN, so capabilities go after it; with
        # it the filter is the last, and need not allow what dropping them takes.
        if not process.get("noNewPrivileges"):
            _load_filter(person)
        security.limit_capabilities(process.get("capabilities") or {})
        if process.get("noNewPrivileges"):
            _load_filter(person)
    except OSError as err:
        raise failed("restrict the process", err) from err


def _load_filter(person: Person) -> None:
    if person.filter is not None:
        syscalls.seccomp_load(person.filter, person.filter_flags)


def find_program(person: Person) -> tuple[str, ...]:
    """Return where the program may lie: a path as it is, a bare name along the container's PATH.

    Done before the walls: a filter may well refuse what looking takes, for all it must allow of
    us is execve. No path leads through a magic link: that could be our interpreter. A script's
    interpreter line cannot be checked without a race; interpreter.py sees to it that the link
    then leads to something nobody can write to.

    :raises RuntimeFailure: 127 when it is not found, 126 when it is none.
    """
    name = person.process["args"][0]
    try:
        if "/" in name:
            _check(name)
            return (name,)
        return _find_in_path(name, person.environment.get("PATH", _DEFAULT_PATH))
    except OSError as err:
        raise exec_failure(name, err) from err


def _find_in_path(name: str, path: str) -> tuple[str, ...]:
    found: list[str] = []
    denied: OSError | None = None
    for directory in path.split(":") if name else ():
        candidate = f"{directory or '.'}/{name}"
        try:
            _check(candidate)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (PermissionError, IsADirectoryError) as err:
            denied = err
            continue
        found.append(candidate)
    if not found:
        raise denied or FileNotFoundError(errno.ENOENT, "executable file not found in $PATH")
    return tuple(found)


def _check(path: str) -> None:
    fd = syscalls.openat2(-100, path, os.O_PATH, resolve=Resolve.NO_MAGICLINKS)
    directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    os.close(fd)
    if directory:
        raise IsADirectoryError(errno.EISDIR, "is a directory")


def execute(person: Person, candidates: Sequence[str]) -> NoReturn:
    """Become the program: the first of ``candidates`` that can be executed.

    :raises RuntimeFailure: 127 when it is not found, 126 when it cannot be executed.
    """
    arguments = person.process["args"]
    denied: OSError | None = None
    try:
        for path in candidates:
            try:
                os.execve(path, arguments, person.environment)  # noqa: S606 - no shell is wanted
            except (FileNotFoundError, NotADirectoryError):
                if len(candidates) == 1:
                    raise
            except PermissionError as err:
                denied = err
        raise denied or FileNotFoundError(errno.ENOENT, "executable file not found in $PATH")
    except OSError as err:
        raise exec_failure(arguments[0], err) from err


def exec_failure(name: str, err: OSError) -> RuntimeFailure:
    """Return the failure of an execve, in docker's words and with docker's exit code."""
    number = err.errno or 0
    if number in {errno.ENOENT, errno.ENOTDIR}:
        why = "no such file or directory" if "/" in name else "executable file not found in $PATH"
        why = f"stat {name}: {why}" if "/" in name else why
        return RuntimeFailure(f'exec: "{name}": {why}', errno=number, exit_code=127)
    why = {
        errno.EACCES: "permission denied",
        errno.EPERM: "operation not permitted",
        errno.EISDIR: "is a directory",
        errno.ENOEXEC: "exec format error",
        errno.ELOOP: "too many levels of symbolic links, or a link of procfs",
    }.get(number, os.strerror(number).lower())
    return RuntimeFailure(f'exec: "{name}": {why}', errno=number, exit_code=126)
