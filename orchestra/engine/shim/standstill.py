"""A short-lived program: mount the root of a container that does not run, and hand it over.

In a mount namespace of its own it stacks the layers and puts the container's volumes and binds in
their places, as a start would; then it passes a descriptor of the root, and one of the namespace,
and ends. The mounts live as long as somebody holds the namespace, and nobody else sees them.

Called with the number of a SOCK_SEQPACKET descriptor, on which comes one Wanted. With a mount
namespace beside it, that of a running container, the answer is a copy of the root mount there,
without what is mounted on it. Between entering that namespace and leaving it again nothing is
imported, opened or read (CVE-2019-14271).
"""

from __future__ import annotations

import os
import socket
import sys
from typing import cast

from orchestra.engine.linux import process, syscalls
from orchestra.engine.linux.flags import AT_FDCWD, CloneFlag, MountAttr, OpenTree
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.mounts import Bind
from orchestra.engine.runtime.options import parse_options
from orchestra.engine.runtime.resolve import Root
from orchestra.engine.shim import wire
from orchestra.engine.shim.failure import ShimFailure, because, failed
from orchestra.engine.shim.protocol import Rootfs, Stage
from orchestra.engine.shim.rootfs import enter_mount_namespace, mount_rootfs
from orchestra.engine.shim.stages import mount_stages
from orchestra.oci.runtime import OciMount
from orchestra.values import TypedDict


class Wanted(TypedDict):
    """What to mount, and where in the namespace that nobody sees; ``mounts`` of config.json."""

    target: str
    rootfs: Rootfs
    mounts: list[OciMount]
    read_only: bool
    run_directory: str
    stages: list[Stage]


def main() -> None:
    """Serve one request on the socket that ``sys.argv`` names."""
    number = int(sys.argv[1])
    process.close_all_but((number,))
    os.umask(0o022)
    with socket.socket(fileno=number) as sock:
        received = wire.receive(sock)
        if received is None:
            return
        wanted, given = cast("Wanted", received[0]), received[1]
        try:
            wire.send(sock, {"ok": True}, _bare(given[0]) if given else _stand(wanted))
        except ShimFailure as failure:
            wire.send(sock, failed(failure))
        except (OSError, RuntimeFailure) as err:
            why = err if isinstance(err, OSError) else OSError(str(err))
            wire.send(sock, failed(because("cannot mount the root file system", why)))


def _stand(wanted: Wanted) -> tuple[int, int]:
    """Mount everything; return the root and the namespace."""
    enter_mount_namespace()
    mount_rootfs(wanted["target"], wanted["rootfs"])
    mount_stages(wanted["run_directory"], wanted["stages"])
    fd = os.open(wanted["target"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = Root(fd)
    for mount in wanted["mounts"]:
        options = parse_options(mount.get("options", []))
        source = mount.get("source", "")
        if options.bind and os.path.exists(source):  # noqa: PTH110 - no pathlib here
            Bind(source, mount["destination"], options).apply(root)
    if wanted["read_only"]:
        syscalls.mount_setattr(fd, add=MountAttr.RDONLY)
    return fd, os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def _bare(namespace: int) -> tuple[int, int]:
    """Return the root mount of a namespace, copied into none, and a namespace to hold."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(namespace, CloneFlag.NEWNS)
    try:
        tree = syscalls.open_tree(AT_FDCWD, "/", int(OpenTree.CLONE))
    finally:
        syscalls.setns(own, CloneFlag.NEWNS)
    return tree, own


if __name__ == "__main__":
    main()
