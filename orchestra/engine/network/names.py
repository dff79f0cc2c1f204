"""Who answers to which name on which network: what the resolver asks, pure.

A name resolves to every container that has it as an alias (service, container name, aliases,
hostname), or whose short id it is, on a network that the asking container is on too; "NAME.NETWORK"
asks on one network alone. Names compare without case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from orchestra.engine.state.records import ContainerRecord, Endpoint
from orchestra.values import dataclass, field

SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class Answer:
    """Addresses of a name, in a fixed order; both may be empty for a name that is known."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()


@dataclass(slots=True)
class _Network:
    by_name: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_address: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What the table knows of a container that asks."""

    networks: tuple[str, ...]
    links: dict[str, str]
    dns: tuple[str, ...]
    forwards: bool


class NameTable:
    """Names as the containers of one project see them."""

    def __init__(self, project: str, records: Sequence[ContainerRecord]) -> None:
        self._networks: dict[str, _Network] = defaultdict(_Network)
        self._askers: dict[str, Asker] = {}
        for record in sorted(records, key=lambda r: (r.spec.service, r.spec.number, r.id)):
            self._add(record)
            if record.spec.project == project:
                self._askers[record.id] = _asker(record)

    def _add(self, record: ContainerRecord) -> None:
        for endpoint in record.endpoints:
            network = self._networks[endpoint.network]
            names = {alias.lower() for alias in endpoint.aliases} | {record.id[:SHORT_ID]}
            for name in sorted(names):
                network.by_name[name].append(endpoint)
            for address in (endpoint.ipv4, endpoint.ipv6):
                if address:
                    full = f"{record.spec.name}.{endpoint.network}"
                    network.by_address[ip_address(address).reverse_pointer] = full

    def lookup(self, container_id: str, name: str) -> Answer | None:
        """Return a name's addresses as one container sees them; None for a name of elsewhere."""
        asker = self._askers.get(container_id)
        if asker is None:
            return None
        wanted = name.lower()
        wanted = asker.links.get(wanted, wanted)
        found = self._find(asker.networks, wanted)
        if not found:
            short, _, network = wanted.partition(".")
            inside = [n for n in asker.networks if n.lower() == network]
            found = self._find(inside, short)
        if not found:
            return None
        return Answer(
            ipv4=tuple(dict.fromkeys(e.ipv4 for e in found if e.ipv4)),
            ipv6=tuple(dict.fromkeys(e.ipv6 for e in found if e.ipv6)),
        )

    def _find(self, networks: Iterable[str], name: str) -> list[Endpoint]:
        return [e for network in networks for e in self._networks[network].by_name.get(name, ())]

    def reverse(self, container_id: str, pointer: str) -> str | None:
        """Return the name of an address, asked for as "4.3.2.1.in-addr.arpa"."""
        asker = self._askers.get(container_id)
        for network in asker.networks if asker else ():
            if name := self._networks[network].by_address.get(pointer.lower()):
                return name
        return None

    def nameservers(self, container_id: str) -> tuple[str, ...] | None:
        """Return the servers a container names itself; () for the host's, None to ask nobody."""
        asker = self._askers.get(container_id)
        return asker.dns if asker is not None and asker.forwards else None


def _asker(record: ContainerRecord) -> Asker:
    return Asker(
        networks=tuple(endpoint.network for endpoint in record.endpoints),
        links={alias.lower(): target.lower() for target, alias in record.spec.links},
        dns=record.spec.dns,
        forwards=any(not endpoint.internal for endpoint in record.endpoints),
    )
