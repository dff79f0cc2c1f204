"""Who reaches whom: bridges, translation, published ports and the walls between projects."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from support.netlab import (
    HOST,
    HOST6,
    OUTSIDE,
    OUTSIDE6,
    PATIENCE_SECONDS,
    SILENCE_SECONDS,
    Lab,
    Place,
    hears_nothing,
)

from orchestra.engine.linux import nftables
from orchestra.engine.linux.netlink import Netlink
from orchestra.engine.network.buildnet import NAME as BUILD
from orchestra.engine.network.buildnet import BuildNetwork, sweep
from orchestra.engine.state.records import NetworkRecord
from orchestra.errors import NetworkError
from orchestra.planner.desired import NetworkSpec, PortSpec, Subnet

pytestmark = pytest.mark.kernel
WEB = PortSpec(container_port=80, host_port=8000)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).entered() as lab:
        yield lab


def network(lab: Lab, project: str, key: str = "default", **options: object) -> NetworkRecord:
    spec = NetworkSpec(key=key, name=f"{project}_{key}", **options)
    return anyio.run(lab.networks.create, spec, project)


def published(lab: Lab, project: str, *ports: PortSpec, service: str = "web") -> Place:
    found = lab.store.network(f"{project}_default") or network(lab, project)
    place = lab.container(project, service, found, ports=ports)
    assert place.record is not None
    anyio.run(lab.networks.publish, place.record)
    return place


def set_bridge_filter(value: str) -> None:
    """Say whether frames between ports of a bridge pass the filters of IP as well."""
    for name in ("iptables", "ip6tables"):
        setting = Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}")
        if setting.exists():
            setting.write_text(value)


def left_over() -> list[str]:
    with Netlink() as netlink:
        links = [link.name for link in netlink.links() if link.name.startswith("orc")]
    return links + [line for line in nftables.run("list tables").splitlines() if "orch" in line]


def test_containers_of_a_network_reach_each_other_and_the_outside(lab: Lab):
    shop = network(lab, "shop")
    web, db = lab.container("shop", "web", shop), lab.container("shop", "db", shop)
    lab.listen(db, 5432)
    assert lab.reaches(web, db.address, 5432)
    outside = lab.listen(lab.outside, 9000)
    assert lab.peer_of(web, OUTSIDE, 9000, outside) == HOST


def test_a_published_port_is_reached_from_everywhere(lab: Lab):
    web = published(lab, "shop", WEB)
    neighbour = lab.container("shop", "other", lab.store.network("shop_default"))
    server = lab.listen(web, 80)
    gateway = "172.18.0.1"
    assert lab.peer_of(lab.outside, HOST, 8000, server) == OUTSIDE
    assert lab.peer_of(lab.host, "127.0.0.1", 8000, server) == gateway
    assert lab.reaches(lab.host, HOST, 8000)
    assert lab.reaches(lab.host, gateway, 8000)
    assert lab.reaches(neighbour, gateway, 8000)
    assert lab.reaches(neighbour, HOST, 8000)


@pytest.mark.parametrize("bridged", ["0", "1"])
def test_a_neighbour_reaches_a_published_port_by_the_hosts_address(lab: Lab, bridged: str):
    """With br_netfilter, as Docker sets it, translated frames never leave the bridge."""
    set_bridge_filter(bridged)
    lab.listen(published(lab, "shop", WEB), 80)
    neighbour = published(lab, "shop", service="neighbour")
    for address in ("172.18.0.1", HOST):
        assert lab.reaches(neighbour, address, 8000)
        assert lab.reaches(neighbour, address, 8000), "again, whatever a redirect may have said"


def test_its_own_published_port_is_served_by_the_socket_on_the_host(lab: Lab):
    web = published(lab, "shop", WEB)
    lab.listen(web, 80)
    assert lab.is_cut_off(web, HOST, 8000)
    held = lab.listen(lab.host, 8000)
    assert lab.peer_of(web, HOST, 8000, held) == web.address


def test_udp_is_published_too(lab: Lab):
    web = published(lab, "shop", PortSpec(container_port=53, host_port=5300, protocol="udp"))
    server = lab.datagrams(web, 53)
    client = lab.datagrams(lab.outside)
    client.sendto(b"ask", (HOST, 5300))
    data, peer = server.recvfrom(100)
    server.sendto(data + b"ed", peer)
    assert client.recvfrom(100) == (b"asked", (HOST, 5300))


def test_what_is_not_published_stays_inside(lab: Lab):
    web = published(lab, "shop", WEB)
    lab.listen(web, 81)
    with lab.outside.entered(), Netlink() as netlink:
        netlink.add_route(HOST, via_link="eth0", destination="172.18.0.0/16")
    assert lab.is_cut_off(lab.outside, HOST, 81)
    assert lab.is_cut_off(lab.outside, web.address, 81)


def test_a_port_on_127_0_0_1_is_for_this_host_alone(lab: Lab):
    web = published(lab, "shop", PortSpec(container_port=80, host_port=8000, host_ip="127.0.0.1"))
    lab.listen(web, 80)
    assert lab.reaches(lab.host, "127.0.0.1", 8000)
    assert lab.is_cut_off(lab.outside, HOST, 8000)
    with lab.outside.entered():
        # A neighbour that sends packets for 127.0.0.1 to this host's card.
        Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1")
        with Netlink() as netlink:
            netlink.add_route(HOST, via_link="eth0", destination="127.0.0.2/32")
    web2 = published(
        lab,
        "shop",
        PortSpec(container_port=80, host_port=8001, host_ip="127.0.0.2"),
        service="web2",
    )
    lab.listen(web2, 80)
    assert lab.reaches(lab.host, "127.0.0.2", 8001)
    with lab.outside.entered():
        Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")
    assert lab.is_cut_off(lab.outside, "127.0.0.2", 8001, source=OUTSIDE)


def test_the_hosts_loopback_is_closed_to_containers(lab: Lab):
    shop = network(lab, "shop")
    web = lab.container("shop", "web", shop)
    lab.listen(lab.host, 6379, "127.0.0.1")
    with web.entered():
        Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1")
        with Netlink() as netlink:
            netlink.add_route("172.18.0.1", via_link="eth0", destination="127.0.0.3/32")
    lab.listen(lab.host, 6380, "127.0.0.3")
    assert lab.is_cut_off(web, "127.0.0.3", 6380, source=web.address)
    assert lab.is_cut_off(web, "172.18.0.1", 6379)


def test_projects_do_not_reach_each_other(lab: Lab):
    web = published(lab, "shop", WEB, PortSpec(container_port=81, host_port=8081, host_ip=HOST))
    lab.listen(web, 80)
    lab.listen(web, 81)
    lab.listen(lab.host, 8000)  # what the launcher holds, and the supervisor would pass on
    spy = lab.container("spy", "web", network(lab, "spy"))
    lab.listen(lab.host, 9999)
    assert lab.reaches(spy, HOST, 9999), "the host itself answers"
    assert lab.is_cut_off(spy, web.address, 80)
    for address in ("172.18.0.1", "172.19.0.1", HOST):
        assert lab.is_cut_off(spy, address, 8000), address
    assert lab.is_cut_off(spy, HOST, 8081)
    assert lab.is_cut_off(spy, "172.18.0.1", 9999), "another project's bridge"


def test_projects_do_not_reach_each_other_over_ipv6_either(lab: Lab):
    shop = network(lab, "shop", ipv6=True)
    at, anywhere = (
        PortSpec(container_port=81, host_port=p, host_ip=h)
        for p, h in ((8081, HOST6), (8082, "::"))
    )
    web = published(lab, "shop", WEB, at, anywhere)
    spy = lab.container("spy", "web", network(lab, "spy", ipv6=True))
    lab.listen(web, 80)
    lab.listen(lab.host, 8000)  # what the launcher holds, and the supervisor would pass on
    lab.listen(lab.host, 8081)
    lab.listen(lab.host, 8082)
    lab.listen(lab.host, 9999)
    assert web.record is not None
    assert lab.reaches(spy, HOST6, 9999), "the host itself answers"
    assert lab.reaches(lab.outside, HOST6, 8000)
    assert lab.is_cut_off(spy, HOST6, 8000)
    for port in (8081, 8082):
        assert lab.reaches(lab.outside, HOST6, port)
        assert lab.is_cut_off(spy, HOST6, port)
    assert lab.is_cut_off(spy, shop.subnets[1].gateway, 9999)
    assert lab.is_cut_off(spy, web.record.endpoints[0].ipv6 or "", 80)


def test_networks_of_one_project_meet_only_at_published_ports(lab: Lab):
    web = published(lab, "shop", WEB)
    lab.listen(web, 80)
    back = lab.container("shop", "back", network(lab, "shop", "back"))
    assert lab.is_cut_off(back, web.address, 80)
    assert lab.reaches(back, HOST, 8000)


def test_internal_means_no_way_out(lab: Lab):
    inner = network(lab, "shop", "inner", internal=True, ipv6=True)
    one, two = lab.container("shop", "one", inner), lab.container("shop", "two", inner)
    lab.listen(two, 80)
    lab.listen(lab.outside, 9000)
    lab.listen(lab.host, 9001)
    gateway4, gateway6 = (subnet.gateway for subnet in inner.subnets)
    assert lab.reaches(one, two.address, 80)
    assert two.record is not None
    assert lab.reaches(one, two.record.endpoints[0].ipv6 or "", 80)
    assert lab.reaches(lab.host, two.address, 80), "from the host"
    assert lab.reaches(lab.host, two.record.endpoints[0].ipv6 or "", 80), "from the host"
    with one.entered(), Netlink() as netlink:
        netlink.add_route(gateway4, via_link="eth0")
        netlink.add_route(gateway6, via_link="eth0")
    with lab.outside.entered(), Netlink() as netlink:
        for subnet, host in zip(inner.subnets, (HOST, HOST6), strict=True):
            netlink.add_route(host, via_link="eth0", destination=subnet.subnet)
    for address, port in [(OUTSIDE, 9000), (OUTSIDE6, 9000), (gateway4, 9001), (gateway6, 9001)]:
        assert lab.is_cut_off(one, address, port), address
    assert lab.is_cut_off(one, HOST, 9001)


def test_ipv6_goes_out_where_asked_for_and_nowhere_else(lab: Lab):
    lab.listen(lab.outside, 9000)
    six = lab.container("shop", "six", network(lab, "shop", "six", ipv6=True))
    assert lab.reaches(six, OUTSIDE6, 9000)
    four = lab.container("shop", "four", network(lab, "shop", "four"))
    with four.entered(), Netlink() as netlink:
        netlink.add_address("eth0", "fd99::2/64")
    lab.listen(lab.host, 9001)
    assert lab.is_cut_off(four, HOST6, 9001)
    bridge = lab.store.network("shop_four")
    assert bridge is not None
    text = Path(f"/proc/sys/net/ipv6/conf/{bridge.bridge}/disable_ipv6").read_text()
    assert text.strip() == "1"


def test_a_sender_must_be_who_it_says(lab: Lab):
    set_bridge_filter("0")
    web = published(lab, "shop", WEB)
    other = published(lab, "shop", service="other")
    server = lab.datagrams(web, 7000)
    outside = lab.datagrams(lab.outside, 7000)
    with other.entered(), Netlink() as netlink:
        netlink.add_address("eth0", "172.18.9.9/16")
        netlink.add_address("eth0", "10.66.66.66/32")
    with other.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as honest:
        honest.bind((other.address, 0))
        honest.sendto(b"honest", (web.address, 7000))
    assert server.recvfrom(100)[0] == b"honest"
    for source in ("172.18.9.9", "10.66.66.66"):
        with other.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forged:
            forged.bind((source, 0))
            forged.sendto(b"forged", (web.address, 7000))
            forged.sendto(b"forged", (OUTSIDE, 7000))
    assert hears_nothing(server)
    assert hears_nothing(outside)


def test_a_sender_of_ipv6_must_be_who_it_says(lab: Lab):
    set_bridge_filter("0")
    network(lab, "shop", ipv6=True)
    web, other = published(lab, "shop"), published(lab, "shop", service="other")
    assert web.record is not None
    assert other.record is not None
    lab.listen(web, 80)
    address = web.record.endpoints[0].ipv6 or ""
    forged = address.rpartition(":")[0] + ":bad"
    with other.entered(), Netlink() as netlink:
        netlink.add_address("eth0", f"{forged}/64")
    assert lab.reaches(other, address, 80, source=other.record.endpoints[0].ipv6 or "")
    assert lab.is_cut_off(other, address, 80, source=forged)


def test_a_network_without_ipv6_carries_none(lab: Lab):
    set_bridge_filter("0")
    web, other = published(lab, "shop"), published(lab, "shop", service="other")
    lab.listen(web, 80)
    for place, address in ((web, "fe80::2"), (other, "fe80::3")):
        with place.entered(), Netlink() as netlink:
            netlink.add_address("eth0", f"{address}/64")
    assert lab.reaches(other, web.address, 80)
    assert lab.is_cut_off(other, "fe80::2%eth0", 80)


def test_nobody_answers_for_another_address(lab: Lab):
    web, other = published(lab, "shop"), published(lab, "shop", service="other")
    assert other.record is not None
    arp, kind = socket.AF_PACKET, socket.SOCK_RAW
    with web.entered():
        ear = socket.socket(arp, kind, socket.htons(0x0806))
    with other.entered():
        mouth = socket.socket(arp, kind)
        mouth.bind(("eth0", 0))
    with ear, mouth:
        ear.settimeout(PATIENCE_SECONDS)
        mac = bytes.fromhex(other.record.endpoints[0].mac.replace(":", ""))
        for claimed in ("172.18.0.1", other.address):  # its own last: what was heard before it?
            asked = socket.inet_aton(claimed) + bytes(6) + socket.inet_aton(web.address)
            head = b"\0\1\x08\0\6\4\0\1"
            mouth.send(b"\xff" * 6 + mac + b"\x08\x06" + head + mac + asked)
        heard = []
        with suppress(TimeoutError):
            while True:
                frame = ear.recv(100)
                if frame[6:12] == mac:
                    heard.append(socket.inet_ntoa(frame[28:32]))
                    ear.settimeout(SILENCE_SECONDS)
    assert heard == [other.address]


def test_who_may_administer_its_network_may_use_other_addresses(lab: Lab):
    found = network(lab, "shop")
    vpn = lab.container("shop", "vpn", found, cap_add=("NET_ADMIN",))
    web = lab.container("shop", "web", found)
    for place in (vpn, web):
        assert place.record is not None
        anyio.run(lab.networks.publish, place.record)
    server = lab.datagrams(web, 7000)
    with vpn.entered(), Netlink() as netlink:
        netlink.add_address("eth0", "172.18.9.9/16")
    with vpn.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("172.18.9.9", 0))
        sock.sendto(b"floating", (web.address, 7000))
    assert server.recvfrom(100)[0] == b"floating"
    outside = lab.datagrams(lab.outside, 7000)
    with vpn.entered(), Netlink() as netlink:
        netlink.add_address("eth0", "10.66.66.66/32")
    with vpn.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("10.66.66.66", 0))
        sock.sendto(b"forged", (OUTSIDE, 7000))
    assert hears_nothing(outside)


def test_even_so_it_sends_only_from_its_networks_ipv6(lab: Lab):
    vpn = lab.container("shop", "vpn", network(lab, "shop", ipv6=True), cap_add=("NET_ADMIN",))
    assert vpn.record is not None
    anyio.run(lab.networks.publish, vpn.record)
    lab.listen(lab.outside, 9000)
    assert lab.reaches(vpn, OUTSIDE6, 9000)
    with vpn.entered(), Netlink() as netlink:
        netlink.add_address("eth0", "2001:db8:66::66/128")
    with lab.outside.entered(), Netlink() as netlink:
        netlink.add_route(HOST6, via_link="eth0", destination="2001:db8:66::/64")
    with lab.outside.entered():
        ear = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with ear:
        ear.bind(("::", 7000))
        ear.settimeout(PATIENCE_SECONDS)
        lab.settle()
        with vpn.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind((vpn.record.endpoints[0].ipv6 or "", 0))
            sock.sendto(b"honest", (OUTSIDE6, 7000))
            assert ear.recvfrom(100)[0] == b"honest"
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
                other.bind(("2001:db8:66::66", 0))
                other.sendto(b"forged", (OUTSIDE6, 7000))
        assert hears_nothing(ear)


def test_unpublish_takes_its_own_and_nothing_else(lab: Lab):
    web = published(lab, "shop", WEB)
    lab.listen(web, 80)
    rival = published(lab, "shop", WEB, service="rival")
    assert web.record is not None
    assert rival.record is not None
    assert lab.reaches(lab.outside, HOST, 8000), "the port stays with who has it"
    anyio.run(lab.networks.unpublish, rival.record)
    assert lab.reaches(lab.outside, HOST, 8000)
    anyio.run(lab.networks.unpublish, web.record)
    assert lab.is_cut_off(lab.outside, HOST, 8000)
    anyio.run(lab.networks.unpublish, web.record)


@pytest.mark.parametrize("damage", ["bridge", "table", "rule", "flush"])
def test_what_a_user_broke_is_made_again(lab: Lab, damage: str):
    web = published(lab, "shop", WEB)
    record = lab.store.network("shop_default")
    assert record is not None
    table = nftables.run("list tables").split("inet ")[1].split()[0]
    if damage == "bridge":
        with Netlink() as netlink:
            netlink.delete_link(record.bridge)
    elif damage == "table":
        nftables.run(f"delete table inet {table}")
    elif damage == "rule":
        nftables.run(f"flush chain inet {table} guard")
    else:
        nftables.run("flush ruleset")
    if damage != "flush":
        assert not lab.networks.present(record)
    anyio.run(lab.networks.ensure, record)
    assert lab.networks.present(record)
    assert web.record is not None
    if damage == "bridge":
        with Netlink() as netlink:
            netlink.delete_link(web.record.endpoints[0].host_interface, missing_ok=True)
        lab.attach(web, lab.networks.interfaces(web.record))
    lab.listen(web, 80)
    assert lab.reaches(lab.outside, HOST, 8000)


def test_removal_leaves_nothing(lab: Lab):
    records = [
        network(lab, "shop"),
        network(lab, "shop", "six", ipv6=True),
        network(lab, "other"),
    ]
    for record in records:
        anyio.run(lab.networks.remove, record)
        anyio.run(lab.networks.remove, record)
    assert left_over() == []
    assert lab.store.networks() == ()


def test_a_network_in_use_is_not_removed(lab: Lab):
    record = network(lab, "shop")
    lab.container("shop", "web", record)
    with pytest.raises(NetworkError, match='"shop-web-1" is on it'):
        anyio.run(lab.networks.remove, record)


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b", "a\nb", "\x1b[2J", ".a", "a" * 129])
def test_a_name_that_is_none_is_refused(lab: Lab, name: str):
    """A network's name becomes a file's, and part of what people read."""
    with pytest.raises(NetworkError, match="as the name of a network"):
        anyio.run(lab.networks.create, NetworkSpec(key="x", name=name), "shop")


def test_a_name_of_another_project_is_refused(lab: Lab):
    network(lab, "shop")
    with pytest.raises(NetworkError, match='project "shop" has one'):
        anyio.run(lab.networks.create, NetworkSpec(key="x", name="shop_default"), "other")


def test_subnets_keep_clear_of_the_hosts(lab: Lab):
    with Netlink() as netlink:
        netlink.add_address("wire", "172.18.7.1/24")
    assert network(lab, "shop").subnets[0].subnet == "172.19.0.0/16"
    with pytest.raises(NetworkError, match="overlaps 203"):
        anyio.run(
            lab.networks.create,
            NetworkSpec(key="x", name="x", subnets=(Subnet(subnet="203.0.113.0/25"),)),
            "shop",
        )
    assert lab.store.network("x") is None


def test_a_dropping_firewall_of_the_hosts_lets_our_bridges_pass(lab: Lab):
    nftables.run(
        "add table ip filter; add chain ip filter FORWARD"
        " { type filter hook forward priority 0; policy drop; };"
        ' add rule ip filter FORWARD iifname "eth7" accept'
    )
    web = published(lab, "shop", WEB)
    lab.listen(web, 80)
    lab.listen(lab.outside, 9000)
    assert lab.reaches(web, OUTSIDE, 9000)
    assert lab.reaches(lab.outside, HOST, 8000)
    record = lab.store.network("shop_default")
    assert record is not None
    nftables.run("flush chain ip filter FORWARD")
    assert lab.is_cut_off(web, OUTSIDE, 9000)
    anyio.run(lab.networks.ensure, record)
    assert lab.reaches(web, OUTSIDE, 9000)
    nftables.run('add rule ip filter FORWARD iifname "eth7" accept')
    assert web.record is not None
    lab.store.remove_container("shop", web.record.id)
    anyio.run(lab.networks.remove, record)
    rules = nftables.run("list chain ip filter FORWARD")
    assert "orc" not in rules
    assert "eth7" in rules


def test_who_has_the_port(lab: Lab):
    lab.listen(lab.host, 8000)
    listen = {"protocol": "tcp", "address": "0.0.0.0", "port": 8000, "container_port": 80}
    error = lab.networks.port_taken(listen, but="")
    assert error.message.startswith(f"port 8000 is taken by pid {os.getpid()} (")
    published(lab, "shop", WEB)
    error = lab.networks.port_taken(listen, but="")
    assert error.message == 'port 8000 is taken by container "shop-web-1" of project "shop"'


def test_open_ports_get_free_ones(lab: Lab):
    first, second = lab.networks.choose_ports(
        [PortSpec(container_port=80), PortSpec(container_port=81)]
    )
    assert first.host_port
    assert second.host_port
    assert first.host_port != second.host_port


def test_build_networks_are_shared_and_go_with_the_last(lab: Lab):
    async def build() -> None:
        async with BuildNetwork(lab.paths, lab.store) as one:
            async with BuildNetwork(lab.paths, lab.store) as two:
                assert (one.bridge, one.network) == (two.bridge, BUILD)
                assert one.ipv4 != two.ipv4
                assert one.host_interface != two.host_interface
            assert lab.store.network(BUILD) is not None
        assert lab.store.network(BUILD) is None

    anyio.run(build)
    assert left_over() == []


def test_what_a_killed_build_left_is_swept(lab: Lab):
    anyio.run(lab.networks.create, NetworkSpec(key=BUILD, name=BUILD), "")
    anyio.run(sweep, lab.paths, lab.store)
    assert left_over() == []
