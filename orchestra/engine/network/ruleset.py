"""The text of a project's nftables tables: pure, from what its networks and containers are.

Two tables of one name: family inet filters, translates and isolates, family bridge refuses forged
senders. Rules never change after the table is made; networks and published ports are elements of
sets and maps, since adding an element costs 0.2 ms and removing anything at all 16 (the kernel
waits until no packet sees the old state).

Verdicts (an accept ends only its own chain, a drop ends the packet):
- guard: nothing from outside or from a container may claim to come for 127/8 (a port published on
  127.0.0.1 is for this host; route_localnet would open the host's own services); a container's
  sender must be of its network; containers of other projects reach neither our published ports
  nor our bridges' addresses.
- transit: replies pass; what an internal network sends does not; our bridges talk to each
  other only through published ports; from elsewhere only what was published comes in.
- arrival: containers of internal networks open no connection to the host.
- own: a container that calls its own published port is left to the userland proxy. With
  br_netfilter (Docker turns it on) the translated frame would have to go out of the bridge's port
  by which it came in, which bridges do not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestra.addresses import parse_address
from orchestra.engine.network.naming import BRIDGE_PREFIX
from orchestra.engine.state.records import Endpoint, NetworkRecord
from orchestra.errors import NetworkError
from orchestra.planner.desired import PortSpec
from orchestra.values import dataclass

MASQUERADE_OPTION = "com.docker.network.bridge.enable_ip_masquerade"

_PUBLISHED, _CLOSED = "published", "closed"
"""The second holds the keys of the first: not every kernel (6.1) has rules ask a map for a key."""
_SETS = {
    "bridges": "type ifname",
    "internals": "type ifname",
    "same": "type ifname . ifname",
    "sources4": "type ifname . ipv4_addr; flags interval",
    "sources6": "type ifname . ipv6_addr; flags interval",
    "masquerade4": "type ipv4_addr; flags interval",
    "masquerade6": "type ipv6_addr; flags interval",
    "gateways4": "type ipv4_addr",
    "gateways6": "type ipv6_addr",
    "own": "type ipv4_addr . inet_proto . inet_service",
    "closed6": "type inet_proto . inet_service",
    "closed_at6": "type ipv6_addr . inet_proto . inet_service",
    _CLOSED: "type inet_proto . inet_service",
}
_MAPS = {
    "published": "type inet_proto . inet_service : ipv4_addr . inet_service",
    "published_at": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
}
_ANY = BRIDGE_PREFIX + "*"
_TRANSLATE = (
    "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at",
    "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @published",
)
_CHAINS: dict[str, tuple[str, tuple[str, ...]]] = {
    "guard": (
        "type filter hook prerouting priority -300",
        (
            'iifname != "lo" ip daddr 127.0.0.0/8 drop',
            "iifname @bridges meta nfproto ipv4 iifname . ip saddr != @sources4 drop",
            "iifname @bridges meta nfproto ipv6 iifname . ip6 saddr != @sources6 drop",
            f'iifname "{_ANY}" iifname != @bridges ip daddr @gateways4 drop',
            f'iifname "{_ANY}" iifname != @bridges ip6 daddr @gateways6 drop',
            (
                f'iifname "{_ANY}" iifname != @bridges fib daddr type local'
                f" meta l4proto . th dport @{_CLOSED} drop"
            ),
            (
                f'iifname "{_ANY}" iifname != @bridges meta nfproto ipv6 fib daddr type local'
                " meta l4proto . th dport @closed6 drop"
            ),
            (
                f'iifname "{_ANY}" iifname != @bridges'
                " ip6 daddr . meta l4proto . th dport @closed_at6 drop"
            ),
        ),
    ),
    "inward": (
        "type nat hook prerouting priority -100",
        ("ip saddr . meta l4proto . th dport @own accept", *_TRANSLATE),
    ),
    "local": ("type nat hook output priority -100", _TRANSLATE),
    "outward": (
        "type nat hook postrouting priority 100",
        (
            "ip saddr 127.0.0.0/8 oifname @bridges masquerade",
            "ct status dnat ip saddr @masquerade4 oifname @bridges masquerade",
            "ip saddr @masquerade4 oifname != @bridges masquerade",
            "ip6 saddr @masquerade6 oifname != @bridges masquerade",
        ),
    ),
    "transit": (
        "type filter hook forward priority 0",
        (
            "ct state established,related accept",
            "iifname . oifname @same accept",
            "iifname @internals drop",
            "iifname @bridges oifname @bridges ct status dnat accept",
            f'iifname @bridges oifname "{_ANY}" drop',
            "oifname @bridges ct status dnat accept",
            "oifname @bridges drop",
        ),
    ),
    "arrival": (
        "type filter hook input priority 0",
        (
            "iifname @internals ct state established,related accept",
            "iifname @internals icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
            "iifname @internals drop",
        ),
    ),
}
_PORT_SETS = {
    "guarded": "type ifname",
    "only4": "type ifname",
    "ports4": "type ifname . ether_addr . ipv4_addr",
    "ports6": "type ifname . ether_addr . ipv6_addr",
}
_PORT_CHAIN = (
    "iifname @only4 ether type ip6 drop",
    "iifname @guarded ether type ip iifname . ether saddr . ip saddr != @ports4 drop",
    "iifname @guarded ether type arp iifname . arp saddr ether . arp saddr ip != @ports4 drop",
    (
        "iifname @guarded ip6 saddr != { ::, fe80::/10 }"
        " iifname . ether saddr . ip6 saddr != @ports6 drop"
    ),
)
RULE_COUNT = sum(len(rules) for _, rules in _CHAINS.values())
PORT_RULE_COUNT = len(_PORT_CHAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One member of a set, or one pair of a map (``value`` not empty)."""

    family: str
    container: str
    key: str
    value: str = ""


