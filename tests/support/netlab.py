"""A host, an outside and containers, all made of network namespaces, with no process in them.

The test's own thread moves: it is in the fake host's namespace while a test runs, and steps into
others to open sockets there. Everything vanishes with the descriptors.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from support.patience import FACTOR

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.linux.netlink import Netlink
from orchestra.engine.network.networks import Networks
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import Interface
from orchestra.engine.state.records import ContainerRecord, NetworkRecord, Wanted
from orchestra.engine.state.store import Store
from orchestra.planner.desired import Attachment, ContainerSpec, PortSpec

OWN = "/proc/thread-self/ns/net"
OUTSIDE, OUTSIDE6 = "203.0.113.2", "2001:db8:1::2"
HOST, HOST6 = "203.0.113.1", "2001:db8:1::1"
PATIENCE_SECONDS = 30.0 * FACTOR
"""How long what must come may take; it comes at once, or when the machine is less busy."""
SILENCE_SECONDS = 0.4
"""How long we listen for what must not come."""


def _open_own() -> int:
    return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)


@dataclass(frozen=True)
class Place:
    """A network namespace, and what the lab knows of who lives there."""

    fd: int
    record: ContainerRecord | None = None

    @property
    def address(self) -> str:
        assert self.record is not None
        address = self.record.endpoints[0].ipv4
        assert address is not None
        return address

    @contextmanager
    def entered(self) -> Iterator[None]:
        back = _open_own()
        syscalls.setns(self.fd, CloneFlag.NEWNET)
        try:
            yield
        finally:
            syscalls.setns(back, CloneFlag.NEWNET)
            os.close(back)


_NODAD = 0x02


def _idle_links() -> set[str]:
    """Return the links of this namespace that are raised and cannot send yet.

    Raising a link is half of it: a worker of the kernel sees its carrier later, and then lets it
    send, or as a port of a bridge forward. Until then packets are dropped without a word, and a
    question for a neighbour is asked again after a second. A bridge without ports is left out.
    """
    shown = subprocess.run(["ip", "-j", "-d", "link"], capture_output=True, check=True).stdout
    links = json.loads(shown)
    masters = {link.get("master") for link in links}
    raised = {link["ifname"]: link for link in links if "UP" in link["flags"]}
    return {
        name
        for name, link in raised.items()
        if link["operstate"] not in {"UP", "UNKNOWN"}
        and (name in masters or link["linkinfo"]["info_kind"] != "bridge")
    }


def _deaf_addresses() -> set[str]:
    """Return the IPv6 addresses of this namespace that were added and hear nothing yet.

    A worker of the kernel joins an address's group of solicited nodes and makes its local route,
    also where detection of duplicates is left out. Others, the links' own, are nobody's here.
    """
    here = Path("/proc/thread-self/net")
    routes = [line.split() for line in (here / "ipv6_route").read_text().splitlines()]
    local = {(route[0], route[9]) for route in routes if route[1] == "80"}
    added = [line.split() for line in (here / "if_inet6").read_text().splitlines()]
    return {
        address
        for address, _, _, _, flags, link in added
        if int(flags, 16) & _NODAD and (address, link) not in local
    }


class Lab:
    """The fake host: enter it, make networks and containers, ask who reaches whom."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(
            PurePosixPath(root / "data"), PurePosixPath(root / "run"), PurePosixPath(root / "c")
        )
        self.store = Store(self.paths)
        self.networks = Networks(self.paths, self.store)
        self._fds: list[int] = []
        self._places: list[Place] = []
        self._sockets: list[socket.socket] = []
        self._number = 0

    @contextmanager
    def entered(self) -> Iterator[Lab]:
        back = _open_own()
        try:
            syscalls.unshare(CloneFlag.NEWNET)
            with Netlink() as netlink:
                netlink.set_loopback_up()
            self.host = self._place(_open_own())
            self.outside = self._make_outside()
            yield self
        finally:
            for sock in self._sockets:
                sock.close()
            syscalls.setns(back, CloneFlag.NEWNET)
            for fd in [*self._fds, back]:
                os.close(fd)

    def keep(self, fd: int) -> int:
        """Close a descriptor with the lab."""
        self._fds.append(fd)
        return fd

    def _place(self, fd: int, record: ContainerRecord | None = None) -> Place:
        place = Place(self.keep(fd), record)
        self._places.append(place)
        return place

    def _namespace(self) -> int:
        with self.host.entered():
            syscalls.unshare(CloneFlag.NEWNET)
            return _open_own()

    def settle(self, *places: Place) -> None:
        """Wait for the kernel's workers: after this, who does not reach somebody may not.

        In these places, or in all of them.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while unready := [name for p in places or self._places for name in self._unready(p)]:
            assert time.monotonic() < deadline, f"not ready: {unready}"

    @staticmethod
    def _unready(place: Place) -> set[str]:
        with place.entered():
            return _idle_links() | _deaf_addresses()

    def _make_outside(self) -> Place:
        """Wire a neighbour of the host's: no route to any container's subnet."""
        place = self._place(self._namespace())
        with Netlink() as netlink:
            netlink.add_bridge("wire", mac="02:00:00:00:00:01")
            Path("/proc/sys/net/ipv6/conf/wire/accept_dad").write_text("0")
            netlink.add_address("wire", f"{HOST}/24")
            netlink.add_address("wire", f"{HOST6}/64")
            mac = "02:00:00:00:00:02"
            netlink.add_veth(
                "out", "eth0", bridge="wire", peer_netns_fd=place.fd, mac=mac, mtu=1500
            )
        with place.entered(), Netlink() as netlink:
            netlink.set_loopback_up()
            netlink.link_up("eth0")
            netlink.add_address("eth0", f"{OUTSIDE}/24")
            netlink.add_address("eth0", f"{OUTSIDE6}/64")
        return place

    def container(
        self,
        project: str,
        service: str,
        *networks: NetworkRecord,
        ports: tuple[PortSpec, ...] = (),
        **changes: object,
    ) -> Place:
        """Write a container down and make its namespace, as its shim would."""
        self._number += 1
        spec = ContainerSpec(
            project=project,
            service=service,
            number=1,
            name=f"{project}-{service}-1",
            image="busybox",
            config_hash="x",
            networks=tuple(Attachment(network=n.spec.key) for n in networks),
            ports=ports,
        )
        spec = replace(spec, **changes)
        record = ContainerRecord(
            id=f"{self._number:012x}".ljust(64, "0"),
            spec=spec,
            image_id="i",
            layers=(),
            created_at=datetime.now(UTC),
            wanted=Wanted.RUNNING,
            endpoints=self.networks.endpoints(spec, {n.spec.key: n for n in networks}),
            ports=self.networks.choose_ports(ports),
        )
        self.store.write_container(record)
        place = self._place(self._namespace(), record)
        self.attach(place, self.networks.interfaces(record))
        return place

    def attach(self, place: Place, interfaces: list[Interface]) -> None:
        for interface in interfaces:
            with Netlink() as netlink:
                netlink.add_veth(
                    interface["host_name"],
                    interface["name"],
                    bridge=interface["bridge"],
                    peer_netns_fd=place.fd,
                    mac=interface["mac"],
                    mtu=interface["mtu"],
                )
            with place.entered(), Netlink() as netlink:
                netlink.set_loopback_up()
                for address in interface["addresses"]:
                    netlink.add_address(interface["name"], address)
                netlink.link_up(interface["name"])
                for gateway in interface["gateways"]:
                    netlink.add_route(gateway, via_link=interface["name"])
        self.settle(self.host, place)

    def listen(self, place: Place, port: int, address: str = "") -> socket.socket:
        """Open a server in a place, on every address unless one is given."""
        with place.entered():
            family = socket.AF_INET6 if not address or ":" in address else socket.AF_INET
            server = socket.create_server(
                (address, port), family=family, dualstack_ipv6=not address
            )
        self._sockets.append(server)
        return server

    def datagrams(self, place: Place, port: int = 0) -> socket.socket:
        with place.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", port))
        sock.settimeout(PATIENCE_SECONDS)
        self._sockets.append(sock)
        return sock

    def reaches(self, place: Place, address: str, port: int, *, source: str = "") -> bool:
        """Tell whether a connection from a place is answered by a server, whoever that is.

        Waits for the answer, which must come. Whether none comes is told by :meth:`is_cut_off`.
        """
        return self._connects(place, address, port, source, PATIENCE_SECONDS)

    def is_cut_off(self, place: Place, address: str, port: int, *, source: str = "") -> bool:
        """Tell whether a connection from a place is refused, or not answered in a short time."""
        self.settle()
        return not self._connects(place, address, port, source, SILENCE_SECONDS)

    def _connects(self, place: Place, address: str, port: int, source: str, seconds: float) -> bool:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with place.entered(), socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(seconds)
            with suppress(OSError):
                if source:
                    client.bind((source, 0))
                bare, _, link = address.partition("%")
                scope = (0, socket.if_nametoindex(link)) if link else ()
                client.connect((bare, port, *scope))
                return True
        return False

    def peer_of(self, place: Place, address: str, port: int, server: socket.socket) -> str:
        """Connect from a place and return the address that the server sees."""
        with place.entered(), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_SECONDS)
            client.connect((address, port))
            server.settimeout(PATIENCE_SECONDS)
            connection, peer = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        return peer[0].removeprefix("::ffff:")


def hears_nothing(sock: socket.socket) -> bool:
    """Tell whether nothing comes to a socket in a short time."""
    before = sock.gettimeout()
    sock.settimeout(SILENCE_SECONDS)
    try:
        sock.recvfrom(100)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(before)
    return False
