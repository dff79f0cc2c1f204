"""services.*.post_start and pre_stop (compose-spec 05-services.md, post_start, pre_stop)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.post_start"
COVERS = ("services.*.pre_stop",)

NO_COMMAND = "it takes a hook that has nothing to run"


def hook(attributes: str) -> str:
    return f"post_start: [{{{attributes}}}]"


CASES = (
    Case("text", hook("command: ./do.sh --now"), [{"command": ["./do.sh", "--now"]}]),
    Case("quotes", hook("command: \"a 'b c' d\\\\ e\""), [{"command": ["a", "b c", "d e"]}]),
    Case("list", hook("command: [a, b c]"), [{"command": ["a", "b c"]}]),
    Case("empty-list", hook("command: []"), [{"command": []}]),
    Case("empty-text", hook("command: ''"), [{"command": []}]),
    Case(
        "full",
        """
        post_start:
          - command: [chown, -R, "1", /data]
            user: root
            privileged: true
            working_dir: /data
            environment: [FOO=BAR, BARE]
            x-a: 1
        """,
        [
            {
                "command": ["chown", "-R", "1", "/data"],
                "user": "root",
                "privileged": True,
                "working_dir": "/data",
                "environment": {"FOO": "BAR", "BARE": None},
            }
        ],
    ),
    Case(
        "environment",
        hook("command: a, environment: {N: 1, T: true, F: 1.5, NONE: , E: ''}"),
        [
            {
                "command": ["a"],
                "environment": {"N": "1", "T": "true", "F": "1.5", "NONE": None, "E": ""},
            }
        ],
    ),
    Case(
        "not-from-outside",
        hook("command: a, environment: [B]"),
        [{"command": ["a"], "environment": {"B": None}}],
        env={"B": "b"},
    ),
    Case(
        "privileged-text",
        hook("command: a, privileged: 'yes'"),
        [{"command": ["a"], "privileged": True}],
    ),
    Case("privileged-false", hook("command: a, privileged: false"), [{"command": ["a"]}]),
    Case("variable", hook("command: 'a $V'"), [{"command": ["a", "b", "c"]}], env={"V": "b c"}),
    Case(
        "two", "post_start: [{command: a}, {command: b}]", [{"command": ["a"]}, {"command": ["b"]}]
    ),
    Case("empty", "post_start: []", ABSENT),
    Case("null", "post_start:", ABSENT, ours=NULL),
    Case(
        "over",
        hook("command: a"),
        [{"command": ["a"]}, {"command": ["b"]}],
        over=hook("command: b"),
    ),
    Case("over-same", hook("command: a"), [{"command": ["a"]}], over=hook("command: a")),
    Case(
        "override",
        hook("command: a"),
        [{"command": ["b"]}],
        over="post_start: !override [{command: b}]",
    ),
    Case("reset", hook("command: a"), ABSENT, over="post_start: !reset []"),
    Case(
        "pre-stop",
        """
        pre_stop:
          - {command: ./flush.sh, user: me, privileged: "true", working_dir: /w, environment: {A: b}}
        """,
        [
            {
                "command": ["./flush.sh"],
                "user": "me",
                "privileged": True,
                "working_dir": "/w",
                "environment": {"A": "b"},
            }
        ],
        key="services.*.pre_stop",
    ),
    Case(
        "pre-stop-over",
        "pre_stop: [{command: a}]",
        [{"command": ["a"]}, {"command": ["b"]}],
        over="pre_stop: [{command: b}]",
        key="services.*.pre_stop",
    ),
    Case("pre-stop-null", "pre_stop:", ABSENT, key="services.*.pre_stop", ours=NULL),
)

WRONG = (
    Wrong("text", "post_start: a", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("mapping", "post_start: {command: a}", "expected a list, not a mapping"),
    Wrong(
        "text-item",
        "post_start: [a]",
        "expected a mapping, not text",
        place="4:18",
        hint="KEY: VALUE",
    ),
    Wrong("no-command", hook("user: a"), '"command" is missing', place="4:18", hint="command"),
    Wrong("null-command", hook("command: "), '"command" is missing', ours=NO_COMMAND),
    Wrong("number", hook("command: 3"), "expected text or a list, not a number", place="4:19"),
    Wrong("number-word", hook("command: [sleep, 3]"), "expected text, not a number", place="4:36"),
    Wrong("quote", hook('command: "a \'b"'), "a quote is not closed", hint="write it as a list"),
    Wrong("near-key", hook("command: a, usr: b"), 'unknown key "usr"', place="4:31", hint='"user"'),
    Wrong("per-replica", hook("command: a, per_replica: true"), 'unknown key "per_replica"'),
    Wrong("image", hook("command: a, image: b"), 'unknown key "image"', hint="known here: command"),
    Wrong("user-number", hook("command: a, user: 3"), "expected text, not a number", place="4:31"),
    Wrong("directory-list", hook("command: a, working_dir: []"), "expected text, not a list"),
    Wrong(
        "privileged-word", hook("command: a, privileged: maybe"), "expected true or false, not text"
    ),
    Wrong("environment-number", hook("command: a, environment: 3"), "KEY=VALUE, not a number"),
    Wrong("pre-stop-text", "pre_stop: a", "expected a list, not text", place="4:5"),
    Wrong("pre-stop-no-command", "pre_stop: [{user: a}]", '"command" is missing', place="4:16"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_post_start(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_post_start_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
