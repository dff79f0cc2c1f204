"""Subnets for networks and addresses for containers: pure arithmetic on what is taken already.

The default pools are Docker's, but for 172.17/16 which a Docker on the same host claims, and more
of them. All addresses come and go as text; ``ipaddress`` objects stay in this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from orchestra.addresses import parse_address
from orchestra.engine.state.records import AssignedSubnet
from orchestra.errors import NetworkError
from orchestra.hashing import sha256
from orchestra.planner.desired import NetworkSpec, Subnet

AnyNetwork = IPv4Network | IPv6Network
AnyAddress = IPv4Address | IPv6Address

_POOLS: tuple[tuple[str, int], ...] = (
    *((f"172.{second}.0.0/16", 16) for second in range(18, 32)),
    ("192.168.0.0/16", 20),
    ("10.210.0.0/15", 20),
    ("10.212.0.0/14", 20),
    ("172.17.0.0/16", 20),
)
_PREFIX6 = 64
_KNOWN_MAX = 4096


def assign_subnets(spec: NetworkSpec, taken: Iterable[str]) -> tuple[AssignedSubnet, ...]:
    """Give a network its subnets and the bridge's address in each; at least one of IPv4.

    ``taken`` are the CIDRs of the host's routes and addresses and of every other network. What
    the user wrote is checked against them, what he left open is chosen around them.

    :raises NetworkError: when a subnet is malformed, overlaps another, or none is left.
    """
    used = [_network(text, "host route") for text in taken]
    given = [(subnet, _given(spec, subnet)) for subnet in spec.subnets]
    chosen: list[tuple[Subnet, AnyNetwork]] = []
    for _, network in given:
        if network is not None:
            _refuse_overlap(spec, network, used)
            used.append(network)
    for subnet, network in given:
        found = network or _free_v4(spec, used)
        used.extend([] if network else [found])
        chosen.append((subnet, found))
    if not any(network.version == 4 for _, network in chosen):
        chosen.insert(0, (Subnet(), _free_v4(spec, used)))
    if spec.ipv6 and not any(network.version == 6 for _, network in chosen):
        chosen.append((Subnet(), _free_v6(spec, used)))
    return tuple(
        AssignedSubnet(subnet=str(network), gateway=str(_gateway(spec, subnet, network)))
        for subnet, network in chosen
    )


@lru_cache(maxsize=_KNOWN_MAX)
def _known(text: str) -> AnyAddress:
    """Return an address of a record's; the same ones come at each choice."""
    return ip_address(text)


@lru_cache(maxsize=_KNOWN_MAX)
def _network(text: str, what: str) -> AnyNetwork:
    try:
        return ip_network(text, strict=False)
    except ValueError as err:
        raise NetworkError(f'cannot use "{text}" as a {what}: {err}') from err


def _given(spec: NetworkSpec, subnet: Subnet) -> AnyNetwork | None:
    if subnet.subnet is None:
        return None
    try:
        network = ip_network(subnet.subnet)
    except ValueError as err:
        raise NetworkError(
            f'cannot create network "{spec.name}": subnet "{subnet.subnet}": {err}',
            hint="write it as CIDR with no host bits, such as 172.28.0.0/16",
        ) from err
    if network.num_addresses < 4:
        raise NetworkError(
            f'cannot create network "{spec.name}": subnet "{network}" has no room for containers',
            hint="use a shorter prefix, such as /24",
        )
    return network


def _overlaps(one: AnyNetwork, other: AnyNetwork) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def _refuse_overlap(spec: NetworkSpec, network: AnyNetwork, used: Sequence[AnyNetwork]) -> None:
    for other in used:
        if _overlaps(network, other):
            raise NetworkError(
                f'cannot create network "{spec.name}": subnet {network} overlaps {other},'
                " which this host uses already",
                hint="choose another subnet in networks.*.ipam.config, or leave it out",
            )


def _free_v4(spec: NetworkSpec, used: Sequence[AnyNetwork]) -> IPv4Network:
    mine = [network for network in used if isinstance(network, IPv4Network)]
    for pool, length in _POOLS:
        for candidate in IPv4Network(pool).subnets(new_prefix=length):
            if not any(candidate.overlaps(other) for other in mine):
                return candidate
    raise NetworkError(
        f'cannot create network "{spec.name}": every default subnet is in use on this host',
        hint="remove networks that nobody uses, or name a subnet in networks.*.ipam.config",
    )


def _free_v6(spec: NetworkSpec, used: Sequence[AnyNetwork]) -> IPv6Network:
    """Choose a unique local /64 (RFC 4193) by the network's name."""
    mine = [network for network in used if isinstance(network, IPv6Network)]
    for attempt in range(256):
        digest = sha256(f"{spec.name}\0{attempt}".encode()).digest()
        candidate = IPv6Network((b"\xfd" + digest[:7] + bytes(8), _PREFIX6))
        if not any(candidate.overlaps(other) for other in mine):
            return candidate
    raise NetworkError(f'cannot create network "{spec.name}": no IPv6 subnet is free')


