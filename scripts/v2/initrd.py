"""The first file system of the machine: busybox and the drivers of its disks, as a cpio archive."""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.v2.errors import MachineError

_DIRECTORY, _PROGRAM, _FILE = 0o040755, 0o100755, 0o100644
# Where anything fails the shell ends, the kernel panics, and the runner shows the console.
INIT = """\
#!/bin/busybox sh
set -e
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
tries=0
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
    [ $((tries += 1)) -lt 100 ] || { echo "the disks do not come"; exit 1; }
    /bin/busybox usleep 50000
done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/checkout
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /usr/bin/python3 -IS /checkout/scripts/v2/guest.py
"""


def _entry(number: int, name: str, mode: int, data: bytes = b"") -> bytes:
    """Return one member in the "newc" format: Documentation/driver-api/early-userspace."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def _members(busybox: bytes, modules: Sequence[bytes]) -> Iterator[tuple[str, int, bytes]]:
    for name in ("bin", "dev", "modules", "root"):
        yield name, _DIRECTORY, b""
    yield "bin/busybox", _PROGRAM, busybox
    yield "init", _PROGRAM, INIT.encode()
    for number, module in enumerate(modules):
        yield f"modules/{number:02}.ko", _FILE, module
    yield "TRAILER!!!", 0, b""


def archive(busybox: bytes, modules: Sequence[bytes]) -> bytes:
    """Return the archive; the modules are loaded in the order given."""
    members = enumerate(_members(busybox, modules), 1)
    return b"".join(_entry(number, *member) for number, member in members)


def in_order(names: Sequence[str], dependencies: str) -> list[str]:
    """Return the paths of modules and what they need, the needed first, out of a modules.dep.

    :raises MachineError: when there is none of that name.
    """
    needs = {}
    for line in dependencies.splitlines():
        path, _, rest = line.partition(":")
        # modules.dep names what is needed from the nearest to the farthest.
        needs[Path(path).name.partition(".")[0]] = (path, rest.split()[::-1])
    found: list[str] = []
    for name in names:
        if name not in needs:
            raise MachineError(f"the kernel has no module {name}")
        path, needed = needs[name]
        found += [each for each in (*needed, path) if each not in found]
    return found


def read_module(path: Path) -> bytes:
    """Return a module as the kernel takes it; packages have them compressed since 2024."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
