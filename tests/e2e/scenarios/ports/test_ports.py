"""Published ports, from the host's loopback and from its other addresses."""

from __future__ import annotations

import functools
import socket
import urllib.request

import pytest
from support.scenario import Scenario, eventually


def host_address() -> str:
    """Return an address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a source address
        except OSError:
            pytest.skip("this host has no address but loopback")
        return str(probe.getsockname()[0])


def page(address: str, port: str) -> str:
    with urllib.request.urlopen(f"http://{address}:{port}/", timeout=20) as response:
        text: bytes = response.read()
    return text.decode().strip()


def serves(address: str, port: str, text: str) -> bool:
    try:
        return page(address, port) == text
    except OSError:
        return False


def test_a_port_on_all_addresses_answers_on_loopback_and_elsewhere(scenario: Scenario) -> None:
    scenario.up()
    port = scenario.environment["OTHER_PORT"]
    for address in ("127.0.0.1", "localhost", host_address()):
        holds = functools.partial(serves, address, port, "everywhere")
        eventually(holds, f"{address} answers")


def test_a_port_on_loopback_answers_there_only(scenario: Scenario) -> None:
    scenario.up()
    port = scenario.environment["PORT"]
    eventually(lambda: serves("127.0.0.1", port, "local"), "loopback answers")
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        page(host_address(), port)


def test_a_port_without_a_host_side_gets_a_free_one(scenario: Scenario) -> None:
    scenario.up()
    (publisher, *_) = scenario.container("anywhere").publishers
    assert publisher["TargetPort"] == 80
    port = str(publisher["PublishedPort"])
    assert int(port) > 0
    eventually(lambda: serves("127.0.0.1", port, "anywhere"), "the chosen port answers")


def test_containers_reach_a_published_port_through_the_host(scenario: Scenario) -> None:
    scenario.up()
    url = f"http://{host_address()}:{scenario.environment['OTHER_PORT']}/"
    ask = ("timeout", "20", "wget", "-qO-", url)
    answers = lambda: scenario.exec("local", *ask, code=None).out == "everywhere\n"  # noqa: E731
    eventually(answers, "the other service answers")


def test_a_port_is_free_again_after_down(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("down")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("0.0.0.0", int(scenario.environment["OTHER_PORT"])))


def test_port_says_where_a_port_is_published(scenario: Scenario) -> None:
    scenario.up()
    said = {
        name: scenario.run("port", name, "80").out for name in ("local", "everywhere", "anywhere")
    }
    assert said["local"] == f"127.0.0.1:{scenario.environment['PORT']}\n"
    assert said["everywhere"] == f"0.0.0.0:{scenario.environment['OTHER_PORT']}\n"
    address, _, port = said["anywhere"].strip().rpartition(":")
    assert address == "0.0.0.0"
    eventually(lambda: serves("127.0.0.1", port, "anywhere"), "the chosen port answers")
    assert "81/tcp" in scenario.run("port", "local", "81", code=1).err
    assert "80/udp" in scenario.run("port", "--protocol", "udp", "local", "80", code=1).err
