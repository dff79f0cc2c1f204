"""A container in the firewall: its published ports, and what its links may carry.

All calls block for a millisecond or so: run them in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.linux.links import raised_index
from orchestra.engine.network import bridge, firewall
from orchestra.engine.network.attached import Attached
from orchestra.engine.network.endpoints import published_endpoint
from orchestra.engine.network.guard import Guard
from orchestra.engine.network.naming import table_name
from orchestra.engine.network.ruleset import Element, port_elements, sender_elements
from orchestra.engine.state.records import ContainerRecord, NetworkRecord, Wanted
from orchestra.engine.state.store import Store

_ATTEMPTS = 8
_MAY_FORGE = {"NET_ADMIN", "CAP_NET_ADMIN", "ALL"}


class Publications:
    """What containers of this machine have in the tables of their networks' projects."""

    def __init__(self, store: Store, attached: Attached) -> None:
        self._store = store
        self._attached = attached
        self._guard = Guard()
        self._bridges: dict[str, int] = {}

    def _table(self, project: str) -> str:
        return table_name(str(self._store.paths.data), project)

    def settle(self, record: ContainerRecord) -> bool:
        """Publish a container if all of its networks are whole; else do nothing and return False.

        :raises NetworkError: when nftables refuses.
        """
        networks = self._networks_of(record)
        if not networks:
            return True
        if not all(self._is_up(network.bridge) for network in networks):
            return False
        tables = {self._table(network.project) for network in networks}
        bridges = {network.bridge for network in networks}
        with self._guard.lock:
            for _ in range(_ATTEMPTS):
                if not self._guard.whole(tables, bridges):
                    break
                try:
                    self._publish(record)
                except firewall.ChangedError:
                    continue
                return True
        return False

    def _is_up(self, name: str) -> bool:
        """Tell whether a bridge is there and up; that it is one is asked once for each index.

        :raises NetworkError: when a link of that name is no bridge.
        """
        index = raised_index(name)
        if not index or self._bridges.get(name) == index:
            return bool(index)
        link = bridge.find_bridge(name)
        if link is not None:
            self._bridges[name] = link.index
        return link is not None

    def _networks_of(self, record: ContainerRecord) -> list[NetworkRecord]:
        found = (self._store.network(endpoint.network) for endpoint in record.endpoints)
        return [network for network in found if network is not None]

    def publish(self, record: ContainerRecord) -> None:
        """Publish a container without a look at its networks.

        :raises NetworkError: when nftables refuses.
        """
        with self._guard.lock:
            self._guard.forget()
            self._publish(record)

    def _publish(self, record: ContainerRecord) -> None:
        for table, elements in self._elements(record).items():
            held = _published(table, elements)
            running = self._running_addresses(record) if held else set()
            self._guard.put(
                table,
                [
                    element
                    for element in elements
                    if not element.value or _may_take(held, element, running)
                ],
            )

    def _elements(self, record: ContainerRecord) -> dict[str, list[Element]]:
        """Return a container's elements by the table of each network's project."""
        found: dict[str, list[Element]] = {}
        target = published_endpoint(record.endpoints)
        forges = record.spec.privileged or _MAY_FORGE & {c.upper() for c in record.spec.cap_add}
        for endpoint in record.endpoints:
            network = self._store.network(endpoint.network)
            if network is None:
                continue
            elements = found.setdefault(self._table(network.project), [])
            if not forges:
                elements += sender_elements(endpoint)
            if endpoint is target and endpoint.ipv4:
                elements += port_elements(record.ports, endpoint.ipv4)
        return found

    def _running_addresses(self, record: ContainerRecord) -> set[str]:
        return {
            endpoint.ipv4
            for other in self._attached.records()
            if other.id != record.id and other.wanted is Wanted.RUNNING
            for endpoint in other.endpoints
            if endpoint.ipv4
        }

    def unpublish(self, record: ContainerRecord) -> None:
        """Take back what was published, and nothing of another container's."""
        for table, elements in self._elements(record).items():
            held = _published(table, elements)
            with self._guard.lock:
                self._guard.drop(
                    table,
                    [
                        element
                        for element in elements
                        if not element.value
                        or held.get((element.container, element.key)) == element.value
                    ],
                )


def _published(table: str, elements: Sequence[Element]) -> Mapping[tuple[str, str], str]:
    """Return whose ports are published, where that matters: senders have no value of others."""
    return firewall.published(table) if any(element.value for element in elements) else {}


def _may_take(held: Mapping[tuple[str, str], str], element: Element, running: set[str]) -> bool:
    value = held.get((element.container, element.key), element.value)
    return value == element.value or value.partition(" ")[0] not in running
