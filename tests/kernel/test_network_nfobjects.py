"""Tables of nftables looked at and added to in the kernel's messages, against libnftables."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.netlab import Lab

from orchestra.engine.linux import nftables
from orchestra.engine.linux.nfobjects import Chain, add_members, count_rules, list_chains
from orchestra.engine.network import firewall
from orchestra.engine.network.members import member_of
from orchestra.engine.network.naming import TABLE_PREFIX
from orchestra.engine.network.ruleset import RULE_COUNT, Element, add_text, with_closed

pytestmark = pytest.mark.kernel

DOCKER = """
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER-USER {
	}
}
table ip6 filter {
	chain FORWARD {
		type filter hook forward priority filter; policy accept;
	}
}
"""
FIREWALLD = """
table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
	}
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
	}
}
"""
OWN = """
table inet orchestra_0123456789 {
	chain transit {
		type filter hook forward priority filter; policy drop;
	}
}
"""
HAND_MADE = """
table inet mine {
	chain through {
		type filter hook forward priority filter; policy drop;
	}
	chain in {
		type filter hook input priority filter; policy drop;
	}
}
"""


TABLE, TWIN = f"{TABLE_PREFIX}one", f"{TABLE_PREFIX}two"


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[None]:
    with Lab(tmp_path).entered():
        yield


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(DOCKER, [("ip", "filter", "DOCKER-USER")], id="docker"),
        pytest.param(FIREWALLD, [("inet", "firewalld", "filter_FORWARD")], id="firewalld"),
        pytest.param(OWN, [], id="our-own"),
        pytest.param(HAND_MADE, [("inet", "mine", "through")], id="hand-made"),
    ],
)
def test_chains_that_drop(listing: str, expected: list[tuple[str, str, str]]) -> None:
    nftables.run(listing)
    found = firewall.dropping_chains(list_chains())
    assert [(chain.family, chain.table, chain.name) for chain in found] == expected


def test_a_chain_of_a_bridge_and_one_without_a_hook() -> None:
    nftables.run(
        "add table bridge t; add chain bridge t f { type filter hook forward priority 0; }"
        "; add chain bridge t plain"
    )
    assert set(list_chains()) == {
        Chain("bridge", "t", "f", forwards=True),
        Chain("bridge", "t", "plain"),
    }


def test_a_missing_rule_is_missed() -> None:
    firewall.ensure_table(TABLE, ())
    assert firewall.has_table(TABLE)
    assert count_rules("inet", TABLE) == RULE_COUNT
    nftables.run(f"flush chain inet {TABLE} arrival")
    assert not firewall.has_table(TABLE)
    assert count_rules("inet", "nobody") == 0


LINK, MAC = '"orcv0123456789a"', "02:00:0a:0b:0c:0d"
ELEMENTS = [
    Element(family="bridge", container="guarded", key=LINK),
    Element(family="bridge", container="only4", key=LINK),
    Element(family="bridge", container="ports4", key=f"{LINK} . {MAC} . 10.1.2.3"),
    Element(family="bridge", container="ports4", key=f"{LINK} . {MAC} . 0.0.0.0"),
    Element(family="bridge", container="ports6", key=f"{LINK} . {MAC} . fd00::12"),
    Element(family="inet", container="published", key="tcp . 8080", value="10.1.2.3 . 80"),
    Element(family="inet", container="published", key="sctp . 65535", value="10.1.2.3 . 1"),
    Element(
        family="inet",
        container="published_at",
        key="127.0.0.1 . udp . 53",
        value="10.1.2.3 . 53",
    ),
    Element(family="inet", container="own", key="10.1.2.3 . tcp . 8080"),
    Element(family="inet", container="closed6", key="tcp . 8080"),
    Element(family="inet", container="closed_at6", key="fd00::1 . tcp . 8080"),
]


def listed(table: str) -> list[str]:
    """Return what the table has, whatever it is called, in the order in which it was made."""
    text = "".join(nftables.run(f"list table {family} {table}") for family in ("inet", "bridge"))
    return re.sub(r" # handle \d+", "", text).replace(table, "TABLE").splitlines()


def test_an_element_is_what_nft_would_have_added() -> None:
    firewall.ensure_table(TABLE, ())
    firewall.ensure_table(TWIN, ())
    empty = listed(TABLE)
    for element in ELEMENTS:
        add_members(member_of(TABLE, each) for each in with_closed([element]))
        nftables.run(add_text(TWIN, [element]))
        assert listed(TABLE) == listed(TWIN)
    assert listed(TABLE) != empty


def test_many_elements_go_at_once() -> None:
    """More than one message holds."""
    firewall.ensure_table(TABLE, ())
    ports = [
        Element(
            family="inet", container="published", key=f"tcp . {port}", value=f"10.1.2.3 . {port}"
        )
        for port in range(1000, 1600)
    ]
    firewall.put(TABLE, ports)
    assert len(firewall.published(TABLE)) == len(ports)


def test_one_that_cannot_be_added_adds_none() -> None:
    firewall.ensure_table(TABLE, ())
    first, other = (
        Element(family="inet", container="published", key="tcp . 80", value=f"10.1.2.{n} . 80")
        for n in (3, 4)
    )
    firewall.put(TABLE, [first])
    more = Element(family="inet", container="own", key="10.1.2.4 . tcp . 80")
    with pytest.raises(FileExistsError):
        add_members([member_of(TABLE, more), member_of(TABLE, other)])
    assert "elements" not in nftables.run(f"list set inet {TABLE} own")
    with pytest.raises(OSError) as caught:
        add_members([member_of("nobody", more)])
    assert caught.value.errno == errno.ENOENT
    firewall.put(TABLE, [other])
    assert firewall.published(TABLE) == {("published", "tcp . 80"): "10.1.2.4 . 80"}


@pytest.mark.parametrize(
    ("container", "key"),
    [("sources4", f"{LINK} . 10.0.0.0/8"), ("own", "10.1.2.3 . icmp . 1"), ("only4", "a . b")],
)
def test_what_is_no_plain_element_is_not_written(container: str, key: str) -> None:
    with pytest.raises(ValueError, match=r"intervals|is no|zip"):
        member_of(TABLE, Element(family="inet", container=container, key=key))
