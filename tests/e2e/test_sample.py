"""The sample as a user meets it: brought up once, opened in a browser, broken, taken down.

The tests share one running stack and follow the walk of the sample's README.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from support.scenario import (
    PATIENCE_SECONDS,
    Result,
    Scenario,
    eventually,
    make_scenario,
    not_on_peer,
    remove_scenario,
)
from support.standins import Standins

SAMPLE = Path(__file__).parents[2] / "examples/compose_example"
PORT = 8000
BUILD_SECONDS = 600
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
)
QUICK_PROBES = """\
services:
  mongodb:
    healthcheck: {interval: 1s, timeout: 10s, retries: 2}
"""
pytestmark = pytest.mark.timeout(BUILD_SECONDS)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def sample(standins: Standins) -> Iterator[Scenario]:
    """Build the sample and bring it up; its port moves only where 8000 is taken."""
    scenario = make_scenario(SAMPLE, standins.environment)
    if is_free(PORT):
        scenario.environment["PORT"] = str(PORT)
    else:
        scenario.edit(f"{PORT}:80", "${PORT}:80")
    try:
        scenario.run("up", "-d", "--build", "--wait", seconds=BUILD_SECONDS)
        eventually(lambda: answers(scenario), "the page is served")
        yield scenario
    finally:
        remove_scenario(scenario)


def url(sample: Scenario, path: str = "/") -> str:
    return f"http://localhost:{sample.environment['PORT']}{path}"


def fetch(sample: Scenario, path: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url(sample, path), data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: bytes = response.read()
    return answer


def answers(sample: Scenario) -> bool:
    """Whether the page and the backend behind it are served: the page asks once, as it opens."""
    try:
        return b'id="root"' in fetch(sample, "/") and isinstance(items(sample), list)
    except (OSError, ValueError):
        return False


def items(sample: Scenario) -> object:
    return json.loads(fetch(sample, "/api/items"))


def ask(sample: Scenario, expression: str) -> Result:
    shell = ("mongosh", "composexample", "--quiet", "--eval", expression)
    return sample.exec("mongodb", *shell, code=None)


def is_stored(sample: Scenario, name: str) -> bool:
    """Ask the database itself."""
    done = ask(sample, "db.items.find()")
    return done.code == 0 and f"'{name}'" in done.out


def can_add(sample: Scenario, name: str) -> bool:
    try:
        return bool(json.loads(fetch(sample, "/api/items", {"name": name}))["name"] == name)
    except OSError:
        return False


@pytest.fixture
def page() -> Iterator[Page]:
    """Open an empty page in headless Chromium."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        yield page
        browser.close()


def test_four_services_run_under_their_container_names(sample: Scenario) -> None:
    assert sample.services() == ["backend", "frontend", "mongodb", "nginx"]
    names = {each.service: each.name for each in sample.containers()}
    assert names == {
        "backend": "node_container",
        "frontend": "react_container",
        "mongodb": "mongo_container",
        "nginx": "nginx_container",
    }
    assert sample.container("mongodb").health == "healthy"


def test_the_backend_came_only_after_a_healthy_database(sample: Scenario) -> None:
    said = sample.logs("backend")
    assert "connected to mongodb://mongodb:27017/composexample" in said
    assert "cannot start" not in said


def test_the_images_of_the_article_are_there(sample: Scenario) -> None:
    said = sample.run("images").out
    for service in ("backend", "frontend", "nginx"):
        assert f"{sample.project}-{service}" in said
    assert "mongo" in said


def test_the_running_sample_has_nothing_to_do(sample: Scenario) -> None:
    not_on_peer("plan")
    sample.run("plan", "--detailed-exitcode")


@pytest.mark.browser
def test_an_item_added_in_the_browser_reaches_the_database(sample: Scenario, page: Page) -> None:
    page.goto(url(sample))
    page.wait_for_selector("#status:has-text('ready')")
    page.fill("#item-name", "from the browser")
    page.click("#item-add")
    page.wait_for_selector("#items li:has-text('from the browser')")
    assert is_stored(sample, "from the browser")


@pytest.mark.browser
def test_items_outlive_down_and_up(sample: Scenario, page: Page) -> None:
    assert can_add(sample, "kept")
    sample.run("down")
    assert sample.containers() == ()
    sample.run("up", "-d", "--wait")
    eventually(lambda: answers(sample), "the page is served again")
    assert is_stored(sample, "kept")
    page.goto(url(sample))
    page.wait_for_selector("#items li:has-text('kept')")


def test_a_killed_database_comes_back_with_its_data(sample: Scenario) -> None:
    assert can_add(sample, "before the kill")
    # A database promises nothing of the last moment's writes to one who kills it.
    assert ask(sample, "db.adminCommand({ fsync: 1 })").code == 0
    before = sample.started("mongodb")
    os.kill(sample.init_pid("mongodb"), signal.SIGKILL)
    eventually(lambda: sample.started_since("mongodb", before), "mongodb is started again")
    eventually(lambda: is_stored(sample, "before the kill"), "it has its data")
    eventually(lambda: can_add(sample, "after the kill"), "the backend reaches it again")


def test_an_unhealthy_database_is_healed(sample: Scenario) -> None:
    not_on_peer("restart the unhealthy")
    others = [sample.started(name) for name in ("backend", "frontend", "nginx")]
    (sample.directory / "compose.override.yaml").write_text(QUICK_PROBES)
    sample.run("up", "-d", "--wait")
    assert [sample.started(name) for name in ("backend", "frontend", "nginx")] == others
    before = sample.started("mongodb")
    os.kill(sample.init_pid("mongodb"), signal.SIGSTOP)  # it lives, and answers no ping
    again = lambda: sample.started_since("mongodb", before)  # noqa: E731
    eventually(again, "mongodb is started again", seconds=150)
    eventually(lambda: can_add(sample, "after the healing"), "the backend reaches it again")


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_the_sample_moves_to_another_runtime(sample: Scenario, runtime: str) -> None:
    not_on_peer("--runtime, and the settings")
    (sample.directory / "compose.override.yaml").unlink(missing_ok=True)
    assert can_add(sample, f"before {runtime}")
    sample.set_runtime(runtime)
    sample.run("up", "-d", "--wait")
    services = ("mongodb", "backend", "frontend", "nginx")
    assert [sample.runtime(name) for name in services] == [runtime] * len(services)
    eventually(lambda: answers(sample), "the page is served again")
    eventually(lambda: is_stored(sample, f"before {runtime}"), "it has its data")
    before = sample.started("mongodb")
    os.kill(sample.init_pid("mongodb"), signal.SIGKILL)
    eventually(lambda: sample.started_since("mongodb", before), "mongodb is started again")
    eventually(lambda: can_add(sample, f"on {runtime}"), "the backend reaches it again")
