"""A start asks the firewall by its generation: what others do to it in between is seen."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from support.netlab import Lab

from orchestra.engine.linux import nftables
from orchestra.engine.linux.netlink import Netlink
from orchestra.engine.linux.nfmessages import generation_now
from orchestra.engine.linux.nfobjects import Member, add_members, delete_members
from orchestra.engine.network import firewall
from orchestra.engine.network.firewall import ChangedError
from orchestra.engine.network.guard import Guard
from orchestra.engine.network.naming import TABLE_PREFIX
from orchestra.engine.network.ruleset import Element
from orchestra.engine.state.records import ContainerRecord, NetworkRecord
from orchestra.errors import NetworkError
from orchestra.planner.desired import NetworkSpec, PortSpec

pytestmark = pytest.mark.kernel

TABLE = f"{TABLE_PREFIX}one"
LINK = Element(family="bridge", container="guarded", key='"orcv0123456789a"')
OTHER = Element(family="bridge", container="guarded", key='"orcv0123456789b"')
PORT = PortSpec(container_port=80, host_port=8000)


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).entered() as lab:
        yield lab


@pytest.fixture
def shop(lab: Lab) -> NetworkRecord:
    return anyio.run(lab.networks.create, NetworkSpec(key="default", name="shop_default"), "shop")


def container(
    lab: Lab, service: str, network: NetworkRecord, *ports: PortSpec, **changes: object
) -> ContainerRecord:
    record = lab.container("shop", service, network, ports=ports, **changes).record
    assert record is not None
    return record


def table_of(network: NetworkRecord) -> str:
    """Return the project's table: the only one that is ours."""
    (table,) = {
        line.split()[2]
        for line in nftables.run("list tables").splitlines()
        if line.split()[2].startswith(TABLE_PREFIX)
    }
    assert network.project == "shop"
    return table


def senders(network: NetworkRecord) -> str:
    return nftables.run(f"list set bridge {table_of(network)} guarded")


def member(address: bytes) -> Member:
    return Member("inet", "t", "s", address)


def test_a_change_makes_the_next_generation_and_names_it() -> None:
    nftables.run("add table inet t; add set inet t s { type ipv4_addr; }")
    before = generation_now()
    one = add_members([member(b"\1\1\1\1")], generation=before)
    assert one == generation_now() != before
    assert add_members([member(b"\1\1\1\1")], generation=one) == 0  # it was there
    assert generation_now() == one
    several = [member(bytes([2, 2, 2, n])) for n in range(250)]  # of more than one message
    two = add_members(several, generation=one)
    assert two == generation_now() != one
    assert delete_members(several, generation=two) == generation_now() != two


def test_nothing_is_changed_as_of_another_generation() -> None:
    nftables.run("add table inet t; add set inet t s { type ipv4_addr; }")
    seen = generation_now()
    nftables.run("add table inet another")
    for act in (add_members, delete_members):
        with pytest.raises(OSError, match=r".*") as caught:
            act([member(b"\1\1\1\1")], generation=seen)
        assert caught.value.errno == errno.ERESTART
    assert "1.1.1.1" not in nftables.run("list set inet t s")


def test_what_was_seen_holds_until_somebody_changes_something() -> None:
    firewall.ensure_table(TABLE, ())
    guard = Guard()
    assert guard.whole([TABLE], [])
    guard.put(TABLE, [LINK])
    guard.drop(TABLE, [LINK])
    guard.put(TABLE, [LINK])  # our own changes are none
    nftables.run(f"delete table inet {TABLE}")
    with pytest.raises(ChangedError):
        guard.put(TABLE, [OTHER])
    assert OTHER.key not in nftables.run(f"list set bridge {TABLE} guarded")
    assert not guard.whole([TABLE], [])


def test_who_adds_nothing_sees_a_change_too() -> None:
    firewall.ensure_table(TABLE, ())
    guard = Guard()
    assert guard.whole([TABLE], [])
    guard.put(TABLE, [])
    nftables.run(f"flush chain inet {TABLE} guard")
    with pytest.raises(ChangedError):
        guard.put(TABLE, [])
    assert not guard.whole([TABLE], [])


def test_a_change_between_two_of_ours_is_not_taken_for_ours() -> None:
    """An addition of what is there makes no generation: another's must not be counted for it."""
    firewall.ensure_table(TABLE, ())
    guard = Guard()
    assert guard.whole([TABLE], [])
    guard.put(TABLE, [LINK])
    guard.put(TABLE, [LINK])
    nftables.run(f"delete table inet {TABLE}")
    with pytest.raises(ChangedError):
        guard.put(TABLE, [LINK])


