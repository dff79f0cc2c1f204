"""A container begins when its IPv6 addresses hear what is sent to them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.netlab import Lab

from orchestra.engine.linux.local_routes import LocalRoutes
from orchestra.engine.linux.netlink import Netlink
from orchestra.engine.shim.network import enter_network
from orchestra.engine.shim.protocol import ShimNetwork

pytestmark = pytest.mark.kernel
MAC = "02:00:00:00:09:01"
ADDRESSES = ["fd00::2", "fd00::3"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).entered() as lab:
        yield lab


def local_routes() -> set[str]:
    rows = [
        line.split() for line in Path("/proc/thread-self/net/ipv6_route").read_text().splitlines()
    ]
    return {
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0])) for row in rows if row[1] == "80"
    }


def test_routes_of_addresses_are_heard_of(lab: Lab):
    with Netlink() as netlink:
        netlink.add_bridge("b0", mac=MAC)
        routes = LocalRoutes()
        try:
            assert not routes.wait(ADDRESSES, 0.01)
            for address in ADDRESSES:
                netlink.add_address("b0", f"{address}/64")
            assert routes.wait(ADDRESSES, 30)
            assert set(ADDRESSES) <= local_routes()
            assert not routes.wait(["fd00::4"], 0.01)
        finally:
            routes.close()


def test_a_container_has_them_when_it_begins(lab: Lab):
    network: ShimNetwork = {
        "mode": "new",
        "interfaces": [
            {
                "name": "eth0",
                "host_name": "v0",
                "bridge": "wire",
                "mac": MAC,
                "addresses": ["10.9.0.2/16", *(f"{address}/64" for address in ADDRESSES)],
                "gateways": [],
                "mtu": 1500,
            }
        ],
        "dns": False,
        "listen": [],
    }
    for _ in range(20):  # without a wait, about every third time it is too early
        with lab.host.entered():
            enter_network(network).furnish()
            assert set(ADDRESSES) <= local_routes()
