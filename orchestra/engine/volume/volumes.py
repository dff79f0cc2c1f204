"""Volumes of this machine: named, external, anonymous; their data, and its first content.

A volume is ``<volumes>/<name>/`` with record.json and ``_data``. The local driver's options make it
something else (docker volume create): a bind of a host directory, or a tmpfs, which stays mounted
until the volume is removed or the host goes down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync

from orchestra.engine.linux import host, syscalls
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.flags import MountFlag, UmountFlag
from orchestra.engine.paths import Paths
from orchestra.engine.state.lock import machine_lock
from orchestra.engine.state.records import VolumeRecord
from orchestra.engine.state.store import Store
from orchestra.engine.volume.copying import copy_tree
from orchestra.engine.volume.layers import open_root, resolve
from orchestra.engine.volume.options import BindOption, PlainOption, TmpfsOption, read_options
from orchestra.errors import HostError, VolumeError
from orchestra.planner.desired import VolumeSpec

DATA: Final = "_data"
_PARTIAL, _STAGED = "_copy.partial", "_copy"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")


class Volumes:
    """What may be done with volumes; holds no state of its own."""

    def __init__(self, paths: Paths, store: Store) -> None:
        self._paths = paths
        self._store = store

    async def create(self, spec: VolumeSpec, project: str) -> VolumeRecord:
        """Make a named volume, or find it there.

        :raises VolumeError: when the driver or an option is not supported, the name belongs to
            another project, or an external volume is missing.
        """
        _check_name(spec.name)
        if not spec.external:
            read_options(spec)
        async with machine_lock(self._paths, "volumes"):
            record = self._store.volume(spec.name)
            if record is None and spec.external:
                raise VolumeError(
                    f'cannot use volume "{spec.name}": it is external, and there is none',
                    hint="create it first, or take `external: true` away",
                )
            if record is not None:
                _refuse_foreign(record, spec, project)
                return record
            return await run_sync(self._create, spec, project)

    def _create(self, spec: VolumeSpec, project: str, *, anonymous: bool = False) -> VolumeRecord:
        record = VolumeRecord(
            name=spec.name,
            project=project,
            spec=spec,
            anonymous=anonymous,
            created_at=datetime.now(UTC),
        )
        directory = Path(self._paths.volumes) / spec.name
        try:
            make_private(directory)
            (directory / DATA).mkdir(exist_ok=True)
            (directory / DATA).chmod(0o755)
        except OSError as err:
            raise VolumeError(f'cannot create volume "{spec.name}": {err.strerror}') from err
        self._store.write_volume(record)
        return record

    async def create_anonymous(self, project: str, labels: Mapping[str, str] | None = None) -> str:
        """Make a volume for one container and return its name."""
        name = os.urandom(32).hex()
        spec = VolumeSpec(key=name, name=name, labels=dict(labels or {}))
        await run_sync(partial(self._create, spec, project, anonymous=True))
        return name

    def path(self, name: str) -> Path:
        """Return the directory to bind into a container; a tmpfs is mounted where it is not.

        :raises VolumeError: when there is no such volume, or its directory is not to be had.
        """
        record = self._record(name)
        data = Path(self._paths.volumes) / name / DATA
        match read_options(record.spec):
            case BindOption(device=device):
                if not Path(device).is_dir():
                    raise VolumeError(
                        f'cannot use volume "{name}": device "{device}" is no directory',
                        hint="make that directory, or correct driver_opts.device",
                    )
                return Path(device)
            case TmpfsOption(data=options):
                _mount_tmpfs(name, data, options)
            case PlainOption():
                pass
        return data

    def _record(self, name: str) -> VolumeRecord:
        _check_name(name)
        record = self._store.volume(name)
        if record is None:
            raise VolumeError(f'cannot use volume "{name}": there is none', hint="run up again")
        return record

    async def remove(self, name: str) -> None:
        """Remove a volume and its data; a bind's directory stays. None there is no error.

        :raises VolumeError: when the disk refuses.
        """
        _check_name(name)
        async with machine_lock(self._paths, "volumes"):
            await run_sync(self._remove, name)

    def _remove(self, name: str) -> None:
        directory = Path(self._paths.volumes) / name
        try:
            if _is_mount(directory / DATA):
                syscalls.umount2(str(directory / DATA), UmountFlag.DETACH)
            self._store.remove_volume(name)
            # Out of sight at once: whatever is killed in between, no half volume is found.
            doomed = directory.with_name(f".{name[:200]}.{os.urandom(4).hex()}")
            directory.rename(doomed)
            import shutil  # noqa: PLC0415 - takes longer than most of what is done here

            shutil.rmtree(doomed)
        except FileNotFoundError:
            return
        except OSError as err:
            raise VolumeError(f'cannot remove volume "{name}": {err.strerror}') from err

    async def copy_up(self, name: str, layers: tuple[str, ...], target: str) -> None:
        """Fill an empty volume with what the image has at ``target``; once, whole or not at all.

        ``layers`` are the image's directories, uppermost first. Owner and mode of the directory
        come along, also when it is empty. A path that the image lacks, or that is no directory,
        leaves the volume as it is.

        :raises VolumeError: when the disk refuses.
        """
        record = self._record(name)
        if isinstance(read_options(record.spec), TmpfsOption | BindOption):
            return
        if _is_filled(self.path(name)):
            return
        async with machine_lock(self._paths, f"volume-{name}"):
            await run_sync(self._copy_up, name, layers, target)

    def _copy_up(self, name: str, layers: tuple[str, ...], target: str) -> None:
        directory = Path(self._paths.volumes) / name
        data, part, staged = (directory / entry for entry in (DATA, _PARTIAL, _STAGED))
        try:
            import shutil  # noqa: PLC0415 - takes longer than most of what is done here

            shutil.rmtree(part, ignore_errors=True)
            if not staged.is_dir():
                if _is_filled(data) or not _stage(layers, target, part):
                    return
                part.rename(staged)
            _move_in(staged, data)
        except OSError as err:
            raise VolumeError(
                f'cannot fill volume "{name}" from the image\'s "{target}": {err.strerror or err}'
            ) from err


def _is_filled(data: Path) -> bool:
    with os.scandir(data) as entries:
        filled = next(entries, None) is not None
    return filled and not (data.parent / _STAGED).exists()


def _stage(layers: tuple[str, ...], target: str, part: Path) -> bool:
    """Copy the image's directory beside the volume; False when the image has none."""
    with ExitStack() as stack:
        source = resolve(open_root(layers, stack), target, stack)
        if source is None:
            return False
        part.mkdir(mode=0o700)
        fd = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        copy_tree(source, fd)
    return True


