"""The network namespace that a container gets, and the sockets that others hold in it.

Made here: interfaces, addresses, routes, the way from 127.0.0.11:53 to the resolver's sockets. The
namespace is never pinned: it ends with the container's processes and those sockets.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from orchestra.engine.linux import process, syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.linux.netlink import Netlink, NetlinkError
from orchestra.engine.linux.nfnetlink import redirect_output
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.protocol import (
    DNS_ADDRESS,
    DNS_PORT,
    Identity,
    Interface,
    ShimNetwork,
)

if TYPE_CHECKING:
    from orchestra.engine.linux.local_routes import LocalRoutes
    from orchestra.engine.shim.network_ahead import Ahead

_SYSCTL = re.compile(r"net(\.[A-Za-z0-9_-]+)+")
SELF = "/proc/self/ns/net"
_NEW_WITHOUT_IPV6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
_ROUTES_SECONDS = 1.0
"""So long a first question for a neighbour would take, if its answer was not heard."""


class Entered:
    """The container's network namespace, entered by this process, and empty if it is new."""

    def __init__(
        self, network: ShimNetwork, host: Netlink | None, ahead: Ahead | None = None
    ) -> None:
        self._network = network
        self._host = host
        self._ahead = ahead

    def furnish(self) -> tuple[int, ...]:
        """Make what belongs into a new one; return the container's DNS sockets, if any.

        :raises ShimFailure: when an interface, an address or a setting cannot be had.
        """
        network, ahead = self._network, self._ahead
        if self._host is None:
            return ()
        try:
            addresses = _ipv6_addresses(network["interfaces"])
            routes = _listen() if addresses else None
            with self._host as host:
                _configure(host, network["interfaces"], ahead)
            for name, value in network.get("sysctl", {}).items():
                if ahead is None or not ahead.is_set(name):
                    set_sysctl(name, value)
            if ahead is not None:
                sockets = ahead.give_sockets()
            else:
                sockets = open_dns_sockets(redirect=True) if network["dns"] else ()
            if routes is not None:
                routes.wait(addresses, _ROUTES_SECONDS)
                routes.close()
            return sockets
        except OSError as err:
            raise because("cannot set up the network", err) from err


def _ipv6_addresses(interfaces: list[Interface]) -> list[str]:
    everything = (address for interface in interfaces for address in interface["addresses"])
    return [address.partition("/")[0] for address in everything if ":" in address]


def _listen() -> LocalRoutes:
    from orchestra.engine.linux.local_routes import LocalRoutes  # noqa: PLC0415 - with IPv6 alone

    return LocalRoutes()


def enter_network(network: ShimNetwork, ahead: Ahead | None = None) -> Entered:
    """Move this process into the container's network namespace, one made ``ahead`` or another.

    :raises ShimFailure: when it cannot be had.
    """
    try:
        if network["mode"] == "join":
            _join(network.get("join"))
        if network["mode"] != "new":
            return Entered(network, None)
        if ahead is not None:
            syscalls.setns(ahead.fd, CloneFlag.NEWNET)
            return Entered(network, ahead.host, ahead)
        host = Netlink()
        try:
            syscalls.unshare(CloneFlag.NEWNET)
        except OSError:
            host.close()
            raise
        return Entered(network, host)
    except OSError as err:
        raise because("cannot set up the network", err) from err


def enter_network_of(pid: int, network: ShimNetwork) -> Entered:
    """Move this process into the network namespace that a container has made for itself.

    It belongs to the container's user namespace, and is empty.

    :raises ShimFailure: when it cannot be had.
    """
    host = Netlink()
    try:
        theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(theirs, CloneFlag.NEWNET)
        finally:
            os.close(theirs)
    except OSError as err:
        host.close()
        raise because("cannot set up the network", err) from err
    return Entered(network, host)


def open_dns_sockets(*, redirect: bool) -> tuple[int, int]:
    """Open the resolver's udp and tcp sockets in this namespace.

    They listen on DNS_PORT, where the redirection leads, so that a container may have port 53.
    Where nftables is not to be had, they listen on port 53 itself.

    :raises OSError: when the address is taken.
    """
    port = DNS_PORT
    if redirect:
        try:
            redirect_output(DNS_ADDRESS, 53, to_port=DNS_PORT)
        except OSError:
            port = 53
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.bind((DNS_ADDRESS, port))
    tcp.bind((DNS_ADDRESS, port))
    tcp.listen(64)
    return udp.detach(), tcp.detach()


