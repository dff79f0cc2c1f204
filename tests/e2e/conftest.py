"""The ``scenario`` fixture: a test's own project, taken down and checked for leaks afterwards."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from support.scenario import Scenario, make_scenario, remove_scenario
from support.standins import Standins

ARTIFACTS = Path(__file__).parents[2] / ".artifacts"
CURRENT = pytest.StashKey[list[Scenario]]()
KEPT = ("*.json", "*.jsonl", "*.log")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies here is end to end."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a failed scenario said and wrote."""
    report = yield
    scenarios = item.stash.get(CURRENT, [])
    if report.failed and scenarios:
        report.sections.append(("commands", "\n".join(scenarios[0].transcript)))
        _keep(item.name, scenarios[0])
    return report


def _keep(name: str, scenario: Scenario) -> None:
    place = ARTIFACTS / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "transcript.txt").write_text("\n".join(scenario.transcript))
    for pattern in KEPT:
        for path in scenario.root.glob(f"data/projects/**/{pattern}"):
            target = place / path.relative_to(scenario.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


@pytest.fixture
def scenario_of(
    request: pytest.FixtureRequest, standins: Standins
) -> Iterator[Callable[[Path], Scenario]]:
    """Make a scenario out of any directory."""
    made: list[Scenario] = []
    request.node.stash[CURRENT] = made

    def make(source: Path) -> Scenario:
        scenario = make_scenario(source, standins.environment)
        made.append(scenario)
        return scenario

    yield make
    for scenario in made:
        remove_scenario(scenario)


@pytest.fixture
def scenario(request: pytest.FixtureRequest, scenario_of: Callable[[Path], Scenario]) -> Scenario:
    """Return the project whose files lie beside the test."""
    return scenario_of(request.path.parent)
