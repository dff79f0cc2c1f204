"""Networks of this machine, and the places of containers on them: the room's face.

Records are the truth about what should be; bridges and tables are made from them as often as
needed, by any number of processes, one at a time (the machine's lock "networks").
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import anyio
from anyio.to_thread import run_sync

from orchestra.engine.network import bridge, firewall, ipam, ports
from orchestra.engine.network.attached import Attached, Leases
from orchestra.engine.network.endpoints import (
    MTU_OPTION,
    choose_endpoints,
    interfaces_of,
    listens_of,
)
from orchestra.engine.network.hosts import ResolvConf, parse_resolv_conf
from orchestra.engine.network.names import NameTable
from orchestra.engine.network.naming import bridge_name, check_resource, table_name
from orchestra.engine.network.presence import Presence
from orchestra.engine.network.publishing import Publications
from orchestra.engine.network.ruleset import (
    MASQUERADE_OPTION,
    network_elements,
)
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import Interface, Listen
from orchestra.engine.state.lock import machine_lock
from orchestra.engine.state.records import ContainerRecord, Endpoint, NetworkRecord, Wanted
from orchestra.engine.state.store import Store
from orchestra.errors import NetworkError
from orchestra.planner.desired import ContainerSpec, NetworkSpec, PortSpec

LOCK = "networks"
_OPTIONS = {MTU_OPTION, MASQUERADE_OPTION}
_ATTEMPTS = 8


class Networks:
    """What may be done with networks; holds caches and nothing else."""

    def __init__(self, paths: Paths, store: Store) -> None:
        self._paths = paths
        self._store = store
        self._attached = Attached(store)
        self._leases = Leases(paths)
        self._publications = Publications(store, self._attached)
        self._names: dict[str, tuple[tuple[int, ...], tuple[ContainerRecord, ...], NameTable]] = {}

    async def create(self, spec: NetworkSpec, project: str) -> NetworkRecord:
        """Make a network: subnets, record, bridge, firewall. One that is there is made whole.

        :raises NetworkError: when the driver or an option is unknown, a subnet is not to be had,
            the name belongs to another project, or an external network is missing.
        :raises HostError: when we have no right to.
        """
        _check(spec)
        async with machine_lock(self._paths, LOCK):
            record = self._store.network(spec.name)
            if record is None and spec.external:
                raise NetworkError(
                    f'cannot use network "{spec.name}": it is external, and there is none',
                    hint="create it first, or take `external: true` away",
                )
            if record is not None and not spec.external and record.project != project:
                raise NetworkError(
                    f'cannot create network "{spec.name}": project "{record.project}" has one'
                    " of that name",
                    hint="choose another name, or declare it `external: true`",
                )
            if record is not None:
                await run_sync(self._make, record)
                return record
            return await run_sync(self._create, spec, project)

    def _create(self, spec: NetworkSpec, project: str) -> NetworkRecord:
        """Write the record, then make what it says; no record stays when that fails."""
        others = [s.subnet for record in self._store.networks() for s in record.subnets]
        link = bridge_name(str(self._paths.data), spec.name)
        subnets = ipam.assign_subnets(spec, [*others, *bridge.occupied(but=link)])
        ipam.check_spec(spec, subnets)
        record = NetworkRecord(
            name=spec.name,
            project=project,
            spec=spec,
            bridge=link,
            subnets=subnets,
            created_at=datetime.now(UTC),
        )
        self._store.write_network(record)
        try:
            self._make(record)
        except BaseException:
            with suppress(NetworkError):
                self._unmake(record)
            raise
        return record

    def _make(self, record: NetworkRecord) -> None:
        bridge.ensure_bridge(record)
        self._ensure_table(record.project)
        firewall.admit(record.bridge)

    def _ensure_table(self, project: str) -> None:
        networks = [record for record in self._store.networks() if record.project == project]
        elements = [element for record in networks for element in network_elements(record)]
        firewall.ensure_table(self._table(project), elements)

    def _table(self, project: str) -> str:
        return table_name(str(self._paths.data), project)

    def present(self, record: NetworkRecord) -> bool:
        """Tell whether a network's bridge and its project's table are there."""
        return Presence(self._paths).present(record)

    async def ensure(self, record: NetworkRecord) -> None:
        """Make a network's bridge and firewall again where they are gone or damaged.

        What running containers had published comes back too.

        :raises NetworkError: when the kernel refuses.
        """
        if await run_sync(self._whole, record):
            return
        async with machine_lock(self._paths, LOCK):
            await run_sync(self._repair, record)

    def _whole(self, record: NetworkRecord) -> bool:
        return self.present(record) and not firewall.lacks_admission(record.bridge)

    def _repair(self, record: NetworkRecord) -> None:
        self._make(record)
        for container in self._attached.on(record.name):
            if container.wanted is Wanted.RUNNING:
                self._publications.publish(container)

    def settle(self, record: ContainerRecord) -> bool:
        """Publish a container if all of its networks are whole; else do nothing and return False.

        Blocks for as long as it takes to ask the kernel; :meth:`mend` does the rest.

        :raises NetworkError: when nftables refuses.
        """
        return self._publications.settle(record)

    async def mend(self, record: ContainerRecord) -> None:
        """Make a container's networks whole and publish it; see :meth:`ensure`, :meth:`publish`.

        :raises NetworkError: when the kernel refuses.
        """
        for endpoint in record.endpoints:
            if (network := self._store.network(endpoint.network)) is not None:
                await self.ensure(network)
        await self.publish(record)

    async def remove(self, record: NetworkRecord) -> None:
        """Remove a network: bridge, firewall, record; what is gone already is no error.

        :raises NetworkError: when containers are still on it, or the kernel refuses.
        """
        async with machine_lock(self._paths, LOCK):
            users = await run_sync(self._attached.on, record.name)
            if users:
                names = ", ".join(sorted(f'"{user.spec.name}"' for user in users)[:5])
                raise NetworkError(
                    f'cannot remove network "{record.name}": {names} is on it',
                    hint="remove those containers first",
                )
            await run_sync(self._unmake, record)

    def _unmake(self, record: NetworkRecord) -> None:
        firewall.dismiss(record.bridge)
        bridge.delete_bridge(record.bridge)
        table = self._table(record.project)
        others = [
            other
            for other in self._store.networks()
            if other.project == record.project and other.name != record.name
        ]
        if others:
            firewall.drop(table, network_elements(record))
        else:
            firewall.remove_table(table)
        self._leases.forget(record.name)
        self._store.remove_network(record.name)

    def endpoints(
        self, spec: ContainerSpec, networks: Mapping[str, NetworkRecord]
    ) -> tuple[Endpoint, ...]:
        """Choose a container's place on each of its networks (``networks`` by the spec's keys).

        Callers in one process take turns until the record is written; other processes are kept
        from the same addresses.

        :raises NetworkError: when an address is taken, a subnet is full, or a name is not valid.
        """
        for _ in range(_ATTEMPTS):
            used = {record.name: self._used(record, spec) for record in networks.values()}
            chosen = choose_endpoints(spec, networks, used, data=str(self._paths.data))
            if all(
                self._leases.take(endpoint.network, address)
                for endpoint in chosen
                for address in (endpoint.ipv4, endpoint.ipv6)
                if address
            ):
                return chosen
        raise NetworkError(
            f'cannot give "{spec.name}" an address: other processes take them faster',
            hint="run the command again",
        )

    def written(self, record: ContainerRecord) -> None:
        """Take note that a container's record holds its addresses: nobody else chooses them now.

        For processes that last; what others leave is found to be a dead one's.
        """
        for endpoint in record.endpoints:
            for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                self._leases.release(endpoint.network, address)

    def _used(self, record: NetworkRecord, spec: ContainerSpec) -> set[str]:
        """Return the taken addresses; a replica that replaces itself may keep a fixed one."""
        fixed = {text for a in spec.networks for text in (a.ipv4, a.ipv6) if text}
        used = self._leases.taken(record.name)
        for occupant in self._attached.occupants():
            itself = (occupant.project, occupant.name) == (spec.project, spec.name)
            for network, address in occupant.addresses:
                if network == record.name and not (itself and address in fixed):
                    used.add(address)
        return used

    def interfaces(self, record: ContainerRecord) -> list[Interface]:
        """Return what the shim makes of a container's endpoints."""
        networks = {e.network: self._store.network(e.network) for e in record.endpoints}
        return interfaces_of(record, {name: n for name, n in networks.items() if n is not None})

    def listens(self, record: ContainerRecord) -> list[Listen]:
        """Return the host ports that the launcher binds for a container."""
        return listens_of(record, ipv6=os.access("/proc/net/if_inet6", os.F_OK))

    def choose_ports(self, wanted: Iterable[PortSpec]) -> tuple[PortSpec, ...]:
        """Return published ports with every host port known; open ones get free ones.

        :raises NetworkError: when no port is free.
        """
        asked = tuple(wanted)
        if all(port.host_port is not None for port in asked):
            return asked
        taken = {
            (port.protocol, port.host_port)
            for record in self._attached.records()
            for port in record.ports
            if port.host_port is not None
        }
        return ports.choose(asked, taken)

    async def publish(self, record: ContainerRecord) -> None:
        """Lead published host ports to a container, and let its links carry only its addresses.

        A port that another running container has is left to it: the start finds it taken.

        :raises NetworkError: when nftables refuses.
        """
        if record.endpoints:
            await run_sync(self._publications.publish, record)

    async def unpublish(self, record: ContainerRecord) -> None:
        """Take back what :meth:`publish` did, and nothing of another container's.

        :raises NetworkError: when nftables refuses.
        """
        if record.endpoints:
            with anyio.CancelScope(shield=True):
                await run_sync(self._publications.unpublish, record)

    def names(self, project: str) -> NameTable:
        """Return who answers to which name, for the containers of a project, as of now.

        It knows every container that runs, also those of other projects on shared networks. The
        same table comes back as long as nothing has changed: a few system calls per container.
        """
        running = tuple(self._attached.running())
        known = self._names.get(project)
        if known is None or known[0] != tuple(map(id, running)):
            # The records are kept beside their ids, so that no other object gets the same one.
            known = (tuple(map(id, running)), running, NameTable(project, running))
            self._names[project] = known
        return known[2]

    def host_nameservers(self) -> tuple[str, ...]:
        """Return the servers that the host itself asks."""
        return self.host_resolv_conf().nameservers

    def host_resolv_conf(self) -> ResolvConf:
        """Return what the host's resolv.conf says, as of now."""
        return parse_resolv_conf(bridge.host_nameservers())

    def port_taken(self, listen: Listen, *, but: str) -> NetworkError:
        """Return the error for a host port that could not be bound: who has it, and what to do.

        ``but`` is the id of the container that wanted it.
        """
        port = (listen["protocol"], listen["port"])
        owner = next(
            (
                f'container "{record.spec.name}" of project "{record.spec.project}"'
                for record in self._attached.records()
                if record.wanted is Wanted.RUNNING and record.id != but
                if port in {(p.protocol, p.host_port) for p in record.ports}
            ),
            None,
        )
        owner = owner or ports.owner_of(*port)
        return NetworkError(
            f"port {listen['port']} is taken" + (f" by {owner}" if owner else ""),
            hint="change the published port, or stop what has it",
        )


def _check(spec: NetworkSpec) -> None:
    check_resource("network", spec.name)
    if spec.external:
        return
    if spec.driver != "bridge":
        raise NetworkError(
            f'cannot create network "{spec.name}": driver "{spec.driver}" is not supported',
            hint='use "bridge"',
        )
    for option in sorted(spec.driver_options.keys() - _OPTIONS):
        raise NetworkError(
            f'cannot create network "{spec.name}": driver option "{option}" is not supported',
            hint=f"options known here: {', '.join(sorted(_OPTIONS))}",
        )
    mtu = spec.driver_options.get(MTU_OPTION, "1500")
    if not mtu.isdecimal() or not 576 <= int(mtu) <= 65535:
        raise NetworkError(
            f'cannot create network "{spec.name}": MTU "{mtu}" is not a number from 576 to 65535'
        )
