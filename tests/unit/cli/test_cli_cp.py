"""cp's arguments: which side is a service's, and which containers are meant."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestra.cli import app
from orchestra.cli.choosing import choose
from orchestra.cli.commands.cp import parse, split
from orchestra.cli.transact import NotRunningError
from orchestra.errors import UsageError
from orchestra.planner.observed import ObservedContainer, ObservedState, Phase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("web:/etc", ("web", "/etc")),
        ("web:", ("web", "")),
        ("web:a:b", ("web", "a:b")),
        ("/abs:file", ("", "/abs:file")),
        ("./a:b", ("", "./a:b")),
        ("../a:b", ("", "../a:b")),
        ("plain", ("", "plain")),
        ("-", ("", "-")),
    ],
)
def test_an_argument_is_split_as_docker_does(argument: str, parts: tuple[str, str]) -> None:
    assert split(argument) == parts


def test_directions() -> None:
    assert parse("web:/a", "b") == ("web", True, ("/a", "b"))
    assert parse("web:/a", "-") == ("web", True, ("/a", None))
    assert parse("a", "web:/b") == ("web", False, ("a", "/b"))
    assert parse("-", "web:/b") == ("web", False, (None, "/b"))
    assert parse("web:-", "./-") == ("web", True, ("-", "./-"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a:/x", "b:/y"), "between services"),
        (("x", "y"), "unknown copy direction"),
        (("", "web:/y"), "source can not be empty"),
        (("web:/x", ""), "destination can not be empty"),
    ],
)
def test_what_makes_no_copy(words: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(*words)


def container(
    number: int, *, one_off: bool = False, phase: Phase = Phase.RUNNING
) -> ObservedContainer:
    return ObservedContainer(
        id=f"{number}{one_off:d}" * 32,
        name=f"shop-web-{number}",
        service="web",
        number=number,
        image="busybox",
        image_id="",
        config_hash="",
        phase=phase,
        created_at=NOW,
        one_off=one_off,
    )


STATE = ObservedState(
    project="shop",
    taken_at=NOW,
    containers=(container(2, phase=Phase.EXITED), container(1, one_off=True), container(1)),
)


@pytest.mark.parametrize(
    ("index", "everything", "found"),
    [
        (0, False, [(1, False), (2, False)]),
        (0, True, [(1, False), (2, False), (1, True)]),
        (2, False, [(2, False)]),
        (1, True, [(1, False)]),
    ],
)
def test_containers_by_number_running_or_not(
    index: int, everything: bool, found: list[tuple[int, bool]]
) -> None:
    chosen = choose(STATE, "web", index=index, everything=everything)
    assert [(each.number, each.one_off) for each in chosen] == found


@pytest.mark.parametrize(("service", "index"), [("db", 0), ("web", 3)])
def test_no_container_ends_with_docker_composes_code(service: str, index: int) -> None:
    with pytest.raises(NotRunningError, match=service) as caught:
        choose(STATE, service, index=index, everything=False)
    assert caught.value.exit_code == 1


def test_the_command_line_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["cp", "a"]) == 2
    assert app.run(["cp", "a", "b"]) == 2
    assert "unknown copy direction" in capsys.readouterr().err
