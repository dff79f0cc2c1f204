"""up pulls an image again once its pull policy says that the last pull is too long ago."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from support.scenario import Scenario, not_on_peer


def test_an_image_is_pulled_again_after_a_day(scenario: Scenario) -> None:
    not_on_peer("--json plans")
    scenario.edit("image: busybox", "image: busybox\n    pull_policy: daily")
    scenario.up()
    pull = "pull image:busybox"
    assert pull not in _steps(scenario)
    _last_pull(scenario, timedelta(hours=25))
    assert pull in _steps(scenario)
    scenario.up()
    assert pull not in _steps(scenario)


def test_pull_leaves_alone_what_is_never_pulled(scenario: Scenario) -> None:
    scenario.up()
    before = _pulled(scenario)
    _last_pull(scenario, timedelta(days=1))
    scenario.edit("image: busybox", "image: busybox\n    pull_policy: never")
    scenario.run("pull")
    assert _pulled(scenario) < before
    scenario.run("pull", "--policy", "always")
    assert _pulled(scenario) >= before


def _steps(scenario: Scenario) -> set[str]:
    return {step["id"] for step in json.loads(scenario.run("plan", "--json").out)["steps"]}


def _pulled(scenario: Scenario) -> datetime:
    index = json.loads((scenario.root / "data/images/index.json").read_text())
    (text,) = (
        manifest["annotations"]["org.orchestra.pulled-at"] for manifest in index["manifests"]
    )
    return datetime.fromisoformat(text)


def _last_pull(scenario: Scenario, ago: timedelta) -> None:
    """Let the image have been pulled some time ago."""
    path = scenario.root / "data/images/index.json"
    index = json.loads(path.read_text())
    for manifest in index["manifests"]:
        moment = datetime.now(UTC) - ago
        manifest["annotations"]["org.orchestra.pulled-at"] = moment.isoformat(timespec="seconds")
    path.write_text(json.dumps(index))
