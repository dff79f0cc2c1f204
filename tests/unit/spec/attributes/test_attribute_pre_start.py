"""services.*.pre_start (compose-spec schema, pre_start_hook)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.pre_start"

_BASE = {"command": None, "entrypoint": None, "networks": {"default": None}}


def _hooks(*hooks: dict[str, object]) -> list[dict[str, object]]:
    """A hook is a container with what its service has (tests/unit/spec/test_spec_hooks.py)."""
    return [{**_BASE, **hook} for hook in hooks]


CASES = (
    Case(
        "text",
        "pre_start: [{command: ./migrate.sh}]",
        _hooks({"command": ["./migrate.sh"], "image": "busybox"}),
    ),
    Case(
        "full",
        """
        pre_start:
          - command: [migrate, --all]
            image: tools
            user: me
            privileged: true
            working_dir: /w
            environment: {A: b, NONE: }
            per_replica: true
            x-a: 1
        """,
        _hooks(
            {
                "command": ["migrate", "--all"],
                "image": "tools",
                "user": "me",
                "privileged": True,
                "working_dir": "/w",
                "environment": {"A": "b", "NONE": None},
                "per_replica": True,
            }
        ),
    ),
    Case("nothing", "pre_start: [{}]", _hooks({"image": "busybox"})),
    Case("null-command", "pre_start: [{command: }]", _hooks({"image": "busybox"})),
    Case("image-alone", "pre_start: [{image: tools}]", _hooks({"image": "tools"})),
    Case(
        "per-replica-text",
        "pre_start: [{per_replica: 'true'}]",
        _hooks({"image": "busybox", "per_replica": True}),
    ),
    Case(
        "per-replica-false",
        "pre_start: [{per_replica: false}]",
        _hooks({"image": "busybox"}),
    ),
    Case("variable", "pre_start: [{image: '${I}'}]", _hooks({"image": "i"}), env={"I": "i"}),
    Case("empty", "pre_start: []", ABSENT),
    Case("null", "pre_start:", ABSENT, ours=NULL),
    Case(
        "over",
        "pre_start: [{command: a}]",
        _hooks({"command": ["a"], "image": "busybox"}, {"command": ["b"], "image": "busybox"}),
        over="pre_start: [{command: b}, {command: a}]",
    ),
    Case(
        "override",
        "pre_start: [{image: a}]",
        _hooks({"image": "b"}),
        over="pre_start: !override [{image: b}]",
    ),
    Case("reset", "pre_start: [{image: a}]", ABSENT, over="pre_start: !reset []"),
)

WRONG = (
    Wrong("text", "pre_start: a", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("text-item", "pre_start: [a]", "expected a mapping, not text", place="4:17"),
    Wrong("number", "pre_start: [{command: 3}]", "expected text or a list, not a number"),
    Wrong("image-number", "pre_start: [{image: 3}]", "expected text, not a number", place="4:18"),
    Wrong(
        "per-replica-word", "pre_start: [{per_replica: maybe}]", "expected true or false, not text"
    ),
    Wrong(
        "per-replica-number",
        "pre_start: [{per_replica: 1}]",
        "expected true or false, not a number",
    ),
    Wrong(
        "mount-of-nothing",
        "pre_start: [{volumes: [{type: bind, target: /a}]}]",
        '"source" is missing',
        hint="mount",
    ),
    Wrong("near-key", "pre_start: [{img: x}]", 'unknown key "img"', place="4:18", hint='"image"'),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_pre_start(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_pre_start_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
