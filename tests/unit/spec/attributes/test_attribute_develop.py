"""services.*.develop (compose-spec develop.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.develop"


def watching(*rules: str) -> str:
    """Return a service that watches by these rules."""
    return "build: .\ndevelop:\n  watch:\n" + "".join(f"    - {rule}\n" for rule in rules)


CASES = (
    Case(
        "rebuild",
        watching("{path: ./src, action: rebuild}"),
        {"watch": [{"path": "$HERE/src", "action": "rebuild", "exec": {"command": None}}]},
    ),
    Case(
        "sync",
        watching(
            "{path: ./web/html, action: sync, target: /var/www, initial_sync: true, ignore: [node_modules/]}"
        ),
        {
            "watch": [
                {
                    "path": "$HERE/web/html",
                    "action": "sync",
                    "target": "/var/www",
                    "exec": {"command": None},
                    "ignore": ["node_modules/"],
                    "initial_sync": True,
                }
            ]
        },
    ),
    Case(
        "restart",
        watching("{path: /etc/app, action: restart}"),
        {"watch": [{"path": "/etc/app", "action": "restart", "exec": {"command": None}}]},
    ),
    Case(
        "sync-restart",
        watching("{path: a, action: sync+restart, target: /a}"),
        {
            "watch": [
                {
                    "path": "$HERE/a",
                    "action": "sync+restart",
                    "target": "/a",
                    "exec": {"command": None},
                }
            ]
        },
    ),
    Case(
        "sync-exec",
        watching(
            "{path: ./conf, action: sync+exec, target: /conf, exec: {command: app reload, user: root, privileged: true, working_dir: /app, environment: [A=1, B]}}"
        ),
        {
            "watch": [
                {
                    "path": "$HERE/conf",
                    "action": "sync+exec",
                    "target": "/conf",
                    "exec": {
                        "command": ["app", "reload"],
                        "user": "root",
                        "privileged": True,
                        "working_dir": "/app",
                        "environment": {"A": "1", "B": None},
                    },
                }
            ]
        },
        env={"B": "2"},
    ),
    Case(
        "exec-list",
        watching(
            "{path: a, action: sync+exec, target: /a, exec: {command: [app, reload], environment: {A: 1}, x-a: b}}"
        ),
        {
            "watch": [
                {
                    "path": "$HERE/a",
                    "action": "sync+exec",
                    "target": "/a",
                    "exec": {"command": ["app", "reload"], "environment": {"A": "1"}},
                }
            ]
        },
    ),
    Case(
        "include-text",
        watching("{path: ./src, action: rebuild, include: '*.go', ignore: '*.md'}"),
        {
            "watch": [
                {
                    "path": "$HERE/src",
                    "action": "rebuild",
                    "exec": {"command": None},
                    "include": ["*.go"],
                    "ignore": ["*.md"],
                }
            ]
        },
    ),
    Case(
        "include-list",
        watching("{path: ./src, action: rebuild, include: ['*.go', '**/*.mod']}"),
        {
            "watch": [
                {
                    "path": "$HERE/src",
                    "action": "rebuild",
                    "exec": {"command": None},
                    "include": ["*.go", "**/*.mod"],
                }
            ]
        },
    ),
    Case(
        "home",
        watching("{path: ~/src, action: rebuild}"),
        {"watch": [{"path": "/home/orc/src", "action": "rebuild", "exec": {"command": None}}]},
    ),
    Case(
        "parent",
        watching("{path: a/../src, action: rebuild}"),
        {"watch": [{"path": "$HERE/src", "action": "rebuild", "exec": {"command": None}}]},
    ),
    Case(
        "variable",
        watching("{path: './${D}', action: '${A:-rebuild}'}"),
        {"watch": [{"path": "$HERE/src", "action": "rebuild", "exec": {"command": None}}]},
        env={"D": "src"},
    ),
    Case(
        "extension",
        watching("{path: a, action: rebuild, x-a: b}"),
        {"watch": [{"path": "$HERE/a", "action": "rebuild", "exec": {"command": None}}]},
    ),
    Case(
        "several",
        watching("{path: a, action: rebuild}", "{path: b, action: restart}"),
        {
            "watch": [
                {"path": "$HERE/a", "action": "rebuild", "exec": {"command": None}},
                {"path": "$HERE/b", "action": "restart", "exec": {"command": None}},
            ]
        },
    ),
    Case("no-rules", "develop: {watch: []}", {}),
    Case("empty", "develop: {}", {}),
    Case("null", "develop:", ABSENT),
    Case(
        "appended",
        watching("{path: a, action: rebuild}"),
        {
            "watch": [
                {"path": "$HERE/a", "action": "rebuild", "exec": {"command": None}},
                {"path": "$HERE/b", "action": "rebuild", "exec": {"command": None}},
            ]
        },
        over=watching("{path: b, action: rebuild}"),
    ),
    Case("reset", watching("{path: a, action: rebuild}"), ABSENT, over="develop: !reset null"),
    Case(
        "overridden",
        watching("{path: a, action: rebuild}"),
        {"watch": [{"path": "$HERE/b", "action": "restart", "exec": {"command": None}}]},
        over="develop: {watch: !override [{path: b, action: restart}]}",
    ),
)

WRONG = (
    Wrong(
        "list",
        "develop: [a]",
        "expected a mapping, not a list",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "unknown",
        "develop: {wacth: []}",
        'unknown key "wacth"',
        place="4:15",
        hint='did you mean "watch"?',
    ),
    Wrong(
        "unknown-in-rule",
        watching("{path: a, action: rebuild, ignores: b}"),
        'unknown key "ignores"',
        place="7:38",
        hint='did you mean "ignore"?',
    ),
    Wrong(
        "no-path",
        watching("{action: rebuild}"),
        '"path" is missing',
        place="7:11",
        hint="write path here",
    ),
    Wrong(
        "empty-path",
        watching("{path: '', action: rebuild}"),
        "the path is empty",
        place="7:12",
        hint="say what to watch",
    ),
    Wrong("no-action", watching("{path: a}"), '"action" is missing', hint="write action here"),
    Wrong(
        "action-near",
        watching("{path: a, action: rebiuld}"),
        'expected "rebuild", "sync", "restart", "sync+restart" or "sync+exec"',
        place="7:21",
        hint='did you mean "rebuild"?',
    ),
    Wrong(
        "no-target",
        watching("{path: a, action: sync}"),
        '"target" is missing for action "sync"',
        place="7:11",
        hint="say where to",
    ),
    Wrong("text-rule", watching("./src"), "expected a mapping, not text"),
    Wrong(
        "ignore-number",
        watching("{path: a, action: rebuild, ignore: [1]}"),
        "expected text, not a number",
        place="7:47",
    ),
    Wrong(
        "initial-sync-text",
        watching("{path: a, action: sync, target: /a, initial_sync: 'true'}"),
        "expected true or false, not text",
        place="7:47",
        hint="write true or false",
    ),
    Wrong(
        "exec-without-command",
        watching("{path: a, action: sync+exec, target: /a, exec: {user: root}}"),
        '"command" is missing',
        place="7:52",
        hint="write command here",
    ),
    Wrong(
        "exec-unknown",
        watching("{path: a, action: sync+exec, target: /a, exec: {command: a, usr: root}}"),
        'unknown key "usr"',
        hint='did you mean "user"?',
    ),
    Wrong(
        "exec-text",
        watching("{path: a, action: sync+exec, target: /a, exec: reload}"),
        "expected a mapping, not text",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_develop(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_develop_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