def table_text(table: str) -> str:
    """Return the commands that make a project's table, or make its rules anew; elements stay."""
    lines = [f"add table inet {table}"]
    lines += [f"add set inet {table} {name} {{ {kind}; }}" for name, kind in _SETS.items()]
    lines += [f"add map inet {table} {name} {{ {kind}; }}" for name, kind in _MAPS.items()]
    for name, (hook, rules) in _CHAINS.items():
        lines += _chain("inet", table, name, hook, rules)
    return "\n".join(lines)


def port_table_text(table: str) -> str:
    """Return the commands that make the table against forged senders."""
    lines = [f"add table bridge {table}"]
    lines += [f"add set bridge {table} {name} {{ {kind}; }}" for name, kind in _PORT_SETS.items()]
    hook = "type filter hook prerouting priority -300"
    return "\n".join([*lines, *_chain("bridge", table, "guard", hook, _PORT_CHAIN)])


def _chain(family: str, table: str, name: str, hook: str, rules: Sequence[str]) -> list[str]:
    place = f"{family} {table} {name}"
    return [
        f"add chain {place} {{ {hook}; policy accept; }}",
        f"flush chain {place}",
        *(f"add rule {place} {rule}" for rule in rules),
    ]


def network_elements(record: NetworkRecord) -> tuple[Element, ...]:
    """Return what a network is to its project's table."""
    bridge = f'"{record.bridge}"'
    found = [("bridges", bridge), ("same", f"{bridge} . {bridge}")]
    if record.spec.internal:
        found.append(("internals", bridge))
    routed = (
        not record.spec.internal
        and record.spec.driver_options.get(MASQUERADE_OPTION, "true").lower() != "false"
    )
    for subnet in record.subnets:
        version = "6" if ":" in subnet.subnet else "4"
        found.append((f"sources{version}", f"{bridge} . {subnet.subnet}"))
        found.append((f"gateways{version}", subnet.gateway))
        if routed:
            found.append((f"masquerade{version}", subnet.subnet))
    # link_local_ips; which of them a container may speak from is seen to at its port.
    if not any(subnet.subnet.startswith("169.254.") for subnet in record.subnets):
        found.append(("sources4", f"{bridge} . 169.254.0.0/16"))
    if any(":" in subnet.subnet for subnet in record.subnets):
        # Neighbour discovery speaks from link-local and, before it has one, from no address.
        found += [("sources6", f"{bridge} . fe80::/10"), ("sources6", f"{bridge} . ::")]
    return tuple(Element(family="inet", container=name, key=key) for name, key in found)


