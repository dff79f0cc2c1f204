"""Which of the host's chains would drop what we forward, read from nft's own listing."""

from __future__ import annotations

import pytest

from orchestra.engine.network.firewall import HostChain, dropping_chains

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
