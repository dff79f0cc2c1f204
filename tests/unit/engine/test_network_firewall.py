"""Which of the host's chains would drop what we forward, read from nft's own listing."""

from __future__ import annotations

import pytest

from orchestra.engine.network.firewall import HostChain, dropping_chains
from orchestra.engine.network.ruleset import port_elements
from orchestra.errors import NetworkError
from orchestra.planner.desired import PortSpec

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


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param(DOCKER, (HostChain("ip", "filter", "DOCKER-USER"),), id="docker"),
        pytest.param(
            FIREWALLD, (HostChain("inet", "firewalld", "filter_FORWARD"),), id="firewalld"
        ),
        pytest.param(OWN, (), id="our-own"),
        pytest.param(HAND_MADE, (HostChain("inet", "mine", "through"),), id="hand-made"),
    ],
)
def test_chains_that_drop(listing: str, expected: tuple[HostChain, ...]):
    assert dropping_chains(listing) == expected


@pytest.mark.parametrize(
    ("host_ip", "expected"),
    [
        ("::", ["closed6 tcp . 81"]),
        ("0:0::0", ["closed6 tcp . 81"]),
        ("FD00::0:1", ["closed_at6 fd00::1 . tcp . 81"]),
        ("", ["own 10.0.0.2 . tcp . 81", "published tcp . 81"]),
        ("127.0.0.1", ["own 10.0.0.2 . tcp . 81", "published_at 127.0.0.1 . tcp . 81"]),
    ],
)
def test_an_address_is_the_same_however_it_is_written(host_ip: str, expected: list[str]):
    port = PortSpec(container_port=80, host_port=81, host_ip=host_ip)
    found = port_elements([port], "10.0.0.2")
    assert [f"{element.container} {element.key}" for element in found] == expected


@pytest.mark.parametrize("host_ip", ["fe80::1%x }; flush ruleset; #", "127.0.0.1 }; flush"])
def test_nothing_but_an_address_gets_into_a_command(host_ip: str):
    port = PortSpec(container_port=80, host_port=81, host_ip=host_ip)
    with pytest.raises(NetworkError, match="is no address"):
        port_elements([port], "10.0.0.2")