def _delete_table(network: NetworkRecord) -> None:
    nftables.run(f"delete table inet {table_of(network)}")


def _flush(_network: NetworkRecord) -> None:
    nftables.run("flush ruleset")


def _flush_chain(network: NetworkRecord) -> None:
    nftables.run(f"flush chain inet {table_of(network)} transit")


def _drop_forwarded(_network: NetworkRecord) -> None:
    nftables.run(
        "add table ip filter; add chain ip filter FORWARD"
        " { type filter hook forward priority 0; policy drop; }"
    )


def _delete_bridge(network: NetworkRecord) -> None:
    with Netlink() as netlink:
        netlink.delete_link(network.bridge)


@pytest.mark.parametrize(
    "damage",
    [_delete_table, _flush, _flush_chain, _drop_forwarded, _delete_bridge],
    ids=lambda damage: damage.__name__.strip("_"),
)
@pytest.mark.parametrize("forges", [False, True], ids=["guarded", "may-forge"])
def test_what_others_broke_is_seen_at_the_next_start(
    lab: Lab, shop: NetworkRecord, damage: Callable[[NetworkRecord], None], forges: bool
) -> None:
    changes: dict[str, object] = {"cap_add": ("NET_ADMIN",)} if forges else {}
    web = container(lab, "web", shop, **changes)
    assert lab.networks.settle(web)
    assert lab.networks.settle(web)
    damage(shop)
    assert not lab.networks.settle(web)
    anyio.run(lab.networks.mend, web)
    assert lab.networks.settle(web)
    assert lab.networks.present(shop)
    assert (web.endpoints[0].host_interface in senders(shop)) is not forges


def test_a_link_in_place_of_a_bridge_is_told(lab: Lab, shop: NetworkRecord) -> None:
    web = container(lab, "web", shop)
    assert lab.networks.settle(web)
    _delete_bridge(shop)
    with Netlink() as netlink:
        netlink.add_veth(
            shop.bridge,
            "other",
            bridge="wire",
            peer_netns_fd=lab.host.fd,
            mac="02:00:00:00:00:03",
            mtu=1500,
        )
    with pytest.raises(NetworkError, match="is no bridge"):
        lab.networks.settle(web)


def test_what_others_changed_and_left_whole_keeps_no_start_back(
    lab: Lab, shop: NetworkRecord
) -> None:
    web, db = container(lab, "web", shop), container(lab, "db", shop)
    assert lab.networks.settle(web)
    nftables.run("add table inet somebodys")
    assert lab.networks.settle(db)
    assert {r.endpoints[0].host_interface in senders(shop) for r in (web, db)} == {True}


def test_ports_are_published_and_taken_back(lab: Lab, shop: NetworkRecord) -> None:
    web = container(lab, "web", shop, PORT)
    table = table_of(shop)
    empty = nftables.run(f"list table inet {table}")
    for _ in range(3):
        assert lab.networks.settle(web)
        assert firewall.published(table) == {
            ("published", "tcp . 8000"): f"{web.endpoints[0].ipv4} . 80"
        }
        anyio.run(lab.networks.unpublish, web)
        assert nftables.run(f"list table inet {table}") == empty
        assert web.endpoints[0].host_interface not in senders(shop)


def test_starts_at_the_same_time_while_others_change_things(lab: Lab, shop: NetworkRecord) -> None:
    records = [container(lab, f"s{number}", shop) for number in range(8)]
    results: list[bool] = []
    ended = threading.Event()

    def disturb() -> None:
        while not ended.is_set():
            nftables.run("add table inet somebodys; delete table inet somebodys")

    def start(record: ContainerRecord) -> None:
        if not lab.networks.settle(record):  # it changes faster than it is looked at
            anyio.run(lab.networks.mend, record)
        results.append(True)

    threads = [threading.Thread(target=start, args=(record,)) for record in records]
    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        ended.set()
        disturber.join(60)
    assert results == [True] * len(records)
    assert all(record.endpoints[0].host_interface in senders(shop) for record in records)


def test_a_container_without_networks_has_nothing_to_settle(lab: Lab) -> None:
    record = lab.container("shop", "lonely").record
    assert record is not None
    assert lab.networks.settle(record)
    assert nftables.run("list tables") == ""
