"""A container's network namespace, made before it is known whose it will be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.linux.netlink import Netlink
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.network import (
    SELF,
    has_ipv6,
    open_dns_sockets,
    set_sysctl,
    with_name_free,
    without_ipv6,
)
from orchestra.engine.shim.protocol import Interface, ShimNetwork
from orchestra.values import dataclass

_EARLY = ("net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range")
"""Settings that can be made before there are addresses."""


@dataclass(frozen=True, slots=True)
class NetworkKind:
    """What is made ahead: the resolver's sockets, some settings, one interface, down and bare."""

    dns: bool
    settings: tuple[tuple[str, str], ...]
    interface: str
    """"" for none."""
    ipv6: bool


def network_kind(network: ShimNetwork) -> NetworkKind | None:
    """Return what a container's network has in common with others; None where it is not its own."""
    if network["mode"] != "new":
        return None
    asked = network.get("sysctl", {})
    settings = tuple((name, asked[name]) for name in _EARLY if name in asked)
    first = network["interfaces"][:1]
    name = first[0]["name"] if first else ""
    return NetworkKind(network["dns"], settings, name, any(map(has_ipv6, first)))


class Ahead:
    """One that this process has just made and entered.

    ``loose`` is what the host's end of the pair is called until it has a bridge.
    """

    def __init__(self, kind: NetworkKind, loose: str) -> None:
        """Make it.

        :raises OSError, ShimFailure: when it cannot be had.
        """
        self.kind = kind
        self.host = Netlink()
        self._loose = loose
        self.fd, self._index, self._peer = -1, 0, 0
        self._sockets: tuple[int, ...] = ()
        try:
            syscalls.unshare(CloneFlag.NEWNET)
            self.fd = os.open(SELF, os.O_RDONLY | os.O_CLOEXEC)
            self.inside = Netlink()
        except OSError:
            self._close_here()
            raise
        try:
            self._fill()
        except (OSError, ShimFailure):
            self.close()
            raise

    def _fill(self) -> None:
        kind = self.kind
        self.inside.set_loopback_up()
        if kind.interface:
            name = kind.interface
            with without_ipv6(unless=kind.ipv6):
                self._index = self.host.add_loose_veth(self._loose, name, peer_netns_fd=self.fd)
            self._peer = self.inside.link(name).index
        for name, value in kind.settings:
            set_sysctl(name, value)
        if kind.dns:
            self._sockets = open_dns_sockets(redirect=True)

    def give_sockets(self) -> tuple[int, ...]:
        """Give the resolver's sockets away."""
        sockets, self._sockets = self._sockets, ()
        return sockets

    def give_pair(self, interface: Interface) -> Mapping[str, int]:
        """Connect the pair to its bridge; return the index of its end inside, by name.

        :raises NetlinkError: when the kernel refuses.
        """
        index, self._index = self._index, 0
        if not index:
            return {}
        bridge, mtu = interface["bridge"], interface["mtu"]
        name = interface["host_name"]
        with_name_free(
            self.host, name, lambda: self.host.make_port(index, name, bridge=bridge, mtu=mtu)
        )
        return {interface["name"]: self._peer}

    def is_set(self, name: str) -> bool:
        """Tell whether a setting has been made."""
        return any(name == made for made, _ in self.kind.settings)

    def close(self) -> None:
        """Let go of it: it ends unless somebody is in it."""
        if self._index:
            with suppress(OSError):  # at once: the namespace's own end would take its time
                self.host.delete_link(self._loose, missing_ok=True)
        for fd in self.give_sockets():
            os.close(fd)
        self.inside.close()
        self._close_here()

    def _close_here(self) -> None:
        self.host.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
