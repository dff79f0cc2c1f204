"""Sources of mounts that are made for one container: a path inside a volume, an image's files.

They are mounted at RUN/stages/NAME, in the mount namespace of whoever calls, and vanish with it;
config.json's mounts name these places. A path inside is walked on a held descriptor and cannot
lead out, whatever another container that shares the volume does meanwhile.
"""

# No pathlib here: the process stays small.

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.flags import (
    AT_FDCWD,
    AtFlag,
    CloneFlag,
    MountFlag,
    OpenTree,
    Resolve,
)
from orchestra.engine.linux.process import is_alive
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.protocol import Identity, Rootfs, Stage
from orchestra.engine.shim.rootfs import mount_rootfs

STAGES_DIRECTORY = "stages"
MountRoot = Callable[[str, Rootfs], None]
_INSIDE = Resolve.BENEATH | Resolve.NO_MAGICLINKS
_TREE = int(OpenTree.CLONE | AtFlag.RECURSIVE | AtFlag.EMPTY_PATH)


def mount_stages(
    run_directory: str, stages: Sequence[Stage], root: MountRoot = mount_rootfs
) -> None:
    """Mount every stage below ``run_directory``; ``root`` mounts what an image shows.

    :raises ShimFailure: when a path inside is missing or leads out, or the kernel refuses.
    """
    if not stages:
        return
    directory = f"{run_directory}/{STAGES_DIRECTORY}"
    try:
        make_private(directory)
        syscalls.mount("tmpfs", directory, "tmpfs", MountFlag.NOSUID | MountFlag.NODEV, "mode=0700")
    except OSError as err:
        raise because("cannot mount a tmpfs for parts of volumes", err) from err
    for stage in stages:
        try:
            _mount_stage(directory, stage, root)
        except OSError as err:
            raise _refused(stage, err) from err


def _mount_stage(directory: str, stage: Stage, root: MountRoot) -> None:
    source = stage.get("source", "")
    if "init" in stage:
        tree = _foreign_tree(stage["init"], source)
        try:
            os.mkdir(f"{directory}/{stage['name']}", 0o700)  # noqa: PTH102
            syscalls.move_mount(tree, AT_FDCWD, f"{directory}/{stage['name']}")
        finally:
            os.close(tree)
        return
    if "rootfs" in stage:
        source = f"{directory}/{stage['name']}.root"
        root(source, stage["rootfs"])
    whole = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        part = syscalls.openat2(whole, stage["subpath"] or ".", os.O_PATH, resolve=_INSIDE)
        try:
            _show(part, f"{directory}/{stage['name']}")
        finally:
            os.close(part)
    finally:
        os.close(whole)


def _foreign_tree(init: Identity, path: str) -> int:
    """Return a copy of a mount of another container.

    Between entering its namespace and leaving it again nothing is imported or read, and no link
    of its is followed. Its namespace is found by procfs, the host's still: this process may be in
    a pid namespace where the other one has no number.
    """
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    theirs = os.open(f"/proc/{init['pid']}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not is_alive(init):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        syscalls.setns(theirs, CloneFlag.NEWNS)
        try:
            found = syscalls.openat2(AT_FDCWD, path, os.O_PATH, resolve=Resolve.NO_SYMLINKS)
            try:
                return syscalls.open_tree(found, "", _TREE)
            finally:
                os.close(found)
        finally:
            syscalls.setns(own, CloneFlag.NEWNS)
    finally:
        os.close(theirs)
        os.close(own)


def _show(part: int, target: str) -> None:
    """Bind what a descriptor is at ``target``, which is made."""
    mode = os.fstat(part).st_mode
    if stat.S_ISDIR(mode):
        os.mkdir(target, 0o700)  # noqa: PTH102
    elif stat.S_ISREG(mode):
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    else:
        raise OSError(errno.EINVAL, "neither a file nor a directory")
    tree = syscalls.open_tree(part, "", _TREE)
    try:
        syscalls.move_mount(tree, AT_FDCWD, target)
    finally:
        os.close(tree)


def _refused(stage: Stage, err: OSError) -> ShimFailure:
    place = f'the subpath "{stage["subpath"]}" of ' if stage["subpath"] else ""
    what = f"cannot mount {place}{stage['what']}"
    if err.errno == errno.EXDEV:
        return ShimFailure(f"{what}: it leads out of there", errno=errno.EXDEV)
    return because(what, err)