def _move_in(staged: Path, data: Path) -> None:
    """Rename everything into the volume; after a kill the rest is moved by the next who comes."""
    status = staged.stat()
    for entry in sorted(staged.iterdir()):
        entry.rename(data / entry.name)
    os.chown(data, status.st_uid, status.st_gid)
    data.chmod(status.st_mode & 0o7777)
    staged.rmdir()


def _is_mount(path: Path) -> bool:
    return any(mount.mountpoint == str(path) for mount in host.mounts())


def _mount_tmpfs(name: str, data: Path, options: str) -> None:
    if _is_mount(data):
        return
    try:
        syscalls.mount("tmpfs", str(data), "tmpfs", MountFlag.NOSUID | MountFlag.NODEV, options)
    except OSError as err:
        raise HostError(
            f'cannot mount the tmpfs of volume "{name}": {err.strerror}',
            hint="check driver_opts.o, and that you are root",
        ) from err


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise VolumeError(
            f"cannot use {name!r} as the name of a volume: it has characters that are not allowed",
            hint='use letters, digits, "_", "." and "-", starting with a letter or digit',
        )


def _refuse_foreign(record: VolumeRecord, spec: VolumeSpec, project: str) -> None:
    if not spec.external and record.project != project:
        raise VolumeError(
            f'cannot create volume "{spec.name}": project "{record.project}" has one of that name',
            hint="choose another name, or declare it `external: true`",
        )
