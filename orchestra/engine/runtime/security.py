"""The walls on the process and on /proc and /sys: capabilities, ids, rlimits, masks."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CAPABILITIES, CapAmbient, FsMagic, MountAttr, Prctl
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.mounts import attach, clone_tree, new_filesystem
from orchestra.engine.runtime.options import Options
from orchestra.engine.runtime.resolve import Root, is_on
from orchestra.oci.runtime import Capabilities, Rlimit, User
from orchestra.values import dataclass

_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}
_RDONLY = int(MountAttr.RDONLY)
_READONLY_TMPFS = MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


def mask_of(names: Sequence[str]) -> int:
    """Return capabilities as a bit mask.

    :raises RuntimeFailure: for an unknown name.
    """
    mask = 0
    for name in names:
        if name not in _NUMBERS:
            raise RuntimeFailure(f'unknown capability "{name}"')
        mask |= 1 << _NUMBERS[name]
    return mask


def drop_bounding(names: Sequence[str]) -> None:
    """Take everything but ``names`` from the bounding set. What is lost already stays lost.

    :raises OSError: EPERM without CAP_SETPCAP.
    """
    keep = mask_of(names)
    for number in range(64):
        if keep >> number & 1:
            continue
        try:
            syscalls.prctl(Prctl.CAPBSET_DROP, number)
        except OSError as err:
            if err.errno == errno.EINVAL:  # Beyond the kernel's last capability.
                return
            raise


def change_user(user: User) -> None:
    """Become the user, with his groups and umask, all capabilities kept for what comes after.

    :raises OSError: EINVAL for ids that the user namespace does not map.
    """
    syscalls.prctl(Prctl.SET_KEEPCAPS, 1)
    os.setgroups(user.get("additionalGids") or [])
    os.setresgid(user["gid"], user["gid"], user["gid"])
    os.setresuid(user["uid"], user["uid"], user["uid"])
    os.umask(user.get("umask", 0o022))
    # Leaving uid 0 cleared the effective set; the last stages need it.
    _, permitted, inheritable = syscalls.capget()
    syscalls.capset(permitted, permitted, inheritable)


def limit_capabilities(capabilities: Capabilities) -> None:
    """Set the effective, permitted, inheritable and ambient sets; the last right to go.

    What this process does not have it cannot give: such names are left out, as runc does.

    :raises OSError: EPERM.
    """
    _, held, _ = syscalls.capget()
    permitted = mask_of(capabilities.get("permitted") or []) & held
    effective = mask_of(capabilities.get("effective") or []) & permitted
    inheritable = mask_of(capabilities.get("inheritable") or []) & held
    ambient = mask_of(capabilities.get("ambient") or []) & permitted & inheritable
    syscalls.capset(effective, permitted, inheritable)
    syscalls.prctl(Prctl.CAP_AMBIENT, CapAmbient.CLEAR_ALL)
    for number in range(ambient.bit_length()):
        if ambient >> number & 1:
            syscalls.prctl(Prctl.CAP_AMBIENT, CapAmbient.RAISE, number)


OPTIONAL_RLIMITS = "org.orchestra.rlimits.optional"
"""Annotation: comma-separated types that nobody asked for; what cannot be had of them is left."""


def set_rlimits(rlimits: Sequence[Rlimit], optional: str = "") -> None:
    """Set resource limits; one in ``optional`` is lowered to what may be had.

    :raises RuntimeFailure: when one is unknown, or may not be raised so far.
    """
    for item in rlimits:
        number = getattr(resource, item["type"], None)
        if not item["type"].startswith("RLIMIT_") or not isinstance(number, int):
            raise RuntimeFailure(f'unknown resource limit "{item["type"]}"')
        soft, hard = _rlimit(item["soft"]), _rlimit(item["hard"])
        try:
            resource.setrlimit(number, (soft, hard))
        except ValueError as err:
            if item["type"] not in optional.split(","):
                wanted = f"{item['soft']}:{item['hard']}"
                what = f"cannot set {item['type']} to {wanted}: {err}"
                raise RuntimeFailure(what, errno=errno.EPERM) from err
            _, ceiling = resource.getrlimit(number)
            resource.setrlimit(number, (_lower(soft, ceiling), ceiling))


def _rlimit(value: int) -> int:
    """Return a limit as the resource module wants it: RLIM_INFINITY is -1 there."""
    return resource.RLIM_INFINITY if value < 0 or value >= 2**63 - 1 else value


def _lower(soft: int, ceiling: int) -> int:
    if ceiling == resource.RLIM_INFINITY:
        return soft
    return ceiling if soft == resource.RLIM_INFINITY else min(soft, ceiling)


def _verify(fd: int, path: str, kinds: frozenset[FsMagic]) -> None:
    """Refuse a path of /proc or /sys that does not lie there (CVE-2025-52881)."""
    for prefix, kind in (("/proc/", FsMagic.PROC), ("/sys/", FsMagic.SYSFS)):
        if path.startswith(prefix) and kind in kinds and not is_on(fd, kind):
            raise RuntimeFailure(f'cannot protect "{path}": it does not lie on {prefix[:-1]}')


class MaskPath:
    """Hide a path: a file behind the null device, a directory behind an empty tmpfs.

    ``kinds``: the file systems that the container has mounted, against which the place is checked.
    One tmpfs serves all directories of a ``MaskPath.batch``.
    """

    def __init__(self, path: str, opened: list[int], kinds: frozenset[FsMagic]) -> None:
        self.path = path
        self._opened = opened
        self._kinds = kinds

    @classmethod
    def batch(
        cls, paths: Sequence[str], opened: list[int], kinds: frozenset[FsMagic]
    ) -> list[MaskPath]:
        """Return the operations for several paths.

        ``opened``: the null device's descriptor; the tmpfs's joins it. The caller closes both.
        """
        return [cls(path, opened, kinds) for path in paths]

    def describe(self) -> str:
        """Say what it does."""
        return f'mask "{self.path}"'

    def apply(self, root: Root) -> None:
        """Do it; a path that is not there needs no mask."""
        try:
            target = root.open(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            _verify(target, self.path, self._kinds)
            directory = stat.S_ISDIR(os.fstat(target).st_mode)
            cover = self._directory_cover() if directory else clone_tree(self._opened[0])
            try:
                attach(cover, target, Options(bind=not directory, add=_RDONLY))
            finally:
                if cover not in self._opened:
                    root.done(cover)
        finally:
            root.done(target)

    def _directory_cover(self) -> int:
        """Return a mount of the batch's tmpfs: made for the first directory, copied for others."""
        if len(self._opened) > 1:
            return clone_tree(self._opened[1])
        cover = new_filesystem("tmpfs", "tmpfs", (("nr_inodes", "1"),), _READONLY_TMPFS)
        self._opened.append(cover)
        return cover


@dataclass(frozen=True, slots=True)
class ReadonlyPath:
    """Make a path read-only by a mount of itself on itself."""

    path: str
    kinds: frozenset[FsMagic]

    def describe(self) -> str:
        """Say what it does."""
        return f'make "{self.path}" read-only'

    def apply(self, root: Root) -> None:
        """Do it; a path that is not there needs nothing."""
        try:
            target = root.open(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            _verify(target, self.path, self.kinds)
            copy = clone_tree(target, recursive=True)
            try:
                attach(copy, target, Options(bind=True, recursive=True, add=_RDONLY))
            finally:
                root.done(copy)
        finally:
            root.done(target)
