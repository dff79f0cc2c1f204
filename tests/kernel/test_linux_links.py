from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.netlab import Lab

from orchestra.engine.linux.links import raised_index
from orchestra.engine.linux.netlink import Netlink

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path).entered() as lab:
        yield lab


def test_a_link_that_is_up_has_the_index_that_netlink_tells() -> None:
    with Netlink() as netlink:
        assert raised_index("wire") == netlink.link("wire").index
        netlink.delete_link("wire")
        assert raised_index("wire") == 0
        netlink.add_bridge("wire", mac="02:00:00:00:00:01")
        assert raised_index("wire") == netlink.link("wire").index


def test_a_link_that_is_down_and_none_at_all_have_no_index(lab: Lab) -> None:
    with Netlink() as netlink:
        netlink.add_veth(
            "a", "b", bridge="wire", peer_netns_fd=lab.host.fd, mac="02:00:00:00:00:03", mtu=1500
        )
    assert raised_index("b") == 0
    assert raised_index("orc0123456789") == 0
    assert raised_index("lo") == 1
