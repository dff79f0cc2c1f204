"""services.*.extends (compose-spec 05-services.md, extends)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.extends"

BASE = "services: {base: {image: base, environment: {A: 1, B: 1}, command: [a], cap_add: [ALL]}}"
ENVIRONMENT = "services.*.environment"
WEB = "services.web"

CASES = (
    Case("is-gone", "extends: {file: base.yaml, service: base}", ABSENT, files={"base.yaml": BASE}),
    Case(
        "file",
        "extends: {file: base.yaml, service: base}",
        {
            "cap_add": ["ALL"],
            "command": ["a"],
            "entrypoint": None,
            "environment": {"A": "1", "B": "1"},
            "image": "busybox",
            "networks": {"default": None},
        },
        key=WEB,
        files={"base.yaml": BASE},
    ),
    Case(
        "same-file",
        """
        services:
          web: {extends: {service: base}, command: [b]}
          base: {image: a, command: [a], tty: true}
        """,
        {
            "command": ["b"],
            "entrypoint": None,
            "image": "a",
            "networks": {"default": None},
            "tty": True,
        },
        key=WEB,
    ),
    Case(
        "short",
        """
        services:
          web: {extends: base, cap_drop: [ALL]}
          base: {image: a, cap_drop: [KILL]}
        """,
        {
            "cap_drop": ["KILL", "ALL"],
            "command": None,
            "entrypoint": None,
            "image": "a",
            "networks": {"default": None},
        },
        key=WEB,
    ),
    Case(
        "chain",
        """
        services:
          web: {extends: common, user: web}
          common: {extends: base, user: common, hostname: common}
          base: {image: a, user: root, hostname: base, tty: true}
        """,
        {
            "command": None,
            "entrypoint": None,
            "hostname": "common",
            "image": "a",
            "networks": {"default": None},
            "user": "web",
            "tty": True,
        },
        key=WEB,
    ),
    Case(
        "mappings-merge",
        "extends: {file: base.yaml, service: base}\nenvironment: [B=2, C=3]",
        {"A": "1", "B": "2", "C": "3"},
        key=ENVIRONMENT,
        files={"base.yaml": BASE},
    ),
    Case(
        "lists-append",
        "extends: {file: base.yaml, service: base}\ncap_add: [KILL, ALL]",
        ["ALL", "KILL"],
        key="services.*.cap_add",
        files={"base.yaml": BASE},
    ),
    Case(
        "commands-replace",
        "extends: {file: base.yaml, service: base}\ncommand: [c]",
        ["c"],
        key="services.*.command",
        files={"base.yaml": BASE},
    ),
    Case(
        "null-takes-back",
        "extends: {file: base.yaml, service: base}\ncommand:",
        None,
        key="services.*.command",
        files={"base.yaml": BASE},
    ),
    Case(
        "reset",
        "extends: {file: base.yaml, service: base}\ncap_add: !reset []",
        ABSENT,
        key="services.*.cap_add",
        files={"base.yaml": BASE},
    ),
    Case(
        "override",
        "extends: {file: base.yaml, service: base}\nenvironment: !override {C: 3}",
        {"C": "3"},
        key=ENVIRONMENT,
        files={"base.yaml": BASE},
    ),
    Case(
        "paths-of-the-other-file",
        "extends: {file: sub/base.yaml, service: base}\nvolumes: ['./b:/b']",
        [
            {"type": "bind", "source": "$HERE/sub/a", "target": "/a", "bind": {}},
            {"type": "bind", "source": "$HERE/b", "target": "/b", "bind": {}},
        ],
        key="services.*.volumes",
        files={"sub/base.yaml": "services: {base: {image: a, volumes: ['./a:/a']}}"},
    ),
    Case(
        "build-of-the-other-file",
        "extends: {file: sub/base.yaml, service: base}",
        {"context": "$HERE", "dockerfile": "D"},
        key="services.*.build",
        files={"sub/base.yaml": "services: {base: {build: {dockerfile: D}}}"},
    ),
    Case(
        "through-two-files",
        "extends: {file: a/a.yaml, service: a}",
        {"a": "1", "b": "1"},
        key="services.*.labels",
        files={
            "a/a.yaml": "services: {a: {extends: {file: ../b/b.yaml, service: b}, labels: {a: 1}}}",
            "b/b.yaml": "services: {b: {image: b, labels: {a: 0, b: 1}}}",
        },
    ),
    Case(
        "variable",
        "extends: {file: '${F}.yaml', service: '${S}'}",
        "busybox",
        key="services.*.image",
        files={"base.yaml": BASE},
        env={"F": "base", "S": "base"},
    ),
    Case(
        "depends-on-comes-too",
        """
        services:
          web: {extends: base}
          base: {image: a, depends_on: [db]}
          db: {image: b}
        """,
        {"db": {"condition": "service_started", "required": True}},
        key="services.web.depends_on",
    ),
    Case(
        "in-a-second-file",
        "tty: true",
        {
            "cap_add": ["ALL"],
            "command": ["a"],
            "entrypoint": None,
            "environment": {"A": "1", "B": "1"},
            "image": "busybox",
            "networks": {"default": None},
            "tty": True,
        },
        key=WEB,
        over="extends: {file: base.yaml, service: base}",
        files={"base.yaml": BASE},
    ),
)

WRONG = (
    Wrong(
        "no-service-there",
        "extends: {file: base.yaml, service: bsae}",
        'cannot extend service "bsae": there is none in "$HERE/base.yaml"',
        files={"base.yaml": BASE},
        place="4:5",
        hint='did you mean "base"?',
    ),
    Wrong(
        "no-service-here",
        "extends: {service: none}",
        'cannot extend service "none": there is none in this file',
        place="4:5",
        hint="services there: web",
    ),
    Wrong(
        "no-file",
        "extends: {file: none.yaml, service: base}",
        'cannot read "none.yaml"',
        place="4:15",
        hint='the path is relative to "$HERE"',
    ),
    Wrong(
        "itself",
        "extends: web",
        "services extend each other in a circle: web -> web",
        place="4:5",
        hint="break it",
    ),
    Wrong(
        "circle",
        """
        services:
          a: {image: a, extends: b}
          b: {image: a, extends: c}
          c: {image: a, extends: a}
        """,
        "services extend each other in a circle: a -> b -> c -> a",
        place="2:17",
        hint="break it",
    ),
    Wrong(
        "circle-through-files",
        "extends: {file: a.yaml, service: a}",
        "services extend each other in a circle: web -> a -> web",
        files={"a.yaml": "services: {a: {extends: {file: compose.yaml, service: web}}}"},
        hint="break it",
    ),
    Wrong(
        "list",
        "extends: [base]",
        "expected a service or a mapping, not a list",
        place="4:5",
        hint="write service: NAME below it",
    ),
    Wrong(
        "service-missing",
        "extends: {file: base.yaml}",
        '"service" is missing',
        files={"base.yaml": BASE},
        place="4:5",
        hint="name the service to extend",
    ),
    Wrong(
        "unknown-key",
        "extends: {file: base.yaml, servce: base}",
        'unknown key "servce"',
        files={"base.yaml": BASE},
        place="4:32",
        hint='did you mean "service"?',
    ),
    Wrong(
        "service-number",
        "extends: {service: 1}",
        "expected text, not a number",
        place="4:15",
        hint="put it in quotes",
    ),
    Wrong(
        "file-number",
        "extends: {service: a, file: 1}",
        "expected text, not a number",
        place="4:27",
        hint="put it in quotes",
    ),
    Wrong(
        "malformed-file",
        "extends: {file: bad.yaml, service: a}",
        "cannot parse YAML: did not find expected node content (while parsing a flow node at line 2)",
        files={"bad.yaml": "services: [\n"},
        place="2:1",
        hint="look at indentation, brackets and quotes near here",
    ),
    Wrong(
        "mistake-in-the-other-file",
        "extends: {file: base.yaml, service: base}",
        "expected true or false, not text",
        files={"base.yaml": "services:\n  base:\n    image: a\n    tty: perhaps\n"},
        place="4:5",
        hint="write true or false",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_extends(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_extends_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
