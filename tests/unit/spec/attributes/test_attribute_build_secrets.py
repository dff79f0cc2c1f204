"""services.*.build.secrets (compose-spec build.md, secrets)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.secrets"


def using(secrets: str) -> str:
    """Return a project that is built with these secrets; "one" and "two" are there."""
    return f"""
services:
  web:
    build:
      context: .
      secrets: {secrets}
secrets:
  one: {{file: ./one}}
  two: {{environment: TWO}}
"""


CASES = (
    Case("short", using("[one, two]"), [{"source": "one"}, {"source": "two"}]),
    Case(
        "long",
        using("[{source: one, target: cert, uid: '103', gid: '104', mode: 0440}]"),
        [{"source": "one", "target": "cert", "uid": "103", "gid": "104", "mode": "0440"}],
    ),
    Case("mode-text", using("[{source: one, mode: '0400'}]"), [{"source": "one", "mode": "0400"}]),
    Case("source-only", using("[{source: one}]"), [{"source": "one"}]),
    Case("extension", using("[{source: one, x-a: b}]"), [{"source": "one"}]),
    Case("empty", using("[]"), ABSENT),
    Case("variable", using("['${S}']"), [{"source": "two"}], env={"S": "two"}),
    Case(
        "appended",
        using("[one]"),
        [{"source": "one"}, {"source": "two"}],
        over="build: {secrets: [two]}",
    ),
    Case(
        "appended-same",
        using("[one]"),
        [{"source": "one"}],
        over="build: {secrets: [one]}",
        ours="it holds the long form against the short one",
    ),
    Case("reset", using("[one]"), ABSENT, over="build: {secrets: !reset []}"),
)

WRONG = (
    Wrong(
        "unknown",
        using("[oen]"),
        'no secret "oen" in this project',
        place="5:17",
        hint='did you mean "one"?',
    ),
    Wrong(
        "no-source",
        using("[{target: a}]"),
        '"source" is missing',
        place="5:17",
        hint="name a secret of the project",
    ),
    Wrong(
        "unknown-key",
        using("[{source: one, traget: a}]"),
        'unknown key "traget"',
        place="5:31",
        hint='did you mean "target"?',
    ),
    Wrong(
        "text",
        using("one"),
        "expected a list, not text",
        place="5:7",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "uid-number",
        using("[{source: one, uid: 1}]"),
        "expected text, not a number",
        place="5:31",
        hint="put it in quotes",
    ),
    Wrong(
        "mode-word",
        using("[{source: one, mode: r}]"),
        "expected a file mode in octal",
        place="5:31",
        hint='write it as in "0440"',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_secrets(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_secrets_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
