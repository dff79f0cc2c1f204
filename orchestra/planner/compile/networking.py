"""A service's networks, links, ports and hosts -> a container's place on the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.desired import Attachment, PortSpec
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.port import Port
from orchestra.spec.model.service import Service


def compile_attachments(service: Service, container_name: str) -> tuple[Attachment, ...]:
    """Return a replica's networks, by key. It is known there by its names and aliases."""
    if service.network_mode:
        return ()
    primary = min(
        service.networks, key=lambda key: (-service.networks[key].priority, key), default=""
    )
    return tuple(
        Attachment(
            network=key,
            aliases=_unique((container_name, service.name, *place.aliases)),
            ipv4=place.ipv4_address or None,
            ipv6=place.ipv6_address or None,
            mac=place.mac_address or (service.mac_address if key == primary else None) or None,
            priority=place.priority,
            gw_priority=place.gw_priority,
            interface_name=place.interface_name or None,
        )
        for key, place in sorted(service.networks.items())
    )


def compile_links(service: Service) -> tuple[tuple[str, str], ...]:
    """Return (service, alias) pairs of ``links``."""
    pairs: set[tuple[str, str]] = set()
    for link in service.links:
        other, _, alias = link.partition(":")
        pairs.add((other, alias or other))
    return tuple(sorted(pairs))


def compile_ports(service: Service, number: int, complaints: Complaints) -> tuple[PortSpec, ...]:
    """Return a replica's published ports; of a range, replica N takes the Nth."""
    found: list[PortSpec] = []
    for index, port in enumerate(service.ports):
        key: KeyPath = ("services", service.name, "ports", index, "published")
        spec = PortSpec(
            container_port=port.target,
            protocol=port.protocol or "tcp",
            host_ip=port.host_ip or "",
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
