"""What our netlink makes, read back by pyroute2: two independent readings of the kernel agree."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute
from support.netlab import Lab

from orchestra.engine.linux.netlink import Netlink

pytestmark = pytest.mark.kernel
MAC = "02:00:00:00:09:01"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Netlink, IPRoute]]:
    with Lab(tmp_path).entered(), Netlink() as netlink, IPRoute() as oracle:
        yield netlink, oracle


def test_a_bridge_is_what_was_asked_for(both: tuple[Netlink, IPRoute]):
    netlink, oracle = both
    netlink.add_bridge("b0", mac=MAC, mtu=1400)
    netlink.add_address("b0", "10.9.0.1/16")
    netlink.add_address("b0", "fd00::1/64")
    (link,) = oracle.get_links(ifname="b0")
    attributes = dict(link["attrs"])
    assert attributes["IFLA_ADDRESS"] == MAC
    assert attributes["IFLA_MTU"] == 1400
    assert dict(attributes["IFLA_LINKINFO"]["attrs"])["IFLA_INFO_KIND"] == "bridge"
    assert link["state"] == "up"
    found = {
        (address.get_attr("IFA_ADDRESS"), address["prefixlen"])
        for address in oracle.get_addr(index=link["index"])
    }
    assert {("10.9.0.1", 16), ("fd00::1", 64)} <= found


def test_both_list_the_same_links_addresses_and_routes(both: tuple[Netlink, IPRoute]):
    netlink, oracle = both
    netlink.add_bridge("b0", mac=MAC)
    netlink.add_address("b0", "10.9.0.1/16")
    netlink.add_route("10.9.0.2", via_link="b0", destination="10.77.0.0/16")
    assert {link.name for link in netlink.links()} == {
        link.get_attr("IFLA_IFNAME") for link in oracle.get_links()
    }
    assert {(p.link, p.address, p.length) for p in netlink.addresses()} == {
        (a["index"], a.get_attr("IFA_ADDRESS"), a["prefixlen"]) for a in oracle.get_addr()
    }
    ours = {(route.address, route.length) for route in netlink.routes() if ":" not in route.address}
    theirs = {
        (route.get_attr("RTA_DST") or "0.0.0.0", route["dst_len"])
        for route in oracle.get_routes(family=socket.AF_INET, table=254)
    }
    assert ours == theirs
