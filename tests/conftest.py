"""What every test shares: the import path, the golden files, and CI's rule about skipping."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# on a busy machine a time says nothing
settings.register_profile("no hurry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no hurry")
TESTS = Path(__file__).parent
for place in (TESTS.parent, TESTS):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from support.standins import Standins, start_standins  # noqa: E402

from orchestra.engine.linux import host  # noqa: E402

CI = os.environ.get("CI", "").lower() in {"1", "true"}
NEEDS_ROOT = ("kernel", "runtime", "e2e", "browser")
MAY_NOT_SKIP_IN_CI = (*NEEDS_ROOT, "registry", "oracle")
# No host can have all of these, and none can install what it lacks: these are no skips.
_FOREIGN = {
    "cgroup_v1" if host.cgroups().mode == "v2" else "cgroup_v2",
    *(() if os.environ.get("ORCHESTRA_TEST_DISK") else ("disk",)),
    *(() if host.has_apparmor() else ("apparmor",)),
    *(() if host.has_selinux() else ("selinux",)),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is about another kernel is left out; without root, what needs the kernel at all."""
    foreign = [item for item in items if any(item.get_closest_marker(m) for m in _FOREIGN)]
    if foreign:
        config.hook.pytest_deselected(items=foreign)
        items[:] = [item for item in items if item not in foreign]
    if os.geteuid() == 0:
        return
    for item in items:
        if any(item.get_closest_marker(name) for name in NEEDS_ROOT):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def _fail_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure, with the skip's reason."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"in CI a skip is a failure: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    marked = any(item.get_closest_marker(name) for name in MAY_NOT_SKIP_IN_CI)
    if CI and marked and report.skipped and not hasattr(report, "wasxfail"):
        _fail_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that skips itself as a whole would take its markers with it."""
    report = yield
    if CI and report.skipped:
        _fail_skipped(report)
    return report


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of that name below tests/golden, byte for byte."""

    def compare(name: str, text: str) -> None:
        path = TESTS / "golden" / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no golden file {name}: write it with `make golden`"
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session")
def standins() -> Standins:
    """The registry with the images that tests use: the local one, or none where the real answers."""
    return start_standins()
