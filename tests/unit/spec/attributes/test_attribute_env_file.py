"""services.*.env_file (compose-spec 05-services.md, env_file)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.env_file"

ENVIRONMENT = "services.*.environment"

CASES = (
    Case(
        "text",
        "env_file: a.env",
        {"A": "1", "B": "two words"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=two words\n"},
    ),
    Case(
        "list",
        "env_file: [a.env, b.env]",
        {"A": "1", "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=1\n", "b.env": "B=2\n"},
    ),
    Case(
        "mapping",
        "env_file: [{path: ./a.env}]",
        {"A": "1"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\n"},
    ),
    Case(
        "required",
        "env_file: [{path: a.env, required: true}]",
        {"A": "1"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\n"},
    ),
    Case("optional", "env_file: [{path: none.env, required: false}]", ABSENT, key=ENVIRONMENT),
    Case(
        "optional-text", "env_file: [{path: none.env, required: 'false'}]", ABSENT, key=ENVIRONMENT
    ),
    Case(
        "raw",
        "env_file: [{path: a.env, format: raw}]",
        {"A": "'$$B' # c", "C": '"d"'},
        key=ENVIRONMENT,
        files={"a.env": "A='$B' # c\nC=\"d\"\n"},
    ),
    Case(
        "raw-forms",
        "env_file: [{path: a.env, format: raw}]",
        {"A": "1", "B": "x=y", "C": "", "D": "4", "E": " 5 ", "G": "7", "H": "8"},
        key=ENVIRONMENT,
        files={"a.env": "# c\n\nA=1\nB=x=y\nC=\n  D=4\nE= 5 \n #F=6\nG\nH\r\n"},
        env={"G": "7", "H": "8"},
    ),
    Case(
        "mixed",
        "env_file: [a.env, {path: b.env}]",
        {"A": "1", "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\n", "b.env": "B=2\n"},
    ),
    Case(
        "directory",
        "env_file: conf/a.env",
        {"A": "1"},
        key=ENVIRONMENT,
        files={"conf/a.env": "A=1\n"},
    ),
    Case(
        "variable-in-path",
        "env_file: '${STAGE}.env'",
        {"A": "1"},
        key=ENVIRONMENT,
        files={"dev.env": "A=1\n"},
        env={"STAGE": "dev"},
    ),
    Case(
        "quotes",
        "env_file: a.env",
        {"A": "a $$B # c", "B": "a\tb", "C": "a", "D": "a#b", "E": "it's"},
        key=ENVIRONMENT,
        files={"a.env": "A='a $B # c'\nB=\"a\\tb\" # c\nC=a # c\nD=a#b\nE='it\\'s'\n"},
    ),
    Case(
        "variables",
        "env_file: a.env",
        {"A": "1", "B": "12", "C": "12", "D": "$$A", "E": "d"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=${A}2\nC=\"$B\"\nD='$A'\nE=${X:-d}\n"},
    ),
    Case(
        "shell-first",
        "env_file: a.env",
        {"A": "1", "B": "shell"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=${A}\n"},
        env={"A": "shell"},
    ),
    Case(
        "from-shell",
        "env_file: a.env",
        {"A": "1", "C": ""},
        key=ENVIRONMENT,
        files={"a.env": "A\nB\nC=\n"},
        env={"A": "1"},
    ),
    Case(
        "export",
        "env_file: a.env",
        {"A": "1", "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "export A=1\nB: 2\n"},
    ),
    Case(
        "lines",
        "env_file: a.env",
        {"A": "one\ntwo", "B": "3"},
        key=ENVIRONMENT,
        files={"a.env": 'A="one\ntwo"\nB=3\n'},
    ),
    Case(
        "carriage-returns",
        "env_file: a.env",
        {"A": "1", "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\r\nB=2\r\n"},
    ),
    Case(
        "environment-first",
        "env_file: a.env\nenvironment: {A: own}",
        {"A": "own", "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=2\n"},
    ),
    Case(
        "environment-unset-first",
        "env_file: a.env\nenvironment: [A]",
        {"A": None, "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=2\n"},
    ),
    Case("empty-file", "env_file: a.env", ABSENT, key=ENVIRONMENT, files={"a.env": ""}),
    Case("empty-list", "env_file: []", ABSENT, key=ENVIRONMENT),
    Case(
        "dollar-shown-doubled",
        "env_file: a.env",
        {"A": "$$5"},
        key=ENVIRONMENT,
        files={"a.env": "A='$5'\n"},
    ),
    Case(
        "appended",
        "env_file: a.env",
        {"A": "1", "B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\nB=1\n", "b.env": "B=2\n"},
        over="env_file: b.env",
    ),
    Case(
        "overridden",
        "env_file: a.env",
        {"B": "2"},
        key=ENVIRONMENT,
        files={"a.env": "A=1\n", "b.env": "B=2\n"},
        over="env_file: !override b.env",
    ),
    Case("reset", "env_file: none.env", ABSENT, key=ENVIRONMENT, over="env_file: !reset null"),
    Case(
        "relative-to-extended",
        "extends: {file: sub/base.yaml, service: base}",
        {"A": "sub"},
        key=ENVIRONMENT,
        files={
            "sub/base.yaml": "services: {base: {image: a, env_file: a.env}}",
            "sub/a.env": "A=sub\n",
        },
    ),
)

WRONG = (
    Wrong(
        "missing",
        "env_file: none.env",
        'env file "$HERE/none.env" does not exist',
        place="4:5",
        hint="create it, or give it required: false",
    ),
    Wrong(
        "missing-second",
        "env_file: [a.env, {path: none.env}]",
        'env file "$HERE/none.env" does not exist',
        files={"a.env": ""},
        place="4:23",
        hint="create it, or give it required: false",
    ),
    Wrong(
        "directory",
        "env_file: sub",
        'env file "$HERE/sub" is a directory',
        files={"sub/a": ""},
        place="4:5",
        hint="name a file in it",
    ),
    Wrong(
        "number",
        "env_file: 3",
        "expected text or a list, not a number",
        place="4:5",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "number-in-list",
        "env_file: [3]",
        "expected a path or a mapping, not a number",
        place="4:16",
        hint="write a path, or a mapping with path",
    ),
    Wrong(
        "mapping",
        "env_file: {path: a.env}",
        "expected text or a list, not a mapping",
        files={"a.env": ""},
        place="4:5",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "no-path",
        "env_file: [{required: true}]",
        '"path" is missing',
        place="4:16",
        hint="write path here",
    ),
    Wrong(
        "unknown-key",
        "env_file: [{path: a.env, requierd: false}]",
        'unknown key "requierd"',
        files={"a.env": ""},
        place="4:30",
        hint='did you mean "required"?',
    ),
    Wrong(
        "required-word",
        "env_file: [{path: a.env, required: maybe}]",
        "expected true or false, not text",
        files={"a.env": ""},
        hint="write true or false",
    ),
    Wrong(
        "format-unknown",
        "env_file: [{path: a.env, format: json}]",
        'unknown env file format "json"',
        files={"a.env": ""},
        place="4:30",
        hint="use raw, or leave it out",
    ),
    Wrong(
        "format-number",
        "env_file: [{path: a.env, format: 1}]",
        "expected text, not a number",
        files={"a.env": ""},
    ),
    Wrong(
        "raw-blank-in-name",
        "env_file: [{path: a.env, format: raw}]",
        "a variable's name cannot be empty or contain a space",
        files={"a.env": "A=1\nB =2\n"},
        place="2:0",
        hint="write NAME=value",
    ),
    Wrong(
        "blank-in-name",
        "env_file: a.env",
        "a variable's name cannot contain a space",
        files={"a.env": "A=1\nmy name=2\n"},
        place="2:0",
        hint="write NAME=value",
    ),
    Wrong(
        "open-quote",
        "env_file: a.env",
        "a quote is not closed",
        files={"a.env": 'A=1\nB="x\n'},
        place="2:0",
        hint='close it, or write \\" inside',
    ),
    Wrong(
        "required-variable",
        "env_file: a.env",
        'required variable "B" has no value: say b',
        files={"a.env": "A=${B:?say b}\n"},
        place="1:0",
        hint="set B in the environment or in an env file",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_env_file(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_env_file_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
