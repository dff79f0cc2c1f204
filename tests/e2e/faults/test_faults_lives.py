"""How containers end, and what follows: signals, codes, back-off, health."""

from __future__ import annotations

import itertools
import time

import pytest
from support.faults import Compose, init, kill
from support.scenario import eventually


def service(*lines: str, name: str = "web") -> str:
    return f"services:\n  {name}:\n    image: busybox\n" + "".join(
        f"    {line}\n" for line in lines
    )


STUBBORN = (
    "trap asked=1 TERM; echo ready;"
    " while :; do sleep 0.1; [ -z $$asked ] || cut -d' ' -f1 /proc/uptime; done"
)


def test_a_container_that_ignores_sigterm_is_killed_after_its_grace(compose: Compose) -> None:
    scenario = compose(
        service(
            f'command: ["sh", "-c", "{STUBBORN}"]',
            "stop_grace_period: 1s",
        )
    )
    scenario.up()
    eventually(lambda: "ready" in scenario.logs("web"), "it ignores SIGTERM")
    scenario.run("stop")
    lived = [float(line) for line in scenario.logs("--no-log-prefix", "web").splitlines()[1:]]
    assert 0.5 < lived[-1] - lived[0] < 9, "seen from inside; without a word it would be ten"
    assert scenario.container("web").exit_code == 137


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("kill -TERM $$$$; sleep 5", 143), ("kill -KILL $$$$; sleep 5", 137)],
    ids=["0", "143", "137"],
)
def test_exit_codes_are_told(compose: Compose, script: str, code: int) -> None:
    """The init of a pid namespace ignores signals without a handler: a child's end is its own."""
    text = service(f'command: ["sh", "-c", "sh -c \'{script}\'; exit $$?"]')
    scenario = compose(text)
    scenario.up()
    eventually(lambda: scenario.container("web").state == "exited", "it ends")
    assert scenario.container("web").exit_code == code


def test_an_init_killed_from_outside_is_137(compose: Compose) -> None:
    scenario = compose(service('command: ["sleep", "1000"]'))
    scenario.up()
    kill(init(scenario, "web"))
    eventually(lambda: scenario.container("web").state == "exited", "it ends")
    assert scenario.container("web").exit_code == 137


def test_a_restart_loop_backs_off_and_can_be_stopped(compose: Compose) -> None:
    scenario = compose(
        service(
            "restart: always",
            'command: ["sh", "-c", "read up _ < /proc/uptime; echo $$up; exit 1"]',
        )
    )
    scenario.up()
    eventually(lambda: len(scenario.logs("web").splitlines()) >= 5, "five lives")
    lives = [float(line.split()[-1]) for line in scenario.logs("web").splitlines()]
    pauses = [after - before for before, after in itertools.pairwise(lives)]
    assert pauses[3] > 0.75, f"each pause is twice the one before, and begins with 0.1: {pauses}"
    scenario.run("stop", "web")
    count = len(scenario.logs("web").splitlines())
    time.sleep(2)
    assert len(scenario.logs("web").splitlines()) == count
    assert scenario.services() == []


HEALTH = "healthcheck: {{test: {test}, interval: 1s, timeout: {timeout}s, retries: 1}}"


@pytest.mark.parametrize(
    ("test", "what"),
    [
        pytest.param('["CMD", "sleep", "1000"]', "hangs", id="hangs"),
        pytest.param('["CMD-SHELL", "yes; sleep 1000"]', "floods", id="floods"),
    ],
)
def test_a_mad_healthcheck_is_unhealthy_and_leaves_nothing(
    compose: Compose, test: str, what: str
) -> None:
    scenario = compose(
        service('command: ["sleep", "500"]', HEALTH.format(test=test, timeout=1), 'restart: "no"')
    )
    scenario.up()
    eventually(lambda: scenario.container("web").health == "unhealthy", what)
    assert scenario.services() == ["web"]
    time.sleep(1.5)  # some probes more

    def are_ended() -> bool:
        words = ("sh", "-c", "ps | grep -c '[s]leep 1000\\|[y]es'")
        return int(scenario.exec("web", *words, code=None).out) <= 4

    eventually(are_ended, "what a probe left running is ended with it")


@pytest.mark.parametrize(
    ("words", "healed"),
    [
        pytest.param((), True, id="default"),
        pytest.param(('restart: "no"',), False, id="restart-no"),
        pytest.param(("x-orchestra: {on_unhealthy: ignore}",), False, id="ignore"),
    ],
)
def test_healing_is_as_asked(compose: Compose, words: tuple[str, ...], healed: bool) -> None:
    scenario = compose(
        service(
            "stop_signal: SIGKILL",
            'command: ["sleep", "1000"]',
            HEALTH.format(test='["CMD", "test", "!", "-e", "/ill"]', timeout=60),
            *words,
        )
    )
    scenario.up("--wait")
    before = scenario.started("web")
    scenario.exec("web", "touch", "/ill")
    if healed:
        eventually(lambda: scenario.started_since("web", before), "it is healed")
        return
    eventually(lambda: scenario.container("web").health == "unhealthy", "unhealthy")
    time.sleep(1)
    assert scenario.started("web") == before
