"""What of a published port gets into a firewall: addresses, and nothing else."""

from __future__ import annotations

import pytest

from orchestra.engine.network.ruleset import port_elements
from orchestra.errors import NetworkError
from orchestra.planner.desired import PortSpec


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
