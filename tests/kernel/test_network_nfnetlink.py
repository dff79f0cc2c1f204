"""The one table that a start writes itself, read by libnftables."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.netlab import Lab

from orchestra.engine.linux import nftables
from orchestra.engine.linux.nfnetlink import redirect_output

pytestmark = pytest.mark.kernel

SAME = """
table ip orchestra {
    chain output {
        type nat hook output priority -100; policy accept;
        ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:20053
        ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:20053
    }
}
"""


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[None]:
    with Lab(tmp_path).entered():
        yield


def listed() -> str:
    return re.sub(r" # handle \d+", "", nftables.run("list ruleset"))


def test_it_is_what_nft_would_have_made() -> None:
    redirect_output("127.0.0.11", 53, to_port=20053)
    ours = listed()
    nftables.run("delete table ip orchestra")
    nftables.run(SAME)
    assert ours == listed()


def test_it_leads_there() -> None:
    redirect_output("127.0.0.11", 53, to_port=20053)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.11", 20053))
        server.settimeout(30)
        client.sendto(b"question", ("127.0.0.11", 53))
        assert server.recv(100) == b"question"


def test_a_refusal_is_told() -> None:
    """A chain of that name without a hook cannot become one with it."""
    nftables.run("add table ip orchestra; add chain ip orchestra output")
    with pytest.raises(OSError, match="cannot lead to the resolver"):
        redirect_output("127.0.0.11", 53, to_port=20053)
    assert "dnat" not in listed()