def _gateway(spec: NetworkSpec, subnet: Subnet, network: AnyNetwork) -> AnyAddress:
    if subnet.gateway is None:
        return _address_at(network, 1)
    gateway = _inside(spec, subnet.gateway, network, "gateway")
    if gateway == network.network_address:
        raise NetworkError(
            f'cannot create network "{spec.name}": gateway {gateway} is the network\'s own address'
        )
    return gateway


def _address_at(network: AnyNetwork, offset: int) -> AnyAddress:
    return network.network_address + offset


def _inside(spec: NetworkSpec, text: str, network: AnyNetwork, what: str) -> AnyAddress:
    try:
        address = parse_address(text)
    except ValueError as err:
        raise NetworkError(f'cannot create network "{spec.name}": {what}: {err}') from err
    if address not in network:
        raise NetworkError(
            f'cannot create network "{spec.name}": {what} {address} is not in {network}'
        )
    return address


def check_spec(spec: NetworkSpec, subnets: Sequence[AssignedSubnet]) -> None:
    """Check ranges and reserved addresses against the subnets that a network got.

    :raises NetworkError: when one lies outside.
    """
    for subnet in spec.subnets:
        if subnet.subnet is None:
            continue
        network = _network(subnet.subnet, "subnet")
        for name, text in sorted(subnet.reserved.items()):
            _inside(spec, text, network, f'auxiliary address "{name}"')
        if subnet.ip_range is not None:
            part = _network(subnet.ip_range, "range")
            if part.version != network.version or part.network_address not in network:
                raise NetworkError(
                    f'cannot create network "{spec.name}": ip_range {part} is not in {network}'
                )
    if not subnets:
        raise NetworkError(f'cannot create network "{spec.name}": it has no subnet')


def allocate(
    spec: NetworkSpec, assigned: AssignedSubnet, taken: Iterable[str], wanted: str | None = None
) -> str:
    """Choose an address for a container: ``wanted``, or the one after the highest in use.

    Not the lowest free one, so that whoever still remembers the address of a container that has
    just gone does not reach another in its place. Returns text without the prefix length.

    :raises NetworkError: when ``wanted`` is taken or outside, or the subnet is full.
    """
    network = _network(assigned.subnet, "subnet")
    config = next((s for s in spec.subnets if s.subnet == assigned.subnet), Subnet())
    others = {_known(text) for text in taken}
    used = others | _reserved(network, assigned, config)
    if wanted is not None:
        return str(_fixed(spec, network, wanted, used))
    pool = _network(config.ip_range, "range") if config.ip_range else network
    for address in _candidates(pool, others, used):
        if address not in used:
            return str(address)
    raise NetworkError(
        f'cannot give an address on network "{spec.name}": every address of {pool} is taken',
        hint="remove containers that nobody uses, or give the network a larger subnet",
    )


def _reserved(network: AnyNetwork, assigned: AssignedSubnet, config: Subnet) -> set[AnyAddress]:
    reserved: set[AnyAddress] = {_known(text) for text in _values(config.reserved)}
    reserved.add(_known(assigned.gateway))
    reserved.add(network.network_address)
    if network.version == 4:
        reserved.add(network.broadcast_address)
    return reserved


def _values(mapping: Mapping[str, str]) -> list[str]:
    return [mapping[key] for key in sorted(mapping)]


def _fixed(
    spec: NetworkSpec, network: AnyNetwork, wanted: str, used: set[AnyAddress]
) -> AnyAddress:
    try:
        address = parse_address(wanted)
    except ValueError as err:
        raise NetworkError(f'cannot give an address on network "{spec.name}": {err}') from err
    if address not in network:
        raise NetworkError(
            f'cannot give the address {address} on network "{spec.name}": it is not in {network}',
            hint="choose an address of that subnet",
        )
    if address in used:
        raise NetworkError(
            f'cannot give the address {address} on network "{spec.name}": it is taken',
            hint="choose another address, or leave it out",
        )
    return address


def _candidates(
    pool: AnyNetwork, others: set[AnyAddress], used: set[AnyAddress]
) -> Iterator[AnyAddress]:
    """Yield the pool's addresses from after the highest container's on, then from its start.

    Among one more than are used there is a free one, if there is any: no more are looked at.
    """
    first, size = int(pool.network_address), pool.num_addresses
    highest = max((int(address) - first for address in others if address in pool), default=0)
    inside = sum(address in pool for address in used)
    for step in range(min(size, inside + 1)):
        yield _address_at(pool, (highest + 1 + step) % size)


def contains(subnet: str, address: str) -> bool:
    """Tell whether an address lies in a subnet; False when it is no address."""
    try:
        return ip_address(address) in ip_network(subnet)
    except ValueError:
        return False
