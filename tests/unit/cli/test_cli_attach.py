"""attach's keys for detaching."""

from __future__ import annotations

import pytest

from orchestra.cli import app
from orchestra.cli.commands.attach import parse_keys
from orchestra.engine.container.attach import DetachKeys
from orchestra.errors import UsageError


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a,b", b"ab"),
        ("ctrl-@,ctrl-_,DEL,Z", b"\0\x1f\x7fZ"),
        ("ctrl-[,ctrl-\\,ctrl-],ctrl-^", b"\x1b\x1c\x1d\x1e"),
    ],
)
def test_keys_are_read_as_docker_does(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-P", "ab", "a,,b", "ctrl-pp", "é"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(UsageError, match="is no key"):
        parse_keys(text)


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        ([b"plain"], b"plain", False),
        ([b"a\x10\x11"], b"a", True),
        ([b"a\x10", b"\x11b"], b"a", True),
        ([b"\x10b"], b"\x10b", False),
        ([b"\x10", b"b"], b"\x10b", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_the_keys_are_found_in_what_is_typed(
    typed: list[bytes], passed: bytes, detached: bool
) -> None:
    keys = DetachKeys(b"\x10\x11")
    results = [keys.feed(data) for data in typed]
    assert b"".join(result[0] for result in results) == passed
    assert results[-1][1] is detached


def test_the_command_line_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["attach", "--detach-keys", "nothing", "web"]) == 2
    assert "is no key of --detach-keys" in capsys.readouterr().err
