"""services.*.configs (compose-spec 05-services.md, configs)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.configs"

PROJECT_CONFIGS = """
services:
  web:
    image: busybox
    configs: {}
configs:
  one: {{file: ./one}}
  two: {{content: two}}
"""


def using(configs: str) -> str:
    """Return a project whose service uses these configs; "one" and "two" are there."""
    return PROJECT_CONFIGS.format(configs)


CASES = (
    Case("short", using("[one]"), [{"source": "one"}]),
    Case("two", using("[one, two]"), [{"source": "one"}, {"source": "two"}]),
    Case(
        "long",
        using("[{source: one, target: /etc/one, uid: '103', gid: '104', mode: 0440}]"),
        [{"source": "one", "target": "/etc/one", "uid": "103", "gid": "104", "mode": "0440"}],
    ),
    Case("mode-text", using("[{source: one, mode: '0440'}]"), [{"source": "one", "mode": "0440"}]),
    Case(
        "mode-go-octal", using("[{source: one, mode: 0o444}]"), [{"source": "one", "mode": "0444"}]
    ),
    Case("mode-decimal", using("[{source: one, mode: 288}]"), [{"source": "one", "mode": "0440"}]),
    Case("mode-zero", using("[{source: one, mode: 0}]"), [{"source": "one", "mode": "00"}]),
    Case("source-only", using("[{source: two}]"), [{"source": "two"}]),
    Case(
        "relative-target",
        using("[{source: one, target: one.txt}]"),
        [{"source": "one", "target": "one.txt"}],
    ),
    Case(
        "mixed",
        using("[one, {source: two, target: /two}]"),
        [{"source": "one"}, {"source": "two", "target": "/two"}],
    ),
    Case(
        "same-source-two-targets",
        using("[{source: one, target: /a}, {source: one, target: /b}]"),
        [{"source": "one", "target": "/a"}, {"source": "one", "target": "/b"}],
    ),
    Case(
        "same-target",
        using("[{source: one, target: /a}, {source: two, target: /a}]"),
        [{"source": "two", "target": "/a"}],
    ),
    Case("extension", using("[{source: one, x-a: b}]"), [{"source": "one"}]),
    Case("variable", using("['${NAME}']"), [{"source": "two"}], env={"NAME": "two"}),
    Case("empty", using("[]"), ABSENT),
    Case("appended", using("[one]"), [{"source": "one"}, {"source": "two"}], over="configs: [two]"),
    Case(
        "once", using("[one, two]"), [{"source": "one"}, {"source": "two"}], over="configs: [one]"
    ),
    Case(
        "by-target",
        using("[one]"),
        [{"source": "two", "target": "/one"}],
        over="configs: [{source: two, target: /one}]",
    ),
    Case("overridden", using("[one]"), [{"source": "two"}], over="configs: !override [two]"),
    Case("reset", using("[one]"), ABSENT, over="configs: !reset []"),
)

WRONG = (
    Wrong(
        "unknown",
        using("[oen]"),
        'no config "oen" in this project',
        place="4:15",
        hint='did you mean "one"?',
    ),
    Wrong(
        "unknown-long",
        using("[{source: three}]"),
        'no config "three" in this project',
        hint="define configs.three (configs here: one, two)",
    ),
    Wrong(
        "unknown-key",
        using("[{source: one, traget: /a}]"),
        'unknown key "traget"',
        place="4:29",
        hint='did you mean "target"?',
    ),
    Wrong(
        "mapping",
        using("{one: /one}"),
        "expected a list, not a mapping",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("text", using("one"), "expected a list, not text"),
    Wrong(
        "number",
        using("[1]"),
        "expected a name or a mapping, not a number",
        place="4:15",
        hint="write a name, or a mapping with source",
    ),
    Wrong(
        "uid-number",
        using("[{source: one, uid: 103}]"),
        "expected text, not a number",
        place="4:29",
        hint="put it in quotes",
    ),
    Wrong("gid-flag", using("[{source: one, gid: true}]"), "expected text, not true or false"),
    Wrong(
        "mode-word",
        using("[{source: one, mode: rw}]"),
        "expected a file mode in octal",
        place="4:29",
        hint='write it as in "0440"',
    ),
    Wrong(
        "mode-not-octal",
        using("[{source: one, mode: '0948'}]"),
        "expected a file mode in octal",
        hint='write it as in "0440"',
    ),
    Wrong(
        "no-source",
        using("[{target: /one}]"),
        '"source" is missing',
        place="4:15",
        hint="name a config of the project",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_configs(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_configs_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
