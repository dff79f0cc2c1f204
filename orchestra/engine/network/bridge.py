"""A network's bridge: the link, its addresses, its sysctls; and what the host has already.

Over raw netlink (docs/adr/0010-raw-netlink.md). All calls block for a millisecond or so: run them
in a thread, which must be in the host's network namespace.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from ipaddress import ip_interface
from pathlib import Path

from orchestra.engine.linux.netlink import Link, Netlink, NetlinkError
from orchestra.engine.linux.proc import read_text
from orchestra.engine.network.naming import mac_of
from orchestra.engine.state.records import NetworkRecord
from orchestra.errors import HostError, NetworkError

_SPECIFIC = 8
_SYSCTLS = Path("/proc/sys/net")


def find_bridge(name: str) -> Link | None:
    """Return a bridge that is there and up, None otherwise.

    :raises NetworkError: when a link of that name is no bridge.
    """
    with Netlink() as netlink:
        link = _find(netlink, name)
    if link is not None and link.kind != "bridge":
        raise NetworkError(f'cannot use link "{name}": it is there, and is no bridge')
    return link if link is not None and link.up else None


def _find(netlink: Netlink, name: str) -> Link | None:
    try:
        return netlink.link(name)
    except NetlinkError as err:
        if err.errno == errno.ENODEV:
            return None
        raise


def ensure_bridge(record: NetworkRecord) -> None:
    """Make a network's bridge with its addresses and sysctls; what is there stays.

    :raises NetworkError: when the kernel refuses.
    :raises HostError: when we have no right to.
    """
    try:
        with Netlink() as netlink:
            link = _find(netlink, record.bridge)
            if link is not None and link.kind != "bridge":
                raise NetworkError(f'cannot use link "{record.bridge}": it is there, and no bridge')
            if link is None:
                mac = mac_of(record.subnets[0].gateway, record.name)
                from orchestra.engine.network.endpoints import mtu_of  # noqa: PLC0415 - only who makes one

                netlink.add_bridge(record.bridge, mac=mac, mtu=mtu_of(record))
            elif not link.up:
                netlink.link_up(record.bridge)
            _set_sysctls(record)
            for subnet in record.subnets:
                length = subnet.subnet.rpartition("/")[2]
                netlink.add_address(record.bridge, f"{subnet.gateway}/{length}")
    except OSError as err:
        raise _refused(record.name, err) from err


def _refused(network: str, err: OSError) -> NetworkError | HostError:
    message = f'cannot create network "{network}": {err.strerror or err}'
    if err.errno in {errno.EPERM, errno.EACCES, errno.EROFS}:
        return HostError(message, hint="run the command as root")
    return NetworkError(message)


def _set_sysctls(record: NetworkRecord) -> None:
    """Forward, let 127.0.0.1 be translated to the bridge, and keep IPv6 out where not asked for.

    The drop of 127/8 that makes route_localnet harmless is in the project's table.
    """
    ipv6 = any(":" in subnet.subnet for subnet in record.subnets)
    _write("ipv4/ip_forward", "1")
    _write(f"ipv4/conf/{record.bridge}/route_localnet", "1")
    _write(f"ipv6/conf/{record.bridge}/accept_ra", "0", optional=True)
    _write(f"ipv6/conf/{record.bridge}/disable_ipv6", str(int(not ipv6)), optional=not ipv6)
    if ipv6:
        _forward_ipv6()


def _forward_ipv6() -> None:
    """Forward IPv6; a forwarding host ignores its router's adverts unless told 2."""
    if (_SYSCTLS / "ipv6/conf/all/forwarding").read_text().strip() == "1":
        return
    for conf in (_SYSCTLS / "ipv6/conf").iterdir():
        with suppress(OSError):
            if (conf / "accept_ra").read_text().strip() == "1":
                (conf / "accept_ra").write_text("2")
    _write("ipv6/conf/all/forwarding", "1")


def _write(name: str, value: str, *, optional: bool = False) -> None:
    path = _SYSCTLS / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as err:
        if not optional:
            raise OSError(err.errno, f'sysctl "net/{name}": {err.strerror}') from err


def delete_bridge(name: str) -> None:
    """Delete a bridge; none is no error.

    :raises NetworkError: when the kernel refuses.
    """
    try:
        with Netlink() as netlink:
            netlink.delete_link(name, missing_ok=True)
    except OSError as err:
        raise NetworkError(f'cannot remove bridge "{name}": {err.strerror}') from err


def occupied(*, but: str = "") -> tuple[str, ...]:
    """Return the CIDRs that this host has addresses in or routes to; ``but``: not by this link.

    Routes to an eighth of the world or more are VPNs' ways to be the default: they do not count.
    """
    with Netlink() as netlink:
        links = {link.index: link.name for link in netlink.links()}
        prefixes = [*netlink.addresses(), *netlink.routes()]
    return tuple(
        sorted(
            {
                str(ip_interface(f"{prefix.address}/{prefix.length}").network)
                for prefix in prefixes
                if links.get(prefix.link) not in {"lo", but}
                and not prefix.address.startswith("fe80:")
                and prefix.length >= _SPECIFIC
            }
        )
    )


def host_nameservers() -> str:
    """Return the text of the host's resolv.conf; systemd's own list where that is a stub."""
    text = ""
    with suppress(OSError):
        text = read_text("/etc/resolv.conf")
    if "127.0.0.53" in text:
        with suppress(OSError):
            return read_text("/run/systemd/resolve/resolv.conf")
    return text
