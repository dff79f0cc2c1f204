"""What people and programs read: tables, JSON lines, plans, errors, progress, log lines."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestra.cli.declare import Exit
from orchestra.cli.options import GlobalOptions
from orchestra.cli.render import progress
from orchestra.cli.render.errors import docker_codes, lines_of, show
from orchestra.cli.render.gotemplate import print_formatted
from orchestra.cli.render.logs import LogPrinter
from orchestra.cli.render.plan import render_json, render_text
from orchestra.cli.render.tables import (
    ago,
    moment_text,
    port_text,
    print_json_lines,
    print_table,
    process_row,
    ps_json,
    ps_row,
    size_text,
    status_of,
)
from orchestra.cli.render.terminal import printable, tame, wants_colour
from orchestra.engine.container.failures import StartError
from orchestra.engine.events import (
    Event,
    LogLine,
    Progress,
    StepDone,
    StepFailed,
    StepStarted,
    StepWaiting,
    Warned,
)
from orchestra.engine.target import ContainerProcess
from orchestra.errors import (
    ContainerError,
    EngineError,
    GateError,
    Location,
    SpecError,
    SpecErrors,
    StepErrors,
)
from orchestra.planner.desired import PortSpec, VolumeSpec
from orchestra.planner.observed import Health, ObservedContainer, Phase
from orchestra.planner.plan import Plan
from orchestra.planner.steps import CreateVolume, RemoveVolume, Step, StepId

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONTAINER = ObservedContainer(
    id="ab" * 32,
    name="shop-web-1",
    service="web",
    number=1,
    image="nginx",
    image_id="sha256:00",
    config_hash="v1:",
    phase=Phase.EXITED,
    exit_code=3,
    created_at=NOW,
    finished_at=NOW,
    command="nginx -g 'daemon off;'",
    ports=(PortSpec(container_port=80, host_port=8000), PortSpec(container_port=90)),
    volumes=("shop_data",),
    labels={"b": "2", "a": "1"},
)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations_are_told_in_dockers_words(seconds: float, text: str) -> None:
    assert ago(NOW, NOW + timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (999, "999B"), (1000, "1kB"), (142_300_000, "142MB")]
)
def test_sizes_have_three_digits(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("phase", "health", "start"),
    [
        (Phase.CREATED, Health.NONE, "Created"),
        (Phase.LOST, Health.NONE, "Lost"),
        (Phase.EXITED, Health.NONE, "Exited (3) "),
        (Phase.RUNNING, Health.NONE, "Up "),
        (Phase.RUNNING, Health.HEALTHY, "Up "),
        (Phase.PAUSED, Health.NONE, "Up "),
    ],
)
def test_states_are_told_in_dockers_words(phase: Phase, health: Health, start: str) -> None:
    text = status_of(replace(CONTAINER, phase=phase, health=health, started_at=NOW))
    assert text.startswith(start)
    assert text.endswith("(healthy)") == (health is Health.HEALTHY)
    assert text.endswith("(Paused)") == (phase is Phase.PAUSED)


def test_a_row_cuts_a_long_command_at_twenty() -> None:
    row = ps_row(CONTAINER)
    assert row[2] == '"nginx -g \'daemon of…"'
    assert row[6] == "0.0.0.0:8000->80/tcp, 90/tcp"


def test_ports_name_the_address_they_are_published_on() -> None:
    port = PortSpec(container_port=53, host_port=53, host_ip="127.0.0.1", protocol="udp")
    assert port_text(port) == "127.0.0.1:53->53/udp"


def test_ps_json_has_docker_composes_fields() -> None:
    shown = ps_json(CONTAINER, "shop")
    assert shown["ID"] == "ab" * 6
    assert shown["State"] == "exited"
    assert shown["ExitCode"] == 3
    assert shown["Labels"] == "a=1,b=2"
    assert shown["Publishers"] == [
        {"URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8000, "Protocol": "tcp"},
        {"URL": "0.0.0.0", "TargetPort": 90, "PublishedPort": 0, "Protocol": "tcp"},
    ]


def test_tables_align_and_tame_what_they_show(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "X"), [("a\x1b[2J", "1"), ("b", "")])
    assert capsys.readouterr().out == "NAME       X\na\\x1b[2J   1\nb\n"


@pytest.mark.parametrize(
    "template", ["{{.Command}}", "{{json .Command}}", "json", "table {{.Command}}"]
)
def test_no_format_lets_a_command_drive_the_terminal(
    capsys: pytest.CaptureFixture[str], template: str
) -> None:
    print_formatted(template, {"Command": "COMMAND"}, [{"Command": "a\x1b[2J\x7f\x9b2Jb\u00e9"}])
    shown = capsys.readouterr().out
    assert "\u00e9" in shown
    assert not set(shown.replace("\n", "")) & {chr(c) for c in (*range(32), *range(127, 160))}


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_lines([{"a": "ä"}, {"b": 1}])
    assert capsys.readouterr().out == '{"a":"ä"}\n{"b":1}\n'


def test_moments_are_rfc_3339() -> None:
    assert moment_text(NOW) == "2026-01-02T03:04:05Z"


def _volume(key: str) -> CreateVolume:
    return CreateVolume(volume=VolumeSpec(key=key, name=f"shop_{key}"), reason="no such volume")


def test_an_empty_plan_is_a_sentence() -> None:
    empty: Plan[Step] = Plan.of(())
    assert render_text(empty) == "nothing to do: everything is as it should be\n"
    assert json.loads(render_json(empty))["empty"] is True


def test_a_plan_counts_its_steps_and_names_what_is_lost() -> None:
    removal = RemoveVolume(key="data", name="shop_data", reason="definition changed")
    create = replace(_volume("data"), after=(removal.id,))
    plan: Plan[Step] = Plan.of((removal, create))
    lines = render_text(plan).splitlines()
    assert lines[0] == "remove volume:data  # definition changed"
    assert lines[-2:] == ["2 steps", "this plan destroys data"]
    steps = json.loads(render_json(plan))["steps"]
    assert [step["id"] for step in steps] == ["remove volume:data", "create volume:data"]
    assert steps[1]["after"] == ["remove volume:data"]


def test_an_error_has_place_message_and_hint() -> None:
    error = SpecError(
        "no such \x1b[31mthing", location=Location("a.yaml", 3, 5, "services.web"), hint="go"
    )
    assert lines_of(error) == [
        "a.yaml:3:5: services.web: no such \\x1b[31mthing",
        "  hint: go",
    ]


def test_every_error_of_a_load_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    errors = SpecErrors((SpecError("one", hint="a"), SpecError("two")))
    assert show(errors, debug=False) == 3
    assert capsys.readouterr().err.splitlines() == ["one", "  hint: a", "two"]


def test_several_failed_steps_end_with_the_code_of_the_first() -> None:
    assert show(StepErrors((GateError("never ready"), EngineError("no"))), debug=False) == 6


def test_causes_are_shown_for_debugging_only(capsys: pytest.CaptureFixture[str]) -> None:
    error = EngineError("no")
    error.__cause__ = OSError("the cause")
    show(error, debug=False)
    assert "the cause" not in capsys.readouterr().err
    show(error, debug=True)
    assert "the cause" in capsys.readouterr().err


@pytest.mark.parametrize("code", [125, 126, 127])
def test_a_process_that_does_not_start_gives_dockers_code(code: int) -> None:
    with pytest.raises(Exit) as caught, docker_codes(debug=False):
        raise StartError("not found", code=code)
    assert caught.value.code == code


def test_what_keeps_an_exec_from_starting_is_its_own_code() -> None:
    for code, ends in ((125, 126), (126, 126), (127, 127)):
        with pytest.raises(Exit) as caught, docker_codes(debug=False, unstarted=126):
            raise StartError("no such user", code=code)
        assert caught.value.code == ends


def test_other_errors_keep_their_own_code() -> None:
    with pytest.raises(ContainerError), docker_codes(debug=False):
        raise ContainerError("does not run")
    with pytest.raises(StepErrors), docker_codes(debug=False, otherwise=125):
        raise StepErrors((ContainerError("a dependency"),))
    with pytest.raises(Exit) as caught, docker_codes(debug=False, otherwise=125):
        raise ContainerError("no such user")
    assert caught.value.code == 125


STEP = StepId("start container:shop-web-1")
EVENTS: tuple[Event, ...] = (
    StepStarted(step=StepId("pull image:nginx"), reason="not in the store"),
    Progress(subject="nginx", action="Downloading", current=1, total=2),
    StepDone(step=StepId("pull image:nginx"), seconds=1.26),
    StepWaiting(step=STEP, gates=("db:healthy",)),
    StepStarted(step=STEP, reason="never started"),
    StepFailed(step=STEP, error=ContainerError("cannot\x1b start")),
    Warned(message="odd"),
    LogLine(source="build", stream="stdout", text="hi\n"),
)


def test_plain_progress_is_a_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    renderer = progress.Plain()
    for event in EVENTS:
        renderer.show(event)
    renderer.close()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        " Image nginx  Pulling  # not in the store",
        " Image nginx  Pulled  1.3s",
        " Container shop-web-1  Waiting for db:healthy",
        " Container shop-web-1  Error",
        "warning: odd",
        " build | hi",
    ]


def test_json_progress_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    renderer = progress.Json()
    for event in EVENTS:
        renderer.show(event)
    documents = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [document["status"] for document in documents] == [
        "started",
        "Downloading",
        "done",
        "waiting",
        "started",
        "failed",
        "warning",
    ]
    assert documents[2] == {"id": "pull image:nginx", "status": "done", "seconds": 1.26}


def test_quiet_progress_shows_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    renderer = progress.Quiet()
    for event in EVENTS:
        renderer.show(event)
    assert capsys.readouterr().err == "warning: odd\n"


def _printer(
    monkeypatch: pytest.MonkeyPatch,
    out: io.StringIO,
    *,
    prefix: bool = True,
    timestamps: bool = False,
    merge: bool = False,
) -> LogPrinter:
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return LogPrinter(
        ["shop-db-1", "shop-web-10"],
        project="shop",
        prefix=prefix,
        timestamps=timestamps,
        merge=merge,
    )


def _line(text: str, stream: str = "stdout") -> LogLine:
    return LogLine(source="shop-db-1", stream=stream, text=text, time=NOW)


def test_log_lines_align_their_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    _printer(monkeypatch, out).print(_line("ready\r\n"))
    assert out.getvalue() == "db-1    | ready\n"


def test_log_lines_can_go_without_prefix_and_with_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    _printer(monkeypatch, out, prefix=False, timestamps=True).print(_line("ready\n"))
    assert out.getvalue() == "2026-01-02T03:04:05Z ready\n"


def test_a_terminal_gets_colours_but_no_control(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    _printer(monkeypatch, out).print(_line("\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07\tend\n"))
    text = out.getvalue()
    assert text.startswith("\x1b[36mdb-1    | \x1b[0m\x1b[31mred\x1b[0m ")
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert "\x07" not in text
    assert "\tend" in text


def test_a_file_gets_the_bytes_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    _printer(monkeypatch, out, prefix=False).print(_line("\x1b[2Jraw\n"))
    assert out.getvalue() == "\x1b[2Jraw\n"


def test_stderr_stays_stderr_unless_merged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    _printer(monkeypatch, out, prefix=False).print(_line("bad\n", "stderr"))
    assert (out.getvalue(), capsys.readouterr().err) == ("", "bad\n")
    _printer(monkeypatch, out, prefix=False, merge=True).print(_line("bad\n", "stderr"))
    assert out.getvalue() == "bad\n"


@pytest.mark.parametrize(
    ("ansi", "variables", "terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("always", {}, False, True),
        ("never", {}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch,
    ansi: str,
    variables: dict[str, str],
    terminal: bool,
    wanted: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert wants_colour(Terminal() if terminal else io.StringIO(), ansi) is wanted


@pytest.mark.parametrize("character", [chr(c) for c in (*range(9), *range(11, 32), 127, 0x9B)])
def test_no_control_character_passes(character: str) -> None:
    assert character not in printable(f"a{character}b")
    assert character not in tame(f"a{character}b")


@pytest.mark.parametrize("character", "\u202e\u2066\u200f\u061c\u2028")
def test_nothing_turns_a_message_around(character: str) -> None:
    assert printable(f"a{character}b") == f"a\\u{ord(character):04x}b"


@pytest.mark.parametrize("mode", ["plain", "json", "quiet"])
def test_progress_modes_have_names(mode: str) -> None:
    renderer = progress.renderer_of(GlobalOptions(progress=mode))
    assert type(renderer).__name__.lower() == mode


def test_json_cuts_the_command_as_the_table_does() -> None:
    assert ps_json(CONTAINER, "shop")["Command"] == ps_row(CONTAINER)[2]
    whole = ps_json(CONTAINER, "shop", whole=True)
    assert whole["Command"] == "\"nginx -g 'daemon off;'\""
    assert whole["ID"] == "ab" * 32


@pytest.mark.parametrize(
    ("lived", "begun"),
    [
        (timedelta(minutes=5), "11:55"),
        (timedelta(hours=20), "16:00"),
        (timedelta(days=3), "May27"),
        (timedelta(days=300), "2025"),
    ],
)
def test_a_process_has_the_columns_of_ps(lived: timedelta, begun: str) -> None:
    now = datetime(2026, 5, 30, 12, tzinfo=UTC)
    process = ContainerProcess(
        uid=1000,
        pid=7,
        parent=3,
        started_at=now - lived,
        terminal="",
        cpu_time=lived / 4,
        command="a b",
    )
    row = process_row(process, "somebody-else", now)
    seconds = int(lived.total_seconds() / 4)
    spent = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    assert row == ("somebod+", "7", "3", "25", begun, "?", spent, "a b")
