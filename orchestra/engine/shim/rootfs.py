"""What a shim's child mounts in a namespace of its own: the container's root, its files on tmpfs.

All of it vanishes with the namespace, so nothing is ever left mounted on the host.
"""

# No pathlib here: the process stays small.

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.flags import AT_FDCWD, CloneFlag, FsConfig, MountFlag
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.protocol import Rootfs, ShimFile

FILES_DIRECTORY = "files"
_FSCONFIG_STRING_MAX = 255
"""fsconfig(2) takes no string beyond 256 bytes with its NUL; mount(2) no options beyond a page."""
_MOUNT_DATA_MAX = 4095


def enter_mount_namespace() -> None:
    """Leave the host's mount namespace; its later mounts still arrive here, ours never go back.

    :raises ShimFailure: when the kernel refuses.
    """
    try:
        syscalls.unshare(CloneFlag.NEWNS)
        syscalls.mount(None, "/", None, MountFlag.REC | MountFlag.SLAVE)
    except OSError as err:
        raise because("cannot make a mount namespace", err) from err


def mount_rootfs(target: str, rootfs: Rootfs) -> None:
    """Mount the container's root at ``target``, which is made where missing.

    :raises ShimFailure: when a directory is missing or the kernel refuses.
    """
    try:
        make_private(target)
        if not rootfs["upper"]:
            syscalls.mount(rootfs["lower"][0], target, None, MountFlag.BIND | MountFlag.REC)
            return
        _mount_overlay(target, rootfs)
    except OSError as err:
        raise because("cannot mount the root file system", err) from err


def _mount_overlay(target: str, rootfs: Rootfs) -> None:
    held: list[int] = []
    try:
        directories = [_short(path, held, _FSCONFIG_STRING_MAX) for path in rootfs["lower"]]
        upper = _short(rootfs["upper"], held, _FSCONFIG_STRING_MAX)
        work = _short(rootfs["work"], held, _FSCONFIG_STRING_MAX)
        try:
            _mount_overlay_new(target, directories, upper, work, rootfs.get("context", ""))
        except OSError as err:
            if err.errno not in {errno.EINVAL, errno.ENOSYS, errno.ENODEV}:
                raise
            _mount_overlay_old(target, rootfs, held)
    finally:
        for fd in held:
            os.close(fd)


def _mount_overlay_new(
    target: str, lower: Sequence[str], upper: str, work: str, label: str
) -> None:
    """Mount with one option per layer (Linux 6.8, "lowerdir+"), so that any number goes."""
    context = syscalls.fsopen("overlay")
    try:
        syscalls.fsconfig(context, FsConfig.SET_STRING, "source", "overlay")
        for directory in lower:
            syscalls.fsconfig(context, FsConfig.SET_STRING, "lowerdir+", directory)
        syscalls.fsconfig(context, FsConfig.SET_STRING, "upperdir", upper)
        syscalls.fsconfig(context, FsConfig.SET_STRING, "workdir", work)
        syscalls.fsconfig(context, FsConfig.SET_STRING, "index", "off")
        if label:
            syscalls.fsconfig(context, FsConfig.SET_STRING, "context", label)
        syscalls.fsconfig(context, FsConfig.CREATE)
        mount = syscalls.fsmount(context)
    finally:
        os.close(context)
    try:
        syscalls.move_mount(mount, AT_FDCWD, target)
    finally:
        os.close(mount)


def _mount_overlay_old(target: str, rootfs: Rootfs, held: list[int]) -> None:
    """Mount with one option string; names that need escapes or room go through /proc/self/fd."""
    room = _MOUNT_DATA_MAX // (len(rootfs["lower"]) + 3) - 1
    lower = ":".join(_short(path, held, room) for path in rootfs["lower"])
    upper, work = _short(rootfs["upper"], held, room), _short(rootfs["work"], held, room)
    options = f"lowerdir={lower},upperdir={upper},workdir={work},index=off"
    if context := rootfs.get("context"):
        options += f',context="{context}"'
    if len(os.fsencode(options)) > _MOUNT_DATA_MAX:
        raise OSError(errno.E2BIG, "too many layers for this kernel")
    syscalls.mount("overlay", target, "overlay", 0, options)


def _short(path: str, held: list[int], limit: int) -> str:
    """Return ``path``, or a short name of the same directory without letters that need escapes."""
    if len(os.fsencode(path)) <= limit and not set(path) & set(":,\\"):
        return path
    held.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    return f"/proc/self/fd/{held[-1]}"


def mount_files(run_directory: str, files: Sequence[ShimFile], context: str = "") -> None:
    """Put configs and secrets on a tmpfs that nobody but root may enter; ``context``: SELinux's.

    :raises ShimFailure: when a source cannot be read.
    """
    if not files:
        return
    directory = f"{run_directory}/{FILES_DIRECTORY}"
    try:
        make_private(directory)
        flags = MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC
        label = f',context="{context}"' if context else ""
        syscalls.mount("tmpfs", directory, "tmpfs", flags, f"mode=0700{label}")
    except OSError as err:
        raise because("cannot mount a tmpfs for configs and secrets", err) from err
    for file in files:
        try:
            _write_file(f"{directory}/{file['name']}", file)
        except OSError as err:
            what = file.get("source_path", file["name"])
            raise because(f'cannot provide the file "{what}"', err) from err


def _write_file(path: str, file: ShimFile) -> None:
    if "/" in file["name"] or file["name"] in {"", ".", ".."}:
        raise ShimFailure(f'cannot provide a file named "{file["name"]}"')
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if "source_path" in file:
            _copy(file["source_path"], target)
        else:
            write_all(target, file.get("content", "").encode())
        os.fchown(target, file["uid"], file["gid"])
        os.fchmod(target, file["mode"])
    finally:
        os.close(target)


def _copy(source: str, target: int) -> None:
    """Copy a regular file; a fifo or device in its place neither hangs nor fills us."""
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if (os.fstat(fd).st_mode & 0o170000) != 0o100000:
            raise OSError(errno.EINVAL, "not a regular file", source)
        while data := os.read(fd, 1 << 20):
            write_all(target, data)
    finally:
        os.close(fd)
