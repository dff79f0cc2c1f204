"""services.*.build.ulimits (compose-spec build.md, ulimits and shm_size)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.ulimits"
COVERS = ("services.*.build.shm_size",)

SHM_SIZE = "services.*.build.shm_size"
TEXT = "its schema takes text here, its loader does not"

CASES = (
    Case("one-number", "build: {ulimits: {nproc: 65535}}", {"nproc": 65535}),
    Case(
        "pair",
        "build: {ulimits: {nofile: {soft: 20000, hard: 40000}}}",
        {"nofile": {"soft": 20000, "hard": 40000}},
    ),
    Case("text", "build: {ulimits: {nproc: '65535'}}", {"nproc": 65535}, ours=TEXT),
    Case(
        "pair-of-texts",
        "build: {ulimits: {nofile: {soft: '1', hard: '2'}}}",
        {"nofile": {"soft": 1, "hard": 2}},
        ours="it panics",
    ),
    Case("unlimited", "build: {ulimits: {core: -1}}", {"core": -1}),
    Case(
        "extension",
        "build: {ulimits: {nofile: {soft: 1, hard: 2, x-a: b}}}",
        {"nofile": {"soft": 1, "hard": 2}},
    ),
    Case(
        "variable", "build: {ulimits: {nofile: '${N}'}}", {"nofile": 5}, env={"N": "5"}, ours=TEXT
    ),
    Case("empty", "build: {ulimits: {}}", ABSENT),
    Case(
        "merged",
        "build: {ulimits: {nofile: 1}}",
        {"nofile": 1, "nproc": 2},
        over="build: {ulimits: {nproc: 2}}",
    ),
    Case(
        "merged-same",
        "build: {ulimits: {nofile: {soft: 1, hard: 2}}}",
        {"nofile": {"soft": 3, "hard": 4}},
        over="build: {ulimits: {nofile: {soft: 3, hard: 4}}}",
    ),
    Case("shm-text", "build: {shm_size: '2gb'}", "2147483648", key=SHM_SIZE),
    Case("shm-number", "build: {shm_size: 10000000}", "10000000", key=SHM_SIZE),
    Case(
        "shm-merged", "build: {shm_size: 1m}", "2097152", key=SHM_SIZE, over="build: {shm_size: 2m}"
    ),
    Case("shm-zero", "build: {shm_size: 0}", ABSENT, key=SHM_SIZE),
)

WRONG = (
    Wrong(
        "list",
        "build: {ulimits: [nofile=1]}",
        "expected a mapping, not a list",
        place="4:13",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "word",
        "build: {ulimits: {nofile: many}}",
        "expected a whole number, not text",
        place="4:23",
        hint="write it in digits, without a unit",
    ),
    Wrong(
        "no-hard",
        "build: {ulimits: {nofile: {soft: 1}}}",
        '"hard" is missing',
        place="4:23",
        hint="write hard here",
    ),
    Wrong(
        "unknown",
        "build: {ulimits: {nofile: {soft: 1, hard: 2, hrad: 3}}}",
        'unknown key "hrad"',
        place="4:50",
        hint='did you mean "hard"?',
    ),
    Wrong("fraction", "build: {ulimits: {nofile: 1.5}}", "expected a whole number, not a fraction"),
    Wrong(
        "shm-word",
        "build: {shm_size: big}",
        "expected a size, not text",
        place="4:13",
        hint='write bytes, or a unit as in "512m"',
    ),
    Wrong("shm-flag", "build: {shm_size: true}", "expected a size, not true or false"),
    Wrong("shm-fraction", "build: {shm_size: 1.5}", "expected a size, not a fraction"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_ulimits(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_ulimits_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
