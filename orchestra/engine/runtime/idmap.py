"""Owners of a bind mount as other ids (mount_setattr(2), MOUNT_ATTR_IDMAP, Linux 5.12).

The mapping is a user namespace's. Only a process outside can map one at will, and only the host's
/proc names its maker, so the parent makes these mounts, and the container's first process, which
inherits them, puts them on their targets.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from orchestra.engine.linux import forks, syscalls
from orchestra.engine.linux.flags import AT_FDCWD, CloneFlag, MountAttr
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.mounts import clone_tree
from orchestra.engine.runtime.namespaces import write_mappings
from orchestra.oci.runtime import IdMapping, OciMount


def open_mapped(mounts: Sequence[OciMount], bundle: str) -> dict[str, int]:
    """Return a detached mount with mapped owners for each of these, by destination.

    :raises RuntimeFailure: when one cannot be made; none is left open then.
    """
    targets = [mount["destination"] for mount in mounts]
    if len(set(targets)) < len(targets):
        raise RuntimeFailure("cannot map the owners of two mounts at one place")
    opened: dict[str, int] = {}
    try:
        for mount in mounts:
            try:
                opened[mount["destination"]] = _open_mapped(mount, bundle)
            except OSError as err:
                raise failed(f'map the owners of "{mount["destination"]}"', err) from err
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return opened


def _open_mapped(mount: OciMount, bundle: str) -> int:
    target, options = mount["destination"], mount.get("options") or []
    if not {"bind", "rbind"} & {mount.get("type", ""), *options}:
        raise RuntimeFailure(f'cannot map the owners of "{target}": it is no bind mount')
    uids, gids = mount.get("uidMappings") or [], mount.get("gidMappings") or []
    if not uids or not gids:
        why = "it needs uidMappings and gidMappings"
        raise RuntimeFailure(f'cannot map the owners of "{target}": {why}')
    source = mount.get("source", "")
    path = source if source.startswith("/") else f"{bundle}/{source}"
    namespace = user_namespace(uids, gids)
    try:
        tree = clone_tree(AT_FDCWD, path, recursive="rbind" in options)
        try:
            # Here, on the detached copy: one that is attached cannot be mapped any more, and a
            # container's own user namespace has no say over the file system.
            syscalls.mount_setattr(
                tree, add=MountAttr.IDMAP, recursive="ridmap" in options, userns_fd=namespace
            )
        except BaseException:
            os.close(tree)
            raise
        return tree
    finally:
        os.close(namespace)


def user_namespace(uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> int:
    """Return a descriptor of a new user namespace, in which nobody lives.

    :raises OSError: EINVAL for mappings that overlap, EPERM.
    """
    reader, writer = os.pipe()
    try:
        pid = forks.clone3(CloneFlag.NEWUSER)
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)  # Until the parent is done with us, or gone.
            os._exit(0)
        try:
            write_mappings(pid, uids, gids)
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(writer)
            writer = -1
            os.waitpid(pid, 0)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
