"""What is wrong is told once, with place and hint, and leaves nothing half made."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import pytest
from support.scenario import PEER, Result, Scenario

SPEC, USAGE, ENGINE = 3, 2, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A Compose file, or a change of the good one; what is run; and what must be said."""

    text: str | None = None
    change: tuple[str, str] = ("", "")
    words: tuple[str, ...] = ("up", "-d")
    code: int
    says: tuple[str, ...]


TABLE = {
    "unknown key": Bad(
        change=("ports:", "prots:"),
        code=SPEC,
        says=("compose.yaml:6:", "services.web", "prots", '"ports"'),
    ),
    "wrong type": Bad(
        change=('["sleep", "1000"]', "{sleep: 1000}"),
        code=SPEC,
        says=("compose.yaml:5:", "services.web.command"),
    ),
    "broken yaml": Bad(text="services:\n  web: [\n", code=SPEC, says=("compose.yaml:", "cannot")),
    "no image and no build": Bad(
        text="services:\n  web: {}\n", code=SPEC, says=("compose.yaml:2:", "services.web", "image")
    ),
    "missing env_file": Bad(
        change=("    ports:", "    env_file: absent.env\n    ports:"),
        code=SPEC,
        says=("services.web.env_file", "absent.env"),
    ),
    "missing required variable": Bad(
        change=("${PORT}", "${ABSENT:?say which}"),
        code=SPEC,
        says=("compose.yaml:7:", "ABSENT", "say which"),
    ),
    "unknown dependency": Bad(
        change=("    ports:", "    depends_on: [db]\n    ports:"),
        code=SPEC,
        says=("compose.yaml:6:", "services.web.depends_on", '"db"'),
    ),
    "cycle": Bad(
        text=(
            "services:\n"
            "  a: {image: busybox, depends_on: [b]}\n"
            "  b: {image: busybox, depends_on: [a]}\n"
        ),
        code=SPEC,
        says=("compose.yaml:", "a", "b", "depend"),
    ),
    "undefined volume": Bad(
        change=("    ports:", "    volumes: [data:/data]\n    ports:"),
        code=SPEC,
        says=("services.web.volumes", '"data"'),
    ),
    "no such bind source": Bad(
        change=(
            "    ports:",
            "    volumes:\n      - {type: bind, source: ./absent, target: /x, bind: {create_host_path: false}}\n    ports:",
        ),
        code=ENGINE,
        says=("absent",),
    ),
    "invalid image name": Bad(
        change=("image: busybox", "image: Not A Name"), code=SPEC, says=("Not A Name",)
    ),
    "unknown tag": Bad(
        change=("image: busybox", "image: busybox:no-such-tag"),
        code=ENGINE,
        says=("busybox:no-such-tag",),
    ),
    "unreachable registry": Bad(
        change=("image: busybox", "image: 127.0.0.1:1/nothing"),
        code=ENGINE,
        says=("127.0.0.1:1",),
    ),
    "missing program": Bad(
        change=('"sleep", "1000"', '"no-such-program"'), code=ENGINE, says=("no-such-program",)
    ),
    "unknown service": Bad(words=("up", "-d", "wbe"), code=USAGE, says=("wbe", "web")),
    "unknown command": Bad(words=("upp",), code=USAGE, says=("upp",)),
    "unknown option": Bad(words=("up", "--detatch"), code=USAGE, says=("--detatch",)),
    "missing file": Bad(words=("-f", "other.yaml", "config"), code=SPEC, says=("other.yaml",)),
    "exec in what does not run": Bad(words=("exec", "web", "true"), code=ENGINE, says=("web",)),
}


def check(done: Result, bad: Bad) -> None:
    assert done.code != 0
    assert "Traceback" not in done.text
    if PEER:
        return
    assert done.out == ""
    for text in bad.says:
        assert text in done.err, f"no {text!r} in: {done.err}"
    assert "hint: " in done.err
    assert len(done.err.splitlines()) <= 12
    assert done.code == bad.code or (bad.words[0] == "exec" and done.code == 1)


@pytest.mark.parametrize("name", TABLE)
def test_bad_input_is_told_and_leaves_nothing(scenario: Scenario, name: str) -> None:
    bad = TABLE[name]
    path = scenario.directory / "compose.yaml"
    good = path.read_text()
    if bad.text is not None:
        path.write_text(bad.text)
    elif bad.change[0]:
        scenario.edit(*bad.change)
    check(scenario.run(*bad.words, code=None), bad)
    path.write_text(good)
    assert scenario.services() == []


def test_a_taken_port_is_told_and_the_next_up_goes_on(scenario: Scenario) -> None:
    port = scenario.environment["PORT"]
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", int(port)))
        holder.listen()
        bad = Bad(code=ENGINE, says=(port, "web"))
        check(scenario.run(*bad.words, code=None), bad)
        assert scenario.services() == []
    scenario.up()
    assert scenario.services() == ["web"]


def test_no_compose_file_names_what_was_looked_for(scenario: Scenario) -> None:
    (scenario.directory / "compose.yaml").rename(scenario.directory / "elsewhere.yml")
    bad = Bad(words=("up", "-d"), code=SPEC, says=("compose.yaml",))
    check(scenario.run(*bad.words, code=None), bad)
    (scenario.directory / "elsewhere.yml").rename(scenario.directory / "compose.yaml")


def test_every_error_of_a_file_is_told_in_its_order(scenario: Scenario) -> None:
    path = scenario.directory / "compose.yaml"
    good = path.read_text()
    path.write_text(good.replace("ports:", "prots:").replace("stop_signal:", "stop_sginal:"))
    done = scenario.run("config", code=None)
    path.write_text(good)
    assert done.code != 0
    if not PEER:
        assert done.err.index("stop_sginal") < done.err.index("prots")
