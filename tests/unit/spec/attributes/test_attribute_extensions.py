"""x-* keys at every level (compose-spec 11-extension.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "x-own"

EVERYWHERE = """
x-own: {a: 1}
services:
  web:
    x-own: 1
    image: a
    annotations: {x-own: kept}
    blkio_config: {weight: 10}
    build: {context: ., x-own: 1}
    configs: [{source: c, x-own: 1}]
    credential_spec: {file: a, x-own: 1}
    depends_on: {db: {condition: service_started, x-own: 1}}
    deploy:
      x-own: 1
      placement: {preferences: [{spread: a, x-own: 1}], x-own: 1}
      resources:
        x-own: 1
        limits: {cpus: 1, x-own: 1}
        reservations: {memory: 1m, x-own: 1, devices: [{capabilities: [gpu], x-own: 1}]}
      restart_policy: {condition: any, x-own: 1}
      update_config: {parallelism: 1, x-own: 1}
      rollback_config: {parallelism: 1, x-own: 1}
    develop: {x-own: 1, watch: [{path: ., action: rebuild, x-own: 1}]}
    devices: [{source: /dev/null, target: /dev/a, x-own: 1}]
    healthcheck: {test: a, x-own: 1}
    logging: {driver: a, x-own: 1}
    models: {m: {x-own: 1}}
    networks: {n: {x-own: 1}}
    ports: [{target: 80, x-own: 1}]
    post_start: [{command: a, x-own: 1}]
    secrets: [{source: s, x-own: 1}]
    ulimits: {nofile: {soft: 1, hard: 2, x-own: 1}}
    volumes:
      - {type: bind, source: /a, target: /a, x-own: 1, bind: {x-own: 1}}
      - {type: volume, target: /b, volume: {x-own: 1}}
      - {type: tmpfs, target: /c, tmpfs: {x-own: 1}}
      - {type: image, source: i, target: /d, image: {x-own: 1}}
      - {type: volume, source: v, target: /e}
  db: {image: b}
networks: {n: {x-own: 1, ipam: {x-own: 1, config: [{subnet: 10.0.0.0/8, x-own: 1}]}}}
volumes: {v: {x-own: 1}}
secrets: {s: {file: ./s, x-own: 1}}
configs: {c: {content: a, x-own: 1}}
models: {m: {model: a, x-own: 1}}
"""


def own(value: str) -> str:
    return f"name: orc\nx-own: {value}\nservices: {{web: {{image: a}}}}"


CASES = (
    Case("everywhere", "# x\n" + EVERYWHERE.lstrip(), {"a": 1}),
    Case(
        "everywhere-kept",
        "# x\n" + EVERYWHERE.lstrip(),
        {"x-own": "kept"},
        key="services.web.annotations",
        ours="it takes it for an extension of a mapping that has none",
    ),
    Case(
        "element",
        "x-own: {b: '${V}'}",
        {"b": "v"},
        key="services.web.x-own",
        env={"V": "v"},
        shape="yaml",
    ),
    Case(
        "element-port",
        "# x\n" + EVERYWHERE.lstrip(),
        {"x-own": 1},
        key="services.web.networks.n",
        shape="yaml",
    ),
    Case(
        "element-over",
        "x-own: [a]",
        ["a", "b"],
        over="x-own: [b]",
        key="services.web.x-own",
        shape="yaml",
    ),
    Case(
        "everywhere-hidden", "# x\n" + EVERYWHERE.lstrip(), {"n": {}}, key="services.web.networks"
    ),
    Case("text", own("hello"), "hello"),
    Case("number", own("0x10"), 16),
    Case("fraction", own("2.5"), 2.5),
    Case("null", own(""), None),
    Case(
        "nested",
        own("{b: [1, true, null, {c: d}], a: {}}"),
        {"a": {}, "b": [1, True, None, {"c": "d"}]},
    ),
    Case(
        "variable",
        own("{a: '${V}', b: ['$V', $$V]}"),
        {"a": "v", "b": ["v", "$$V"]},
        env={"V": "v"},
    ),
    Case("bare", "# x\nx-: 1\nservices: {web: {image: a}}", 1, key="x-"),
    Case(
        "anchor",
        own("&one {image: b}").replace("{image: a}", "*one"),
        "b",
        key="services.web.image",
    ),
    Case("over", own("{a: 1, b: 2}"), {"a": 3, "b": 2}, over=own("{a: 3}")),
    Case("over-list", own("[a]"), ["a", "b"], over=own("[a, b]")),
    Case("over-text", own("a"), "b", over=own("b")),
    Case("reset", own("{a: 1}"), ABSENT, over=own("!reset null")),
    Case("override", own("{a: 1}"), ["c"], over=own("!override [c]")),
)

WRONG = (
    Wrong(
        "capital", "# x\nX-own: 1\nservices: {web: {image: a}}", 'unknown key "X-own"', place="2:1"
    ),
    Wrong(
        "no-dash",
        "# x\nxown: 1\nservices: {web: {image: a}}",
        'unknown key "xown"',
        hint="known here",
    ),
    Wrong(
        "kinds",
        own("{a: 1}"),
        "cannot override a mapping by a list",
        over=own("[a]"),
        place="2:1",
        hint="!override",
    ),
    Wrong("blkio", "blkio_config: {weight: 1, x-own: 1}", 'unknown key "x-own"', place="4:31"),
    Wrong("env-file", "env_file: [{path: /dev/null, x-own: 1}]", 'unknown key "x-own"'),
    Wrong(
        "include",
        "include: [{path: a.yaml, x-own: 1}]\n",
        'unknown key "x-own"',
        files={"a.yaml": "services: {}"},
        ours="it ignores what its schema refuses there",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_extensions(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_extensions_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
