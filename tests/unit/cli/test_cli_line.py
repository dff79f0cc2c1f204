"""Plain lines mean without typer what they mean with it; all others are left to it."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from functools import wraps

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.cli.app import body_of, entry, every_command, interspersed
from orchestra.cli.declare import Option
from orchestra.cli.line import NotPlainError, Reader
from orchestra.cli.typed import typed

Body = Callable[..., object]


def by_line(body: Body, words: list[str], *, mixed: bool) -> dict[str, object] | None:
    """Return what the reader makes of a line, with the defaults filled in; None if nothing."""
    reader = Reader(body, interspersed=mixed)
    try:
        values, read = reader.read(words)
    except NotPlainError:
        return None
    assert read == len(words)
    return plain(body, values)


def by_typer(body: Body, words: list[str], *, mixed: bool) -> dict[str, object] | None:
    """Return what typer makes of it."""
    seen: list[dict[str, object]] = []

    @wraps(body)
    def record(**values: object) -> None:
        seen.append(values)

    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_interspersed_args": mixed})(typed(record))
    try:
        typer.main.get_command(app).main(words, prog_name="x", standalone_mode=False)
    except typer.TyperException:
        return None
    return plain(body, seen[0]) if seen else None


def plain(body: Body, values: dict[str, object]) -> dict[str, object]:
    parameters = inspect.signature(body).parameters.values()
    filled = {p.name: values.get(p.name, p.default) for p in parameters if p.name != "ctx"}
    return {
        name: value or None if isinstance(value, list) else value for name, value in filled.items()
    }


def spellings(body: Body) -> list[str]:
    hints = [p.annotation for p in inspect.signature(body, eval_str=True).parameters.values()]
    declared = [hint.__metadata__[0] for hint in hints if hasattr(hint, "__metadata__")]
    names = [name for each in declared if isinstance(each, Option) for name in each.names]
    return [part for name in names for part in name.split("/")]


@pytest.mark.parametrize("command", sorted(every_command()))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_both_readers_agree(command: str, data: st.DataObject) -> None:
    body, mixed = body_of(command), interspersed(command)
    names = spellings(body)
    short = "".join(name[1] for name in names if len(name) == 2) or "x"
    text = st.sampled_from(["web", "db", "1", "-1", "", "a=b", "7x", "-", "--", "über", "8080"])
    word = st.one_of(
        st.sampled_from(names or ["--x"]),
        text,
        st.builds(
            "{}={}".format, st.sampled_from([n for n in names if n[1] == "-"] or ["--x"]), text
        ),
        st.text(short, min_size=1, max_size=3).map("-{}".format),
        st.sampled_from(["--nothing", "-Z", "--help"]),
    )
    words = data.draw(st.lists(word, max_size=5))
    ours = by_line(body, words, mixed=mixed)
    theirs = by_typer(body, words, mixed=mixed)
    if ours is not None and not pflags_own(words, theirs):
        assert ours == theirs


def pflags_own(words: list[str], theirs: dict[str, object] | None) -> bool:
    """``-f=x`` means another value to typer, ``--flag=1`` nothing."""
    dashed = [word for word in words if word.startswith("-") and "=" in word]
    return any(not word.startswith("--") for word in dashed) or bool(dashed and theirs is None)


@pytest.mark.parametrize(
    ("command", "line", "expected"),
    [
        ("up", "-d --wait web db", {"detach": True, "wait": True, "services": ["web", "db"]}),
        ("up", "web -d", {"detach": True, "services": ["web"]}),
        ("up", "-dVt5", {"detach": True, "renew_anon_volumes": True, "timeout": 5}),
        ("up", "--detach=false --wait=1", {"detach": False, "wait": True}),
        ("up", "-d=0 -t=5", {"detach": False, "timeout": 5}),
        ("up", "--scale web=2 --scale=db=3", {"scale": ["web=2", "db=3"]}),
        ("up", "-- -d", {"services": ["-d"]}),
        ("exec", "-T web ls --all -d", {"no_tty": True, "arguments": ["ls", "--all", "-d"]}),
        ("exec", "-ie A=b -e=C=d web -- x", {"environment": ["A=b", "C=d"], "arguments": ["--", "x"]}),
        ("exec", "--interactive=false web x", {"interactive": False}),
        ("exec", "--no-interactive web x", {"interactive": False}),
        ("exec", "--no-interactive=false web x", {"interactive": True}),
        ("port", "web 80", {"service": "web", "private_port": 80}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_lines(command: str, line: str, expected: dict[str, object]) -> None:
    found = by_line(body_of(command), shlex.split(line), mixed=interspersed(command))
    assert found is not None
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("up", "--help"), ("up", "-h"), ("up", "--bogus"), ("up", "-dZ"), ("up", "-t"), ("up", "-t x"),
        ("up", "--detach=maybe"), ("exec", "web"), ("exec", ""), ("port", "web 70000"), ("port", "web 1 2"),
        ("port", "web -- -1"),
    ],
)  # fmt: skip
def test_lines_left_to_typer(command: str, line: str) -> None:
    assert by_line(body_of(command), shlex.split(line), mixed=interspersed(command)) is None


def test_global_options_end_at_the_command() -> None:
    words = shlex.split("-f a.yaml --file=b.yaml -pshop --debug up -p x")
    values, read = Reader(entry).read(words, command_follows=True)
    assert values == {"files": ["a.yaml", "b.yaml"], "project_name": "shop", "debug": True}
    assert words[read:] == ["up", "-p", "x"]
