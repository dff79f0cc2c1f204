"""A container with remapped ids: its root and its mounts as its own user namespace sees them.

All is made here, by the host's root in the shim's child: layers, volumes and small files are bound
with mapped owners (MOUNT_ATTR_IDMAP; overlay on such layers: Linux 5.19), other binds as they are.
They lie on one tmpfs, which becomes the working directory: the container's first process is nobody
on this machine and could not walk to them from the root.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH102

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.flags import AT_FDCWD, AtFlag, MountAttr, MountFlag, OpenTree
from orchestra.engine.linux.identity import acting_as, host_id
from orchestra.engine.runtime.idmap import user_namespace
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.protocol import Rootfs, ShimRequest, UserNamespace
from orchestra.engine.shim.rootfs import mount_rootfs
from orchestra.engine.shim.stages import mount_stages
from orchestra.oci.runtime import OciMount, RuntimeConfig

_DIRECTORY = "mapped"
_CLONE = int(OpenTree.CLONE)
_CLONE_TREE = int(OpenTree.CLONE | AtFlag.RECURSIVE)


def enter_stage(request: ShimRequest, wanted: UserNamespace, config: RuntimeConfig) -> ShimRequest:
    """Make everything, and go where it is; return the request for what lies there.

    :raises ShimFailure: when a mount cannot be made, or its owners cannot be mapped.
    """
    directory = f"{request['run_directory']}/{_DIRECTORY}"
    try:
        make_private(directory)
        syscalls.mount("tmpfs", directory, "tmpfs", MountFlag.NOSUID | MountFlag.NODEV, "mode=0711")
        namespace = user_namespace(wanted["uids"], wanted["gids"])
    except OSError as err:
        raise because("cannot make a user namespace", err) from err
    try:
        stage = _Stage(directory, wanted, namespace)
        stage.mount_root(f"{directory}/rootfs", request["rootfs"])
        mount_stages(request["run_directory"], request.get("stages", ()), stage.mount_root)
        mounts = stage.show_binds(config.get("mounts", []))
    finally:
        os.close(namespace)
    changed = {**config, "root": {**config["root"], "path": "rootfs"}, "mounts": mounts}
    os.chdir(directory)
    with open("config.json", "w", encoding="utf-8", opener=_private) as file:
        json.dump(changed, file)
    return {**request, "bundle": "."}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class _Stage:
    """The tmpfs of one container."""

    def __init__(self, directory: str, wanted: UserNamespace, namespace: int) -> None:
        self._directory = directory
        self._wanted = wanted
        self._mapped = frozenset(wanted["mapped"])
        self._namespace = namespace

    def mount_root(self, target: str, rootfs: Rootfs) -> None:
        """Mount a root whose layers have mapped owners, at ``target``, whose name is its alone.

        :raises ShimFailure: when the kernel or a file system cannot map owners.
        """
        with _explained("map the owners of the layers"):
            if not rootfs["upper"]:
                make_private(target)
                self._bind(rootfs["lower"][0], target, recursive=True, mapped=True)
                return
            name = os.path.basename(target)  # noqa: PTH119
            lower = []
            for number, layer in enumerate(rootfs["lower"]):
                place = self._place(f"{name}.{number}")
                self._bind(layer, place, recursive=False, mapped=True)
                lower.append(place)
            # Overlayfs wants upper and work on one mount: that of the directory above both.
            above = os.path.dirname(rootfs["upper"])  # noqa: PTH120
            place = self._place(f"{name}.rw")
            self._bind(above, place, recursive=False, mapped=True)
        upper, work = (rootfs["upper"], rootfs["work"])
        moved: Rootfs = {
            "lower": lower,
            "upper": place + upper.removeprefix(above),
            "work": place + work.removeprefix(above),
        }
        # Overlayfs acts on its layers as who mounted it, and the host's root has no place in them.
        with acting_as(*host_owner(self._wanted, 0, 0)):
            mount_rootfs(target, moved)

    def _place(self, name: str) -> str:
        place = f"{self._directory}/{name}"
        os.mkdir(place, 0o700)
        return place

    def show_binds(self, mounts: list[OciMount]) -> list[OciMount]:
        """Bind every source of a bind here, and return the mounts with these sources.

        :raises ShimFailure: when one cannot be bound.
        """
        return [self._show(mount, f"mount.{number}") for number, mount in enumerate(mounts)]

    def _show(self, mount: OciMount, name: str) -> OciMount:
        options = mount.get("options", [])
        if not {"bind", "rbind"} & {mount.get("type", ""), *options}:
            return mount
        source, target = mount.get("source", ""), mount["destination"]
        with _explained(f'mount "{source}"'):
            mode = os.stat(source).st_mode  # noqa: PTH116
            if stat.S_ISDIR(mode):
                self._place(name)
            else:
                os.close(_private(f"{self._directory}/{name}", os.O_WRONLY | os.O_CREAT))
            place = f"{self._directory}/{name}"
            whole = "rbind" in options
            self._bind(source, place, recursive=whole, mapped=target in self._mapped)
        return {**mount, "source": name}

    def _bind(self, source: str, target: str, *, recursive: bool, mapped: bool) -> None:
        tree = syscalls.open_tree(AT_FDCWD, source, _CLONE_TREE if recursive else _CLONE)
        try:
            if mapped:
                syscalls.mount_setattr(tree, add=MountAttr.IDMAP, userns_fd=self._namespace)
            syscalls.move_mount(tree, AT_FDCWD, target)
        finally:
            os.close(tree)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise because(f"cannot {what}", err) from err


def host_owner(wanted: UserNamespace, uid: int, gid: int) -> tuple[int, int]:
    """Return the host's ids of a container's user.

    :raises ShimFailure: when the container has no such ids.
    """
    found = []
    for number, ranges in ((uid, wanted["uids"]), (gid, wanted["gids"])):
        outside = host_id(ranges, number)
        if outside is None:
            raise ShimFailure(f"the id {number} is none of the container's, whose ids are remapped")
        found.append(outside)
    return found[0], found[1]