@contextmanager
def own_namespace() -> Iterator[int]:
    """Open the network namespace that this process is in."""
    fd = os.open(SELF, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def enter_namespace_of(who: Identity) -> None:
    """Move this process into the network namespace of a living process.

    :raises OSError: ESRCH when it is gone.
    """
    pidfd = process.pidfd_open(who)
    try:
        syscalls.setns(pidfd, CloneFlag.NEWNET)
    finally:
        os.close(pidfd)


def _join(who: Identity | None) -> None:
    if who is None:
        raise ShimFailure("cannot join a network namespace: no process is named")
    try:
        enter_namespace_of(who)
    except ProcessLookupError as err:
        raise ShimFailure(
            "cannot join the network of another container: it does not run", errno=errno.ESRCH
        ) from err


def _configure(host: Netlink, interfaces: list[Interface], ahead: Ahead | None) -> None:
    if ahead is not None:
        known = ahead.give_pair(interfaces[0]) if interfaces else {}
        _fill(host, ahead.inside, interfaces, ahead.fd, known)
        return
    with Netlink() as inside:
        if not interfaces:
            inside.set_loopback_up()
            return
        with own_namespace() as namespace:
            _fill(host, inside, interfaces, namespace)


def _fill(
    host: Netlink,
    inside: Netlink,
    interfaces: list[Interface],
    namespace: int,
    known: Mapping[str, int] | None = None,
) -> None:
    """Make the interfaces; ``known``: indexes of those that are there, in a namespace ahead."""
    for interface in interfaces:
        made = known is not None and interface["name"] in known
        if not made:
            add = partial(_add_pair, host, interface, namespace)
            with without_ipv6(unless=has_ipv6(interface)):
                with_name_free(host, interface["host_name"], add)
        for key, value in interface.get("sysctl", {}).items():
            set_sysctl(key, value, interface=interface["name"])
    with inside.batch(known):
        if known is None:
            inside.set_loopback_up()
        for interface in interfaces:
            if known and interface["name"] in known:
                inside.set_hardware(interface["name"], mac=interface["mac"], mtu=interface["mtu"])
            _raise_interface(inside, interface)


def _add_pair(host: Netlink, interface: Interface, namespace: int) -> None:
    host.add_veth(
        interface["host_name"],
        interface["name"],
        bridge=interface["bridge"],
        peer_netns_fd=namespace,
        mac=interface["mac"],
        mtu=interface["mtu"],
    )


def with_name_free(host: Netlink, name: str, action: Callable[[], None]) -> None:
    """Make a link of a name; one left by a namespace that is still being torn down goes first.

    :raises NetlinkError: when the kernel refuses.
    """
    try:
        action()
    except NetlinkError as err:
        if err.errno != errno.EEXIST:
            raise
        host.delete_link(name, missing_ok=True)
        action()


def has_ipv6(interface: Interface) -> bool:
    """Tell whether an interface gets addresses of IPv6."""
    return any(":" in address for address in interface["addresses"])


def _raise_interface(inside: Netlink, interface: Interface) -> None:
    name = interface["name"]
    for address in interface["addresses"]:
        inside.add_address(name, address)
    inside.link_up(name)
    for gateway in interface["gateways"]:
        inside.add_route(gateway, via_link=name)


def set_sysctl(name: str, value: str, *, interface: str = "") -> None:
    """Set one of this namespace's settings; IFNAME in its name is an interface's.

    :raises ShimFailure: for a name that is none, or a value that the kernel refuses.
    """
    if not _SYSCTL.fullmatch(name):
        raise ShimFailure(f'cannot set "{name}": it is no sysctl of a network')
    names = [interface if interface and part == "IFNAME" else part for part in name.split(".")]
    path = f"/proc/sys/{'/'.join(names)}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as err:
        raise because(f'cannot set the sysctl "{name}" to "{value}"', err) from err


@contextmanager
def without_ipv6(*, unless: bool) -> Iterator[None]:
    """Keep link-local IPv6 off interfaces that are made: on a network without nobody filters it.

    By the default of new ones: that of one alone waits for the kernel's lock on all links, and on
    the processor (restart_syscall in addrconf_disable_ipv6; the default does not since Linux 6.9).
    """
    try:
        fd = os.open(_NEW_WITHOUT_IPV6, os.O_RDWR | os.O_CLOEXEC) if not unless else -1
    except OSError:  # a kernel that has none at all
        fd = -1
    if fd < 0:
        yield
        return
    try:
        before = os.read(fd, 16)
        os.pwrite(fd, b"1", 0)
        try:
            yield
        finally:
            os.pwrite(fd, before, 0)
    finally:
        os.close(fd)
