"""What a container gets on each of its networks: pure, from spec, records and what is taken.

Interfaces are eth0, eth1 ... by priority and name (compose-spec 05-services.md, networks); the
default route goes by the highest gw_priority among networks that have a way out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from orchestra.engine.network import ipam
from orchestra.engine.network.naming import check_dns_name, check_interface, mac_of, veth_name
from orchestra.engine.shim.protocol import Interface, Listen
from orchestra.engine.state.records import AssignedSubnet, ContainerRecord, Endpoint, NetworkRecord
from orchestra.errors import NetworkError
from orchestra.planner.desired import Attachment, ContainerSpec, PortSpec
from orchestra.values import replace

MTU_OPTION = "com.docker.network.driver.mtu"
DEFAULT_MTU = 1500
_LINK_LOCAL_V4, _LINK_LOCAL_V6 = 16, 64
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - words of the user's


def choose_endpoints(
    spec: ContainerSpec,
    networks: Mapping[str, NetworkRecord],
    used: Mapping[str, Collection[str]],
    *,
    data: str,
) -> tuple[Endpoint, ...]:
    """Choose addresses, links and names of a container; ``used`` by the networks' machine names.

    :raises NetworkError: when an address is taken or a subnet is full, or a name is not valid.
    """
    attachments = sorted(spec.networks, key=lambda a: (-a.priority, a.network))
    found = []
    for number, attachment in enumerate(attachments):
        record = networks.get(attachment.network)
        if record is None:
            raise NetworkError(
                f'cannot attach "{spec.name}": there is no network "{attachment.network}"',
                hint="run up, which makes it",
            )
        found.append(_endpoint(spec, attachment, record, number, used.get(record.name, ()), data))
    return _with_default_route(found, [a.gw_priority for a in attachments])


def _endpoint(
    spec: ContainerSpec,
    attachment: Attachment,
    record: NetworkRecord,
    number: int,
    used: Collection[str],
    data: str,
) -> Endpoint:
    interface = attachment.interface_name or f"eth{number}"
    check_interface(interface)
    v4 = _address(spec, record, used, attachment.ipv4, version=4)
    v6 = _address(spec, record, used, attachment.ipv6, version=6)
    address = (v4 or v6 or ("", None))[0]
    return Endpoint(
        network=record.name,
        bridge=record.bridge,
        interface=interface,
        host_interface=veth_name(data, spec.name, record.name, number),
        mac=attachment.mac or mac_of(address, record.name),
        ipv4=v4[0] if v4 else None,
        ipv4_prefix=_length(v4[1]) if v4 else 0,
        ipv4_gateway=v4[1].gateway if v4 else None,
        ipv6=v6[0] if v6 else None,
        ipv6_prefix=_length(v6[1]) if v6 else 0,
        ipv6_gateway=v6[1].gateway if v6 else None,
        aliases=_aliases(spec, attachment),
        link_local=attachment.link_local,
        sysctls=attachment.sysctls,
        internal=record.spec.internal,
    )


def _length(subnet: AssignedSubnet) -> int:
    return int(subnet.subnet.rpartition("/")[2])


def _address(
    spec: ContainerSpec,
    record: NetworkRecord,
    used: Collection[str],
    wanted: str | None,
    *,
    version: int,
) -> tuple[str, AssignedSubnet] | None:
    subnets = [s for s in record.subnets if (":" in s.subnet) == (version == 6)]
    if not subnets:
        if wanted is None:
            return None
        raise NetworkError(
            f'cannot give "{spec.name}" the address {wanted}: network "{record.name}"'
            f" has no IPv{version} subnet",
            hint="name a subnet in networks.*.ipam.config"
            + ("" if version == 4 else ", or enable_ipv6"),
        )
    home = next((s for s in subnets if wanted and ipam.contains(s.subnet, wanted)), subnets[0])
    return ipam.allocate(record.spec, home, used, wanted), home


def _aliases(spec: ContainerSpec, attachment: Attachment) -> tuple[str, ...]:
    names = [spec.service, spec.name, *attachment.aliases]
    if spec.hostname:
        names.append(spec.hostname)
    for name in names:
        check_dns_name("a name on a network", name)
    return tuple(dict.fromkeys(names))


def _with_default_route(found: list[Endpoint], priorities: list[int]) -> tuple[Endpoint, ...]:
    ways_out = [
        (-priority, endpoint.network, index)
        for index, (endpoint, priority) in enumerate(zip(found, priorities, strict=True))
        if not endpoint.internal
    ]
    chosen = min(ways_out)[2] if ways_out else -1
    return tuple(
        replace(endpoint, default_route=index == chosen) for index, endpoint in enumerate(found)
    )


def mtu_of(record: NetworkRecord) -> int:
    """Return a network's MTU: its driver option's, or 1500."""
    return int(record.spec.driver_options.get(MTU_OPTION, DEFAULT_MTU))


def interfaces_of(
    record: ContainerRecord, networks: Mapping[str, NetworkRecord]
) -> list[Interface]:
    """Return what the shim makes of a container's endpoints; ``networks`` by machine name."""
    return [interface_of(endpoint, networks.get(endpoint.network)) for endpoint in record.endpoints]


def interface_of(endpoint: Endpoint, network: NetworkRecord | None) -> Interface:
    """Return what the shim makes of one endpoint."""
    addresses, gateways = [], []
    link_locals = endpoint.link_local
    if endpoint.ipv4:
        addresses.append(f"{endpoint.ipv4}/{endpoint.ipv4_prefix}")
        gateways.append(endpoint.ipv4_gateway)
    if endpoint.ipv6:
        addresses.append(f"{endpoint.ipv6}/{endpoint.ipv6_prefix}")
        gateways.append(endpoint.ipv6_gateway)
    addresses += [f"{a}/{_LINK_LOCAL_V6 if ':' in a else _LINK_LOCAL_V4}" for a in link_locals]
    interface = Interface(
        name=endpoint.interface,
        host_name=endpoint.host_interface,
        bridge=endpoint.bridge,
        mac=endpoint.mac,
        addresses=addresses,
        gateways=[gateway for gateway in gateways if gateway] if endpoint.default_route else [],
        mtu=mtu_of(network) if network else DEFAULT_MTU,
    )
    if endpoint.sysctls:
        interface["sysctl"] = dict(endpoint.sysctls)
    return interface


def published_endpoint(endpoints: Iterable[Endpoint]) -> Endpoint | None:
    """Return the endpoint that published ports lead to; None when no network has a way out."""
    candidates = [e for e in endpoints if e.ipv4 and not e.internal]
    return min(candidates, key=lambda e: not e.default_route, default=None)


def listens_of(record: ContainerRecord, *, ipv6: bool) -> list[Listen]:
    """Return the host ports that the launcher binds for a container.

    A port for every address is bound in IPv4 and, where the host has ``ipv6``, in IPv6. A
    container in the host's namespace, or with internal networks only, publishes nothing.
    """
    if published_endpoint(record.endpoints) is None:
        return []
    return [
        listen for port in record.ports if port.host_port for listen in _listens(port, ipv6=ipv6)
    ]


def _listens(port: PortSpec, *, ipv6: bool) -> list[Listen]:
    addresses = [port.host_ip]
    if port.host_ip in _EVERYWHERE:
        addresses = [a for a in ("0.0.0.0", "::") if port.host_ip in {"", a}]  # noqa: S104
    return [
        Listen(
            protocol="udp" if port.protocol == "udp" else "tcp",
            address=address,
            port=port.host_port or 0,
            container_port=port.container_port,
        )
        for address in addresses
        if ipv6 or ":" not in address
    ]
