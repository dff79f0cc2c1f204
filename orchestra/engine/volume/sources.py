"""What the host has to have for a container's mounts: bind sources, configs and secrets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestra.engine.shim.protocol import ShimFile
from orchestra.errors import VolumeError
from orchestra.oci.runtime import OciMount
from orchestra.planner.desired import FileMount, Mount


def ensure_bind_source(mount: Mount) -> None:
    """Make a bind's directory where it is missing and may be made (bind.create_host_path).

    :raises VolumeError: when it is missing and may not, or cannot, be made.
    """
    source = Path(mount.source)
    if source.exists() or source.is_symlink():
        return
    if not mount.create_host_path:
        raise VolumeError(
            f'cannot mount "{mount.source}" at "{mount.target}": no such file or directory',
            hint="make it, or set bind.create_host_path",
        )
    try:
        source.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as err:
        raise VolumeError(f'cannot create "{mount.source}": {err.strerror}') from err


def shim_files(
    files: Sequence[FileMount], run_directory: str
) -> tuple[list[ShimFile], list[OciMount]]:
    """Say which files the shim writes on its tmpfs, and the binds that show them.

    ``run_directory`` is the container's; the tmpfs is ``files`` below it.

    :raises VolumeError: when a source on disk is missing.
    """
    shown: list[ShimFile] = []
    mounts: list[OciMount] = []
    for number, file in enumerate(files):
        name = str(number)
        entry = ShimFile(name=name, uid=file.uid, gid=file.gid, mode=file.mode)
        if file.source_path is not None:
            if not Path(file.source_path).is_file():
                what = "secret" if file.secret else "config"
                raise VolumeError(
                    f'cannot mount the {what} "{file.source_path}" at "{file.target}":'
                    " no such file",
                    hint="make that file, or correct its path",
                )
            entry["source_path"] = file.source_path
        else:
            entry["content"] = file.content or ""
        shown.append(entry)
        mounts.append(
            OciMount(
                destination=file.target,
                type="bind",
                source=f"{run_directory}/files/{name}",
                options=["bind", "ro", "nosuid", "nodev", "noexec", "rprivate"],
            )
        )
    return shown, mounts
