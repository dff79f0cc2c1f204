"""Host ports: which are free, and who has one that is not."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from orchestra.errors import NetworkError
from orchestra.planner.desired import PortSpec
from orchestra.values import replace

_ATTEMPTS = 64
_TCP_LISTEN = "0A"


def choose(
    wanted: Iterable[PortSpec], taken: Collection[tuple[str, int | None]]
) -> tuple[PortSpec, ...]:
    """Give ports that have no host port a free one; ``taken`` are (protocol, port) of records.

    :raises NetworkError: when none is found.
    """
    used = set(taken)
    chosen = []
    for port in wanted:
        number = port.host_port or _free(port, used)
        used.add((port.protocol, number))
        chosen.append(replace(port, host_port=number))
    return tuple(chosen)


def _free(port: PortSpec, used: Collection[tuple[str, int | None]]) -> int:
    """Ask the kernel for an ephemeral port, more than once when a record has it."""
    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    held: list[socket.socket] = []
    try:
        for _ in range(_ATTEMPTS):
            held.append(socket.socket(family, kind))
            held[-1].bind((port.host_ip, 0))
            number = int(held[-1].getsockname()[1])
            if (port.protocol, number) not in used:
                return number
    except OSError as err:
        raise NetworkError(
            f'cannot choose a port on "{port.host_ip or "any address"}": {err.strerror}',
            hint="check the address, or name a port",
        ) from err
    finally:
        for sock in held:
            sock.close()
    raise NetworkError("cannot choose a port: none is free", hint="name a port")


def owner_of(protocol: str, port: int) -> str | None:
    """Return who has a host port: "pid 4121 (python3)"; None when that cannot be seen.

    Reads /proc/net of this network namespace (proc_pid_net(5)) and the sockets of all processes.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(protocol, port)}
    if not inodes:
        return None
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    for pid in sorted(pids):
        if _holds(pid, inodes):
            with suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
                return f"pid {pid} ({name.strip()})"
    return None


def _inodes(protocol: str, port: int) -> Iterator[str]:
    for table in (protocol, f"{protocol}6"):
        lines: list[str] = []
        with suppress(OSError):
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        for line in lines:
            fields = line.split()
            local, state, inode = fields[1], fields[3], fields[9]
            if int(local.rpartition(":")[2], 16) != port or inode == "0":
                continue
            if protocol != "tcp" or state == _TCP_LISTEN:
                yield inode


def _holds(pid: int, inodes: Collection[str]) -> bool:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(link.readlink()) in inodes:
                    return True
    return False
