"""Raw netlink and libnftables, each in a namespace of its own."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.netlab import Lab

from orchestra.engine.linux import nftables
from orchestra.engine.linux.netlink import Netlink, NetlinkError
from orchestra.engine.linux.nftables import NftablesError

pytestmark = pytest.mark.kernel
MAC = "02:00:00:00:09:01"


@pytest.fixture
def netlink(tmp_path: Path) -> Iterator[Netlink]:
    with Lab(tmp_path).entered(), Netlink() as netlink:
        yield netlink


def test_a_bridge_is_up_with_its_address(netlink: Netlink):
    netlink.add_bridge("b0", mac=MAC, mtu=1400)
    netlink.add_address("b0", "10.9.0.1/16")
    netlink.add_address("b0", "10.9.0.1/16")
    netlink.add_address("b0", "fd00::1/64")
    link = netlink.link("b0")
    assert (link.kind, link.up, link.mac) == ("bridge", True, MAC)
    mine = {(p.address, p.length) for p in netlink.addresses() if p.link == link.index}
    assert {("10.9.0.1", 16), ("fd00::1", 64)} <= mine
    assert ("10.9.0.0", 16) in {(p.address, p.length) for p in netlink.routes()}
    assert netlink.link_index("b0") == link.index


@pytest.mark.parametrize(
    ("operation", "code", "text"),
    [
        pytest.param(
            lambda n: n.add_bridge("wire", mac=MAC),
            errno.EEXIST,
            'create bridge "wire"',
            id="twice",
        ),
        pytest.param(
            lambda n: n.delete_link("none"), errno.ENODEV, 'delete link "none"', id="delete"
        ),
        pytest.param(lambda n: n.link_up("none"), errno.ENODEV, 'find link "none"', id="raise"),
        pytest.param(
            lambda n: n.add_route("10.77.0.1", via_link="wire"),
            errno.ENETUNREACH,
            "Nexthop has invalid gateway",
            id="kernels-own-words",
        ),
    ],
)
def test_a_refusal_names_the_operation(netlink: Netlink, operation, code: int, text: str):
    with pytest.raises(NetlinkError) as caught:
        operation(netlink)
    assert caught.value.errno == code
    assert text in str(caught.value)
    assert str(caught.value).startswith("cannot ")
    netlink.link("wire")  # the socket is fit for use


def test_a_batch_does_all_it_can_and_tells_the_first_failure(netlink: Netlink):
    def change() -> None:
        with netlink.batch():
            netlink.add_bridge("b1", mac=MAC)
            netlink.add_bridge("wire", mac=MAC)
            netlink.add_bridge("b2", mac=MAC)

    with pytest.raises(NetlinkError, match='create bridge "wire"'):
        change()
    assert {"b1", "b2"} <= {link.name for link in netlink.links()}


def test_lists_that_do_not_fit_one_packet(netlink: Netlink):
    with netlink.batch():
        for number in range(200):
            netlink.add_bridge(f"many{number}", mac=f"02:00:00:00:aa:{number:02x}")
    assert sum(link.name.startswith("many") for link in netlink.links()) == 200


def test_nftables_prints_handles_and_explains_failures(netlink: Netlink):
    nftables.run("add table inet t; add chain inet t c; add rule inet t c drop")
    assert "drop # handle" in nftables.run("list chain inet t c")
    with pytest.raises(
        NftablesError, match="cannot change nftables: Could not process rule: No such"
    ):
        nftables.run("add rule inet none c drop")
    with pytest.raises(NftablesError, match="syntax error"):
        nftables.run("nonsense")


def test_nftables_does_all_or_nothing(netlink: Netlink):
    with pytest.raises(NftablesError):
        nftables.run("add table inet one\nadd rule inet none c drop")
    assert "one" not in nftables.run("list tables")


def test_the_nft_program_says_the_same(netlink: Netlink):
    nftables.run("add table inet t; add chain inet t c; add rule inet t c drop")
    assert (
        nftables.run_program("list table inet t").split()
        == nftables.run("list table inet t").split()
    )
    with pytest.raises(NftablesError, match="No such file"):
        nftables.run_program("add rule inet none c drop")
