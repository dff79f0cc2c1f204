"""Names on a project's networks."""

from __future__ import annotations

import pytest
from support.scenario import Scenario, eventually


def fetches(scenario: Scenario, service: str, host: str) -> bool:
    done = scenario.exec(service, "timeout", "10", "wget", "-qO-", f"http://{host}/", code=None)
    return done.code == 0 and done.out == "served\n"


@pytest.mark.parametrize("name", ["server", "server-under-another-name", "alias.example"])
def test_a_service_answers_to_its_name_container_name_and_alias(
    scenario: Scenario, name: str
) -> None:
    scenario.up()
    eventually(lambda: fetches(scenario, "client", name), f"{name} is reached")


def test_a_service_on_another_network_has_neither_name_nor_way(scenario: Scenario) -> None:
    scenario.up()
    eventually(lambda: fetches(scenario, "client", "server"), "the server is up")
    addresses = scenario.exec("server", "hostname", "-i").out.split()
    assert addresses
    for host in ("server", *addresses):
        assert not fetches(scenario, "stranger", host)


def test_an_unknown_name_is_answered_at_once(scenario: Scenario) -> None:
    scenario.up()

    def is_answered() -> bool:
        done = scenario.exec("client", "nslookup", "no-such-service", code=1)
        return "no-such-service" in done.text and "timed out" not in done.text

    eventually(is_answered, "the resolver says that there is no such name")


def test_hostname_and_own_names_inside(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.exec("server", "hostname").out == "chosen\n"
    assert "chosen" in scenario.exec("server", "cat", "/etc/hosts").out
    assert scenario.exec("client", "cat", "/etc/resolv.conf").out.count("127.0.0.11") == 1


def test_ps_fills_a_template(scenario: Scenario) -> None:
    scenario.up()
    template = '{{.Service}} {{.State}} {{.Label "com.docker.compose.container-number"}}'
    said = scenario.run("ps", "--format", template, "server", "client").out
    assert sorted(said.splitlines()) == ["client running 1", "server running 1"]
