"""services.*.tmpfs (compose-spec 05-services.md, tmpfs)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.tmpfs"

CASES = (
    Case("text", "tmpfs: /run", ["/run"]),
    Case("list", "tmpfs: [/run, /tmp]", ["/run", "/tmp"]),
    Case("options", "tmpfs: /run:size=64m,mode=755,uid=1", ["/run:size=64m,mode=755,uid=1"]),
    Case("repeated", "tmpfs: [/run, /run]", ["/run"]),
    Case("empty", "tmpfs: []", ABSENT),
    Case("empty-text", "tmpfs: ''", [""]),
    Case("null", "tmpfs:", ABSENT, ours=NULL),
    Case("variable", "tmpfs: '${T}'", ["/t"], env={"T": "/t"}),
    Case("over", "tmpfs: /run", ["/run", "/tmp"], over="tmpfs: [/tmp, /run]"),
    Case("over-size", "tmpfs: /run:size=1m", ["/run:size=2m"], over="tmpfs: /run:size=2m"),
    Case("override", "tmpfs: /run", ["/tmp"], over="tmpfs: !override /tmp"),
    Case("reset", "tmpfs: /run", ABSENT, over="tmpfs: !reset null"),
)

WRONG = (
    Wrong(
        "number", "tmpfs: 3", "expected text or a list, not a number", place="4:5", hint="quotes"
    ),
    Wrong("number-item", "tmpfs: [/a, 3]", "expected text, not a number", place="4:17"),
    Wrong("mapping", "tmpfs: {a: b}", "expected text or a list, not a mapping"),
    Wrong(
        "twice",
        "tmpfs: ['/run:size=1m', '/run:mode=755']",
        '"/run" is mounted twice',
        place="4:29",
        hint="see tmpfs[0]",
    ),
    Wrong("over-twice", "tmpfs: /run", '"/run" is mounted twice', over="tmpfs: '/run:size=1m'"),
    Wrong(
        "with-volumes",
        """
        tmpfs: /run
        volumes: ["/a:/run"]
        """,
        '"/run" is mounted twice',
        place="5:15",
        hint="see tmpfs[0]",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_tmpfs(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_tmpfs_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