def port_elements(ports: Iterable[PortSpec], address: str) -> tuple[Element, ...]:
    """Return the translations of published ports to a container's IPv4 address.

    Those on an IPv6 address are not translated, but closed to other projects.
    """
    found = []
    for port in ports:
        if port.host_port is None:
            continue
        key = f"{port.protocol} . {port.host_port}"
        host_ip = _plain(port.host_ip) if port.host_ip else ""
        if ":" in host_ip:  # served by the socket on the host, which asks nobody who calls
            anywhere = host_ip == "::"
            container = "closed6" if anywhere else "closed_at6"
            at = key if anywhere else f"{host_ip} . {key}"
            found.append(Element(family="inet", container=container, key=at))
            continue
        found.append(Element(family="inet", container="own", key=f"{address} . {key}"))
        everywhere = host_ip in {"", "0.0.0.0"}  # noqa: S104 - a word of the user's
        found.append(
            Element(
                family="inet",
                container="published" if everywhere else "published_at",
                key=key if everywhere else f"{host_ip} . {key}",
                value=f"{address} . {port.container_port}",
            )
        )
    return tuple(found)


def sender_elements(endpoint: Endpoint) -> tuple[Element, ...]:
    """Return the senders that may speak through a container's link."""
    link, mac = f'"{endpoint.host_interface}"', endpoint.mac
    found = [("guarded", link)]
    if endpoint.ipv4:
        # Duplicate address detection of IPv4 (RFC 5227) asks from 0.0.0.0.
        found.append(("ports4", f"{link} . {mac} . {endpoint.ipv4}"))
        found.append(("ports4", f"{link} . {mac} . 0.0.0.0"))
    ipv6 = [endpoint.ipv6] if endpoint.ipv6 else []
    for address in endpoint.link_local:
        if ":" in address:
            ipv6.append(_plain(address))
        else:
            found.append(("ports4", f"{link} . {mac} . {_plain(address)}"))
    found += [("ports6", f"{link} . {mac} . {address}") for address in ipv6]
    if not ipv6:
        found.append(("only4", link))
    return tuple(Element(family="bridge", container=name, key=key) for name, key in found)


def _plain(address: str) -> str:
    """Return an address as the kernel writes it: nothing else ever gets into a command.

    :raises NetworkError: when it is none.
    """
    try:
        return str(parse_address(address))
    except ValueError as err:
        raise NetworkError(f'cannot set up the firewall: "{address}" is no address') from err


def with_closed(elements: Iterable[Element]) -> tuple[Element, ...]:
    """Return elements and, with each port published everywhere, its key in the second set."""
    wanted = tuple(elements)
    closed = (
        Element(family="inet", container=_CLOSED, key=element.key)
        for element in wanted
        if element.container == _PUBLISHED
    )
    return (*wanted, *closed)


def kind_of(container: str) -> str:
    """Return a set's or map's type, as nft(8) writes it."""
    return {**_SETS, **_MAPS, **_PORT_SETS}[container]


def add_text(table: str, elements: Iterable[Element]) -> str:
    """Return the commands that add elements; one that is there already is no error."""
    lines = []
    for element in with_closed(elements):
        pair = f"{element.key} : {element.value}" if element.value else element.key
        lines.append(f"add element {element.family} {table} {element.container} {{ {pair} }}")
    return "\n".join(lines)


def delete_text(table: str, elements: Iterable[Element]) -> str:
    """Return the commands that delete elements, which must be there."""
    lines = []
    for element in elements:
        key = f"{{ {element.key} }}"
        lines.append(f"delete element {element.family} {table} {element.container} {key}")
        if element.container == _PUBLISHED:
            # "add" first, so that "delete" finds something whatever a user has done.
            lines += [f"{verb} element inet {table} {_CLOSED} {key}" for verb in ("add", "delete")]
    return "\n".join(lines)
