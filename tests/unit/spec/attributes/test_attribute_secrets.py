"""services.*.secrets (compose-spec 05-services.md, secrets)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Json, Wrong, check, check_wrong

KEY = "services.*.secrets"

UNQUOTED = "it reads a mode in text only as digits"


def among(secrets: str) -> str:
    """Return a project whose "web" is granted secrets so; "cert" and "key" are there."""
    return f"""
services: {{web: {{image: a, secrets: {secrets}}}}}
secrets: {{cert: {{file: ./cert}}, key: {{environment: KEY}}}}
"""


def over(secrets: str) -> str:
    return f"services: {{web: {{secrets: {secrets}}}}}"


def shown(**more: str) -> dict[str, Json]:
    return {"source": "cert", "target": "/run/secrets/cert", **more}


CASES = (
    Case("name", among("[cert]"), [shown()]),
    Case("long", among("[{source: cert}]"), [shown()]),
    Case(
        "full",
        among("[{source: cert, target: server.crt, uid: '103', gid: '104', mode: 0440, x-a: 1}]"),
        [{"source": "cert", "target": "server.crt", "uid": "103", "gid": "104", "mode": "0440"}],
    ),
    Case("mode-octal", among("[{source: cert, mode: 0o440}]"), [shown(mode="0440")]),
    Case("mode-decimal", among("[{source: cert, mode: 288}]"), [shown(mode="0440")]),
    Case("mode-text", among("[{source: cert, mode: '0440'}]"), [shown(mode="0440")]),
    Case("mode-digits", among("[{source: cert, mode: '440'}]"), [shown(mode="0440")]),
    Case("mode-0o", among("[{source: cert, mode: '0o440'}]"), [shown(mode="0440")], ours=UNQUOTED),
    Case("mode-forgotten-zero", among("[{source: cert, mode: 440}]"), [shown(mode="0670")]),
    Case("mode-zero", among("[{source: cert, mode: 0}]"), [shown(mode="00")]),
    Case(
        "mode-variable",
        among("[{source: cert, mode: '${M}'}]"),
        [shown(mode="0400")],
        env={"M": "0400"},
    ),
    Case("target-empty", among("[{source: cert, target: ''}]"), [{"source": "cert"}]),
    Case("variable", among("['${S}']"), [shown()], env={"S": "cert"}),
    Case("repeated", among("[cert, cert]"), [shown()]),
    Case("empty", among("[]"), ABSENT),
    Case("null", among(""), ABSENT, ours=NULL),
    Case(
        "over",
        among("[cert]"),
        [shown(uid="3"), {"source": "key", "target": "/run/secrets/key"}],
        over=over("[key, {source: cert, uid: '3'}]"),
    ),
    Case(
        "over-target",
        among("[cert]"),
        [{"source": "key", "target": "/run/secrets/cert"}],
        over=over("[{source: key, target: /run/secrets/cert}]"),
    ),
    Case(
        "over-other-target",
        among("[{source: cert, target: crt}]"),
        [{"source": "cert", "target": "crt"}, shown()],
        over=over("[cert]"),
    ),
    Case("override", among("[key]"), [shown()], over=over("!override [cert]")),
    Case("reset", among("[cert]"), ABSENT, over=over("!reset []")),
)

WRONG = (
    Wrong("text", among("cert"), "expected a list, not text", place="1:28", hint="dash"),
    Wrong("mapping", among("{cert: key}"), "expected a list, not a mapping"),
    Wrong("number", among("[cert, 1]"), "expected a name or a mapping, not a number", place="1:44"),
    Wrong(
        "unknown", among("[crt]"), 'no secret "crt" in this project', place="1:38", hint='"cert"'
    ),
    Wrong("no-source", among("[{target: a}]"), '"source" is missing', place="1:38", hint="secret"),
    Wrong("source-number", among("[{source: 1}]"), "expected text, not a number", place="1:39"),
    Wrong("target-number", among("[{source: cert, target: 1}]"), "expected text, not a number"),
    Wrong(
        "uid-number",
        among("[{source: cert, uid: 1}]"),
        "expected text, not a number",
        hint="quotes",
    ),
    Wrong("gid-fraction", among("[{source: cert, gid: 1.5}]"), "expected text, not a fraction"),
    Wrong(
        "mode-digits", among("[{source: cert, mode: '0888'}]"), "a file mode in octal", place="1:53"
    ),
    Wrong("mode-hexadecimal", among("[{source: cert, mode: '0x1'}]"), "a file mode in octal"),
    Wrong("mode-empty", among("[{source: cert, mode: ''}]"), "a file mode in octal", hint='"0440"'),
    Wrong("mode-fraction", among("[{source: cert, mode: 4.5}]"), "a file mode in octal"),
    Wrong(
        "mode-negative",
        among("[{source: cert, mode: -1}]"),
        "a file mode",
        ours="it shows it as 0-1",
    ),
    Wrong(
        "near-key",
        among("[{source: cert, targte: a}]"),
        'unknown key "targte"',
        place="1:53",
        hint='did you mean "target"?',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_secrets(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_secrets_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
