"""Names, endpoints and the files that carry them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestra.engine.network import hosts
from orchestra.engine.network.endpoints import choose_endpoints, interface_of, listens_of
from orchestra.engine.network.names import NameTable
from orchestra.engine.state.records import AssignedSubnet, ContainerRecord, NetworkRecord
from orchestra.errors import NetworkError
from orchestra.planner.desired import Attachment, ContainerSpec, NetworkSpec, PortSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FRONT = NetworkRecord(
    name="shop_front",
    project="shop",
    spec=NetworkSpec(key="front", name="shop_front"),
    bridge="orc0",
    subnets=(AssignedSubnet(subnet="172.18.0.0/16", gateway="172.18.0.1"),),
    created_at=NOW,
)
BACK = NetworkRecord(
    name="shop_back",
    project="shop",
    spec=NetworkSpec(key="back", name="shop_back", internal=True),
    bridge="orc1",
    subnets=(
        AssignedSubnet(subnet="172.19.0.0/16", gateway="172.19.0.1"),
        AssignedSubnet(subnet="fd00:1::/64", gateway="fd00:1::1"),
    ),
    created_at=NOW,
)
NETWORKS = {"front": FRONT, "back": BACK}


def spec_of(name: str, *attachments: Attachment, **changes: object) -> ContainerSpec:
    base = ContainerSpec(
        project="shop",
        service=name,
        number=1,
        name=f"shop-{name}-1",
        image="busybox",
        config_hash="x",
        networks=attachments or (Attachment(network="front"),),
    )
    return replace(base, **changes)


def record_of(spec: ContainerSpec, number: int, used: dict[str, list[str]] | None = None):
    endpoints = choose_endpoints(spec, NETWORKS, used or {}, data="/data")
    return ContainerRecord(
        id=f"{number:012x}".ljust(64, "0"),
        spec=spec,
        image_id="i",
        layers=(),
        created_at=NOW,
        endpoints=endpoints,
        ports=spec.ports,
    )


def table() -> tuple[NameTable, dict[str, ContainerRecord]]:
    web = record_of(spec_of("web", links=(("db", "database"),)), 1)
    db = record_of(
        spec_of("db", Attachment(network="front", aliases=("Mongo",)), Attachment(network="back")),
        2,
        {"shop_front": ["172.18.0.2"]},
    )
    job = record_of(spec_of("job", Attachment(network="back")), 3, {"shop_back": ["172.19.0.2"]})
    records = {"web": web, "db": db, "job": job}
    return NameTable("shop", list(records.values())), records


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("db", ("172.18.0.3",), id="service"),
        pytest.param("DB", ("172.18.0.3",), id="case"),
        pytest.param("shop-db-1", ("172.18.0.3",), id="container"),
        pytest.param("mongo", ("172.18.0.3",), id="alias"),
        pytest.param("database", ("172.18.0.3",), id="link"),
        pytest.param("db.shop_front", ("172.18.0.3",), id="with-network"),
        pytest.param("000000000002", ("172.18.0.3",), id="short-id"),
        pytest.param("db.shop_back", None, id="network-it-is-not-on"),
        pytest.param("job", None, id="no-network-in-common"),
        pytest.param("example.com", None, id="elsewhere"),
    ],
)
def test_a_name_is_known_on_common_networks(name: str, expected: tuple[str, ...] | None):
    names, records = table()
    answer = names.lookup(records["web"].id, name)
    assert (answer.ipv4 if answer else None) == expected


def test_ipv6_and_reverse():
    names, records = table()
    answer = names.lookup(records["job"].id, "db")
    assert answer is not None
    assert answer.ipv6 == ("fd00:1::2",)
    assert names.reverse(records["web"].id, "3.0.18.172.in-addr.arpa") == "shop-db-1.shop_front"
    assert names.reverse(records["job"].id, "3.0.18.172.in-addr.arpa") is None


def test_who_has_only_internal_networks_asks_nobody_else():
    names, records = table()
    assert names.nameservers(records["job"].id) is None
    assert names.nameservers(records["db"].id) == ()
    assert names.nameservers("f" * 64) is None


def test_another_projects_container_may_not_ask_here():
    names, records = table()
    job = records["job"].id
    assert names.lookup(job, "db")
    assert NameTable("other", list(records.values())).lookup(job, "db") is None


def test_endpoints_by_priority_with_one_way_out():
    spec = spec_of(
        "web", Attachment(network="back", priority=10), Attachment(network="front", gw_priority=-5)
    )
    back, front = choose_endpoints(spec, NETWORKS, {}, data="/data")
    assert (back.network, back.interface, back.default_route) == ("shop_back", "eth0", False)
    assert (front.network, front.interface, front.default_route) == ("shop_front", "eth1", True)
    assert interface_of(back, BACK)["gateways"] == []
    assert interface_of(front, FRONT)["gateways"] == ["172.18.0.1"]
    assert interface_of(back, BACK)["addresses"] == ["172.19.0.2/16", "fd00:1::2/64"]
    assert len(front.host_interface) <= 15


@pytest.mark.parametrize("name", ["a b", "x\ny", "-x", "a..b", "é", "x" * 64, "a#b", ""])
def test_a_name_that_is_none_is_refused(name: str):
    with pytest.raises(NetworkError, match="not a host name"):
        choose_endpoints(
            spec_of("web", Attachment(network="front", aliases=(name,))), NETWORKS, {}, data="/d"
        )


def test_ports_are_bound_in_both_families_unless_an_address_is_named():
    ports = (
        PortSpec(container_port=80, host_port=8000),
        PortSpec(container_port=81, host_port=8001, host_ip="127.0.0.1", protocol="udp"),
    )
    listens = listens_of(record_of(spec_of("web", ports=ports), 1), ipv6=True)
    assert [(one["address"], one["port"], one["protocol"]) for one in listens] == [
        ("0.0.0.0", 8000, "tcp"),
        ("::", 8000, "tcp"),
        ("127.0.0.1", 8001, "udp"),
    ]


def test_internal_networks_publish_nothing():
    ports = (PortSpec(container_port=80, host_port=8000),)
    record = record_of(spec_of("job", Attachment(network="back"), ports=ports), 1)
    assert listens_of(record, ipv6=True) == []


def test_files_of_a_container():
    spec = spec_of(
        "web",
        domainname="lan",
        extra_hosts=(("up", "host-gateway"), ("v6", "[::1]")),
        dns=("9.9.9.9",),
        dns_options=("timeout:1",),
    )
    host = hosts.parse_resolv_conf("nameserver 1.1.1.1\nsearch corp.lan\noptions edns0 ndots:3\n")
    record = record_of(spec, 1)
    files = hosts.container_files(spec, record.endpoints, hostname="web1", host=host)
    assert "172.18.0.2\tweb1.lan web1\n" in files.hosts
    assert "172.18.0.1\tup\n" in files.hosts
    assert "::1\tv6\n" in files.hosts
    assert files.resolv_conf == (
        "nameserver 127.0.0.11\nsearch corp.lan\noptions ndots:0 timeout:1 edns0\n"
    )
    assert files.hostname == "web1\n"


@pytest.mark.parametrize("entry", [("evil\n1.2.3.4 bank", "1.1.1.1"), ("ok", "1.1.1.1 x")])
def test_extra_hosts_cannot_add_lines(entry: tuple[str, str]):
    with pytest.raises(NetworkError):
        hosts.hosts_text([], [entry])


@pytest.mark.parametrize(
    "changes",
    [
        {"dns_options": ("ndots:1\nnameserver 6.6.6.6",)},
        {"dns_options": ("a b",)},
        {"dns_search": ("lan\nnameserver 6.6.6.6",)},
        {"dns": ("1.1.1.1\nsearch evil",)},
        {"domainname": "lan\n6.6.6.6 bank"},
    ],
    ids=str,
)
def test_nothing_adds_lines_to_files_of_a_container(changes: dict[str, object]):
    record = record_of(spec_of("web"), 1)
    spec = spec_of("web", **changes)
    with pytest.raises(NetworkError):
        hosts.container_files(spec, record.endpoints, hostname="web1", host=hosts.ResolvConf())


@pytest.mark.parametrize("hostname", ["a b", "a\n6.6.6.6 bank", "", "../x", "\x1b[2J", "a" * 64])
def test_a_hostname_that_is_none_is_refused(hostname: str):
    with pytest.raises(NetworkError):
        hosts.container_files(
            spec_of("web", network_mode="none"), (), hostname=hostname, host=hosts.ResolvConf()
        )


def test_resolv_conf_drops_what_it_does_not_know():
    conf = hosts.parse_resolv_conf("nameserver fe80::1%eth0\nnameserver x\nsearch a b!c .\nfoo\n")
    assert conf == hosts.ResolvConf(nameservers=("fe80::1",), search=("a",))
