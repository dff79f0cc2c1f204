"""services.*: what holds for many attributes at once (compose-spec 05-services.md, 13-merge.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*"

_WATCH = {"path": "/src", "action": "rebuild", "exec": {"command": None}}
_SYNC = {"path": "/src", "action": "sync", "target": "/app", "exec": {"command": None}}
_VOLUME = {"type": "volume", "target": "/data", "volume": {}}
_ZERO = "its JSON leaves out zeros, so that it cannot be read again"

CASES = (
    Case("nothing over", "tty: true", True, over="services: {web: null}", key="services.*.tty"),
    Case("healthcheck", "healthcheck: {}", {}, key="services.*.healthcheck"),
    Case("develop", "develop: {x-mine: 1}", {}, key="services.*.develop"),
    Case("blkio", "blkio_config: {}", {}, key="services.*.blkio_config"),
    Case("logging", "logging: {}", {}, key="services.*.logging"),
    Case("deploy", "deploy: {}", {"placement": {}, "resources": {}}, key="services.*.deploy"),
    Case(
        "limits",
        "deploy: {resources: {limits: {}}}",
        {"limits": {}},
        key="services.*.deploy.resources",
    ),
    Case("ulimit", "ulimits: {nofile: 5}", {"nofile": 5}, key="services.*.ulimits"),
    Case(
        "ulimit pair",
        "ulimits: {nofile: {soft: 5, hard: 5}}",
        {"nofile": {"soft": 5, "hard": 5}},
        key="services.*.ulimits",
    ),
    Case(
        "ulimit zero",
        "ulimits: {core: 0}",
        {"core": {"soft": 0, "hard": 0}},
        key="services.*.ulimits",
        ours=_ZERO,
    ),
    Case(
        "ulimit half",
        "ulimits: {nofile: {soft: 1, hard: 9}}",
        {"nofile": {"soft": 5, "hard": 9}},
        over="ulimits: {nofile: {soft: 5}}",
        key="services.*.ulimits",
    ),
    Case(
        "ulimit by number",
        "ulimits: {nofile: {soft: 1, hard: 9}}",
        {"nofile": 5},
        over="ulimits: {nofile: 5}",
        key="services.*.ulimits",
    ),
    Case(
        "variable taken back",
        "environment: {A: a, B: b}",
        {"A": None, "B": "b"},
        over="environment: [A]",
        key="services.*.environment",
    ),
    Case(
        "argument taken back",
        "build: {context: /src, args: {A: a, B: b}}",
        {"B": "b"},
        over="build: {args: [A]}",
        key="services.*.build.args",
    ),
    Case(
        "appended once",
        "volumes_from: ['container:a', 'container:b']",
        ["container:a", "container:b", "container:c"],
        over="volumes_from: ['container:b', 'container:c']",
        key="services.*.volumes_from",
    ),
    Case(
        "last mount",
        "volumes: [/data]",
        [_VOLUME],
        over="volumes: [./src:/data, /data]",
        key="services.*.volumes",
    ),
    Case(
        "short mount",
        "volumes: [/a]",
        [{"type": "volume", "target": "/a"}],
        key="services.*.volumes",
    ),
    Case(
        "double slash",
        "volumes: [/a//b/]",
        [{**_VOLUME, "target": "/a/b"}],
        key="services.*.volumes",
    ),
    Case(
        "one place in two spellings",
        "volumes: ['./a:/c/../d', {type: bind, source: /b, target: /c/../d}]",
        [{"type": "bind", "source": "/b", "target": "/d"}],
        key="services.*.volumes",
    ),
    Case(
        "scalar by mapping",
        "services: {web: {image: busybox}}\nx-mine: 1",
        {"a": 1},
        over="services: {}\nx-mine: {a: 1}",
        key="x-mine",
    ),
    Case(
        "drives",
        r"volumes: ['C:\src:D:\to:ro']",
        [
            {
                "type": "bind",
                "source": r"C:\src",
                "target": r"D:\to",
                "read_only": True,
                "bind": {},
            }
        ],
        key="services.*.volumes",
    ),
    Case(
        "old develop",
        "x-develop: {watch: [{path: /src, action: rebuild}]}",
        [_WATCH],
        key="services.*.develop.watch",
    ),
    Case(
        "old initial sync",
        "develop: {watch: [{path: /src, action: rebuild, x-initialSync: true}]}",
        [{**_WATCH, "initial_sync": True}],
        key="services.*.develop.watch",
    ),
    Case(
        "old and new",
        "x-develop: {watch: [{path: /src, action: rebuild}]}\n"
        "develop: {watch: [{path: /src, action: sync, target: /app}]}",
        [_WATCH, _SYNC],
        key="services.*.develop.watch",
    ),
    Case(
        "old reset",
        "develop: {watch: [{path: /src, action: rebuild}]}",
        ABSENT,
        over="x-develop: !reset null",
        key="services.*.develop",
    ),
    Case(
        "labels of files",
        "label_file: some.txt\nlabels: {A: mine}",
        {"A": "mine", "B": "b"},
        files={"some.txt": "A=a\nB=b\n"},
        key="services.*.labels",
    ),
    Case(
        "files of labels",
        "label_file: some.txt",
        ["$HERE/some.txt"],
        files={"some.txt": "A=a\n"},
        key="services.*.label_file",
    ),
    Case(
        "raw",
        "env_file: [{path: some.txt, format: raw}]",
        {"A": '"a" # $$B', "C": "outside"},
        files={"some.txt": '  A="a" # $B\n\n # B=1\nC\nD\n'},
        env={"C": "outside"},
        key="services.*.environment",
    ),
    Case(
        "empty device",
        "services: {web: {image: busybox, volumes: ['data:/data']}}\n"
        "volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: ''}}}",
        "$HERE",
        key="volumes.data.driver_opts.device",
    ),
    Case(
        "dotenv by name",
        "env_file: [{path: some.txt, format: .env}]",
        {"A": "a"},
        files={"some.txt": "A='a'\n"},
        key="services.*.environment",
    ),
    Case("agent", "build: {ssh: [default]}", ["default"], key="services.*.build.ssh"),
)

WRONG = (
    Wrong("name", "name: 7\nservices: {web: {image: busybox}}", "expected text", place="1:1"),
    Wrong("no name", "services: {web/x: {image: busybox}}", "is no name"),
    Wrong(
        "network name",
        "services: {web: {image: busybox}}\nnetworks: {/: {}}",
        '"/" is no name',
    ),
    Wrong("dependency", "depends_on: {web: {required: true}}", '"condition" is missing'),
    Wrong("space", "environment: ['A =x']", "end with a space"),
    Wrong("ssh key", "build: {ssh: [mine]}", "neither"),
    Wrong("context", "build: {additional_contexts: [a]}", "has no place"),
    Wrong("half a ulimit", "ulimits: {nofile: {soft: 1}}", '"hard" is missing'),
    Wrong("unknown null", "healthcheck: {some: null}", 'unknown key "some"'),
    Wrong("unknown null key", "some:", 'unknown key "some"', place="4:5"),
    Wrong("space alone", "environment: ['A ']", "end with a space"),
    Wrong("nothing", "services: {web: null}", "expected a mapping"),
    Wrong(
        "two sources",
        "services: {web: {image: busybox}}\nconfigs: {a: {content: x, environment: HOME}}",
        "environment and content exclude each other",
    ),
    Wrong(
        "no source",
        "services: {web: {image: busybox}}\nsecrets: {a: {}}",
        "one of file or environment must be given",
    ),
    Wrong(
        "raw name",
        "env_file: [{path: some.txt, format: raw}]",
        "a space",
        files={"some.txt": "A B=c\n"},
        place="1:0",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_together(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_together_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
