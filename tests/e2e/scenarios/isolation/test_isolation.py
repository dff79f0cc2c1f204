"""Two projects of the same files, side by side."""

from __future__ import annotations

from support.scenario import Scenario, eventually


def test_two_projects_share_no_name_address_volume_or_fate(scenario: Scenario) -> None:
    other = scenario.sibling()
    scenario.up()
    other.up()
    ours = scenario.exec("web", "hostname", "-i").out.strip()
    theirs = other.exec("web", "hostname", "-i").out.strip()
    assert ours != theirs

    def fetch(url: str) -> str:
        return scenario.exec("web", "timeout", "10", "wget", "-qO-", url, code=None).out.strip()

    eventually(lambda: fetch("http://web/") == ours, "the own service answers")
    assert fetch(f"http://{theirs}/") == ""
    scenario.exec("web", "touch", "/data/ours")
    other.exec("web", "test", "!", "-e", "/data/ours")
    scenario.run("down", "-v")
    assert other.services() == ["web"]
