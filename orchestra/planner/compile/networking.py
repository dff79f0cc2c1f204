"""A service's networks, links, ports and hosts -> a container's place on the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from orchestra.addresses import parse_address
from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.desired import Attachment, NetworkSpec, PortSpec
from orchestra.planner.fingerprint import network_hash
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.port import Port
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.spec.model.network import Attachment as Place


BRIDGE = "_bridge"
"""Key of the network that takes the place of docker's default bridge, one for each project."""
_BRIDGE_WORDS = frozenset({"bridge", "default"})
_SYSCTLS = "com.docker.network.endpoint.sysctls"
_IFNAME = "com.docker.network.endpoint.ifname"
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")
_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_SYSCTL = re.compile(r"(net\.(?:ipv4|ipv6|mpls)\.[a-z]+\.IFNAME\.[A-Za-z0-9_-]+)=(\S+)")


def named_network(mode: str | None) -> str:
    """Return the network that network_mode names; "" where it names none."""
    if not mode or mode in {"host", "none"} or mode.startswith(("service:", "container:")):
        return ""
    return BRIDGE if mode in _BRIDGE_WORDS else mode


def mode_networks(project: Project) -> Iterator[NetworkSpec]:
    """Yield the networks that services name by network_mode alone.

    "bridge" is one of the project's own, with names, where docker's is everybody's and has none;
    other names are of networks that are there.
    """
    modes = {named_network(service.network_mode) for service in project.services.values()}
    for name in sorted(modes - {""} - project.networks.keys()):
        own = name == BRIDGE
        spec = NetworkSpec(
            key=name, name=f"{project.name}_{BRIDGE}" if own else name, external=not own
        )
        yield replace(spec, config_hash=network_hash(spec))


def compile_attachments(
    service: Service, container_name: str, complaints: Complaints
) -> tuple[Attachment, ...]:
    """Return a replica's networks, by key. It is known there by its names and aliases."""
    if service.network_mode:
        network = named_network(service.network_mode)
        names = (container_name, service.name)
        mac = _mac(service.mac_address, ("services", service.name), complaints)
        return (Attachment(network=network, aliases=_unique(names), mac=mac),) if network else ()
    own_mac = _mac(service.mac_address, ("services", service.name), complaints)
    primary = min(
        service.networks, key=lambda key: (-service.networks[key].priority, key), default=""
    )
    return tuple(
        Attachment(
            network=key,
            aliases=_unique((container_name, service.name, *place.aliases)),
            ipv4=place.ipv4_address or None,
            ipv6=place.ipv6_address or None,
            mac=_mac(place.mac_address, ("services", service.name, "networks", key), complaints)
            or (own_mac if key == primary else None),
            priority=place.priority,
            gw_priority=place.gw_priority,
            interface_name=place.interface_name or place.driver_opts.get(_IFNAME) or None,
            link_local=_link_local(service.name, key, place, complaints),
            sysctls=_interface_sysctls(service.name, key, place, complaints),
        )
        for key, place in sorted(service.networks.items())
    )


def _mac(text: str | None, place: KeyPath, complaints: Complaints) -> str | None:
    """Return a hardware address in the kernel's form."""
    if not text:
        return None
    if _MAC.fullmatch(text) is None:
        hint = "as in 02:42:ac:11:00:02"
        complaints.add((*place, "mac_address"), f'"{text}" is no hardware address', hint=hint)
        return None
    return text.replace("-", ":").lower()


def _link_local(
    service: str, network: str, place: Place, complaints: Complaints
) -> tuple[str, ...]:
    found: list[str] = []
    for index, text in enumerate(place.link_local_ips):
        try:
            address = parse_address(text)
        except ValueError:
            address = None
        if address is None or address.is_unspecified:
            path = ("services", service, "networks", network, "link_local_ips", index)
            complaints.add(path, f'"{text}" is no address', hint="as in 169.254.8.8")
        else:
            found.append(str(address))
    return tuple(found)


def _interface_sysctls(
    service: str, network: str, place: Place, complaints: Complaints
) -> Mapping[str, str]:
    """Return the settings of an interface, from the options that docker's bridges take."""
    path = ("services", service, "networks", network, "driver_opts")
    for option in sorted(place.driver_opts.keys() - {_SYSCTLS, _IFNAME}):
        complaints.refuse((*path, option), "the option is not known", "remove it")
    found: dict[str, str] = {}
    for entry in filter(None, place.driver_opts.get(_SYSCTLS, "").split(",")):
        match = _SYSCTL.fullmatch(entry.strip())
        if match is None:
            hint = "write net.ipv4.conf.IFNAME.KEY=VALUE, the word IFNAME as it stands"
            complaints.add((*path, _SYSCTLS), f'"{entry}" is no setting of an interface', hint=hint)
        else:
            found[match[1]] = match[2]
    return dict(sorted(found.items()))


def compile_links(service: Service) -> tuple[tuple[str, str], ...]:
    """Return (name, alias) pairs of ``links`` and ``external_links``.

    Those of other projects' containers find them on networks that both are on.
    """
    pairs: set[tuple[str, str]] = set()
    for link in (*service.links, *service.external_links):
        other, _, alias = link.partition(":")
        pairs.add((other, alias or other))
    return tuple(sorted(pairs))


def compile_ports(service: Service, number: int, complaints: Complaints) -> tuple[PortSpec, ...]:
    """Return a replica's published ports; of a range, replica N takes the Nth."""
    found: list[PortSpec] = []
    for index, port in enumerate(service.ports):
        key: KeyPath = ("services", service.name, "ports", index, "published")
        protocol = port.protocol or "tcp"
        if protocol not in _PROTOCOLS:
            path = ("services", service.name, "ports", index, "protocol")
            complaints.add(path, f'unknown protocol "{protocol}"', hint="use tcp, udp or sctp")
        spec = PortSpec(
            container_port=port.target,
            protocol=protocol,
            host_ip=str(parse_address(port.host_ip)) if port.host_ip else "",
            host_port=_host_port(port, number, key, complaints),
        )
        if spec not in found:
            found.append(spec)
    return tuple(sorted(found, key=_by_port))


def _by_port(port: PortSpec) -> tuple[int, str, str, int]:
    return port.container_port, port.protocol, port.host_ip, port.host_port or 0


def _host_port(port: Port, number: int, key: KeyPath, complaints: Complaints) -> int | None:
    if not port.published or port.published == "0":
        return None
    first, dash, last = port.published.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        problem = f'"{port.published}" is no port, and no range of ports'
        complaints.add(key, problem, 'as in "8080" or "8080-8089"')
        return None
    if not dash:
        return int(first)
    host_port = int(first) + number - 1
    if host_port > int(last):
        complaints.add(
            key,
            f'the range "{port.published}" has no port for replica {number}',
            hint="widen the range, or scale the service down",
        )
        return None
    return host_port


def host_pairs(hosts: Mapping[str, Iterable[str]]) -> tuple[tuple[str, str], ...]:
    """Return (name, address) pairs of extra_hosts."""
    return tuple((name, address) for name in sorted(hosts) for address in hosts[name])


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
