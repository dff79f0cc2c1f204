"""services.*.volumes (compose-spec 05-services.md, volumes)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Json, Wrong, check, check_wrong

KEY = "services.*.volumes"

Mount = dict[str, "Json"]
NO_SOURCE = "it mounts the project's directory where there is no source"


def bind(source: str, target: str = "/b", **more: Json) -> Mount:
    """Return a bind mount as the short form is shown."""
    return {"type": "bind", "source": source, "target": target, "bind": {}, **more}


def long(attributes: str) -> str:
    return f"volumes: [{{target: /b, {attributes}}}]"


def shown(kind: str, **more: Json) -> list[Json]:
    return [{"type": kind, "target": "/b", **more}]


def named(mount: str) -> str:
    """Return a project with the volume "data"."""
    return f"""
services: {{web: {{image: a, volumes: [{mount}]}}}}
volumes: {{data: }}
"""


SHORT: dict[str, Json] = {
    "/a:/b": [bind("/a")],
    "./a:/b": [bind("$HERE/a")],
    "./a/../c:/b": [bind("$HERE/c")],
    ".:/b": [bind("$HERE")],
    ".a:/b": [bind("$HERE/.a")],
    "~:/b": [bind("/home/orc")],
    "~/a:/b": [bind("/home/orc/a")],
    "/:/b": [bind("/")],
    "/a:/b/../c/": [bind("/a", "/c")],
    "/a:b": [bind("/a", "b")],
    "/a b:/c d": [bind("/a b", "/c d")],
    "/a:/b:ro": [bind("/a", read_only=True)],
    "/a:/b:rw": [bind("/a")],
    "/a:/b:ro,rw": [bind("/a")],
    "/a:/b:ro,z": [bind("/a", read_only=True, bind={"selinux": "z"})],
    "/a:/b:Z,rshared": [bind("/a", bind={"selinux": "Z", "propagation": "rshared"})],
    "/a:/b:nocopy": [bind("/a", volume={"nocopy": True})],
    "/a:/b:cached": [bind("/a")],
    "/a:/b:RO": [bind("/a")],
    "/cache": [{"type": "volume", "target": "/cache", "volume": {}}],
    "/cache/": [{"type": "volume", "target": "/cache", "volume": {}}],
    "./cache": [{"type": "volume", "target": "cache", "volume": {}}],
    "C:\\a:/b": [bind("C:\\a")],
    "c:/a:/b:ro": [bind("c:/a", read_only=True)],
}

CASES = (
    *(
        Case(f"short-{index}", f"volumes: ['{text}']", SHORT[text])
        for index, text in enumerate(SHORT)
    ),
    Case("named", named("'data:/b'"), shown("volume", source="data", volume={})),
    Case(
        "named-nocopy",
        named("'data:/b:ro,nocopy'"),
        shown("volume", source="data", read_only=True, volume={"nocopy": True}),
    ),
    Case("variable", "volumes: ['${SRC:-/x}:/b']", [bind("/x")]),
    Case("variable-part", "volumes: ['$SRC/x:/b']", [bind("$HERE/s/x")], env={"SRC": "./s"}),
    Case("bind", long("type: bind, source: ./a"), shown("bind", source="$HERE/a")),
    Case("bind-plain", long("type: bind, source: a"), shown("bind", source="$HERE/a")),
    Case("bind-home", long("type: bind, source: '~'"), shown("bind", source="/home/orc")),
    Case("bind-as-written", long("type: bind, source: /a/../c"), shown("bind", source="/a/../c")),
    Case(
        "bind-options",
        """
        volumes:
          - type: bind
            source: /a
            target: /b
            read_only: "true"
            consistency: cached
            bind:
              propagation: rshared
              create_host_path: false
              recursive: readonly
              selinux: z
              x-a: 1
            x-a: 1
        """,
        shown(
            "bind",
            source="/a",
            read_only=True,
            consistency="cached",
            bind={
                "propagation": "rshared",
                "create_host_path": False,
                "recursive": "readonly",
                "selinux": "z",
            },
        ),
    ),
    Case(
        "bind-empty", long("type: bind, source: /a, bind: {}"), shown("bind", source="/a", bind={})
    ),
    Case(
        "bind-null", long("type: bind, source: /a, bind: "), shown("bind", source="/a"), ours=NULL
    ),
    Case(
        "create",
        long("type: bind, source: /a, bind: {create_host_path: true}"),
        shown("bind", source="/a", bind={}),
    ),
    Case(
        "create-text",
        long("type: bind, source: /a, bind: {create_host_path: 'no'}"),
        shown("bind", source="/a", bind={"create_host_path": False}),
    ),
    Case(
        "propagation-any",
        long("type: bind, source: /a, bind: {propagation: x}"),
        shown("bind", source="/a", bind={"propagation": "x"}),
    ),
    Case("anonymous", long("type: volume"), shown("volume")),
    Case(
        "volume-options",
        long("type: volume, volume: {nocopy: 'true', subpath: s, labels: [a=b, c], x-a: 1}"),
        shown("volume", volume={"nocopy": True, "subpath": "s", "labels": {"a": "b", "c": ""}}),
    ),
    Case(
        "volume-labels",
        long("type: volume, volume: {labels: {a: 1, b: true, c: , d: 1.5}}"),
        shown("volume", volume={"labels": {"a": "1", "b": "true", "c": "", "d": "1.5"}}),
    ),
    Case(
        "volume-options-on-bind",
        long("type: bind, source: /a, volume: {nocopy: true}"),
        shown("bind", source="/a", volume={"nocopy": True}),
    ),
    Case("tmpfs", long("type: tmpfs"), shown("tmpfs")),
    Case("tmpfs-empty", long("type: tmpfs, tmpfs: {}"), shown("tmpfs", tmpfs={})),
    Case(
        "tmpfs-options",
        long("type: tmpfs, tmpfs: {size: 10m, mode: 0755, x-a: 1}"),
        shown("tmpfs", tmpfs={"size": "10485760", "mode": 493}),
    ),
    Case(
        "tmpfs-bytes", long("type: tmpfs, tmpfs: {size: 10}"), shown("tmpfs", tmpfs={"size": "10"})
    ),
    Case(
        "tmpfs-octal",
        long("type: tmpfs, tmpfs: {mode: 0o1777}"),
        shown("tmpfs", tmpfs={"mode": 1023}),
    ),
    Case(
        "tmpfs-mode-text",
        long("type: tmpfs, tmpfs: {mode: '0755'}"),
        shown("tmpfs", tmpfs={"mode": 493}),
        ours="it cannot read the text that its schema allows",
    ),
    Case(
        "image",
        long("type: image, source: alpine, image: {subpath: etc, x-a: 1}"),
        shown("image", source="alpine", image={"subpath": "etc"}),
    ),
    Case(
        "image-empty",
        long("type: image, source: alpine, image: {}"),
        shown("image", source="alpine", image={}),
    ),
    Case("cluster", long("type: cluster, source: group:x"), shown("cluster", source="group:x")),
    Case(
        "npipe",
        long("type: npipe, source: '\\\\.\\pipe\\a'"),
        shown("npipe", source="\\\\.\\pipe\\a"),
    ),
    Case("read-only-false", long("type: tmpfs, read_only: false"), shown("tmpfs")),
    Case("empty", "volumes: []", ABSENT),
    Case("null", "volumes:", ABSENT, ours=NULL),
    Case("repeated", "volumes: ['/a:/b', '/c:/b']", [bind("/c")]),
    Case("repeated-slash", "volumes: ['/a:/b', '/c:/b/']", [bind("/c")]),
    Case("over", "volumes: ['/a:/b']", [bind("/a"), bind("/c", "/d")], over="volumes: ['/c:/d']"),
    Case(
        "over-target",
        "volumes: ['/a:/b']",
        [bind("/c", read_only=True)],
        over="volumes: ['/c:/b:ro']",
    ),
    Case("over-long", "volumes: ['/a:/b']", shown("tmpfs"), over=long("type: tmpfs")),
    Case("override", "volumes: ['/a:/b']", [bind("/c", "/d")], over="volumes: !override ['/c:/d']"),
    Case("reset", "volumes: ['/a:/b']", ABSENT, over="volumes: !reset []"),
)

WRONG = (
    Wrong("text", "volumes: '/a:/b'", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("mapping", "volumes: {a: /b}", "expected a list, not a mapping"),
    Wrong(
        "number",
        "volumes: ['/a:/b', 1]",
        "expected a mount, not a number",
        place="4:24",
        hint="SOURCE",
    ),
    Wrong("list", "volumes: [[a]]", "expected a mount, not a list"),
    Wrong("null-item", "volumes: [null]", "expected a mount, not nothing"),
    Wrong("no-text", "volumes: ['']", "has an empty part", place="4:15"),
    Wrong("no-source", "volumes: [':/b']", "has an empty part", hint="[SOURCE:]TARGET[:OPTIONS]"),
    Wrong("no-target", "volumes: ['/a::ro']", "has an empty part"),
    Wrong("no-options", "volumes: ['/a:/b:']", "has an empty part"),
    Wrong("unset", "volumes: ['${SRC}:/b']", "has an empty part"),
    Wrong("colons", "volumes: ['/a:/b:ro:rw']", "has too many colons"),
    Wrong(
        "colons-drive",
        "volumes: ['a:b:c:d']",
        "has too many colons",
        ours="it mounts a:b at c:d, as if a were a drive",
    ),
    Wrong("no-type", long("source: /a"), '"type" is missing', place="4:15", hint="type"),
    Wrong("type", long("type: bnd, source: /a"), 'expected "bind", "volume"', hint='"bind"?'),
    Wrong("type-number", long("type: 3"), 'expected "bind", "volume", "tmpfs"'),
    Wrong(
        "bind-no-source",
        long("type: bind"),
        '"source" is missing',
        place="4:15",
        hint="what to mount",
    ),
    Wrong(
        "bind-empty-source", long("type: bind, source: ''"), '"source" is missing', ours=NO_SOURCE
    ),
    Wrong(
        "source-number", long("type: bind, source: 1"), "expected text, not a number", place="4:40"
    ),
    Wrong(
        "target-missing", "volumes: [{type: bind, source: /a}]", '"target" is missing', hint="where"
    ),
    Wrong("target-number", "volumes: [{type: tmpfs, target: 3}]", "expected text, not a number"),
    Wrong("read-only-word", long("type: tmpfs, read_only: maybe"), "true or false, not text"),
    Wrong(
        "read-only-near",
        long("type: tmpfs, readonly: true"),
        'unknown key "readonly"',
        hint='"read_only"',
    ),
    Wrong("consistency", long("type: tmpfs, consistency: 3"), "expected text, not a number"),
    Wrong(
        "recursive", long("type: bind, source: /a, bind: {recursive: x}"), '"enabled", "disabled"'
    ),
    Wrong("selinux", long("type: bind, source: /a, bind: {selinux: x}"), 'expected "z" or "Z"'),
    Wrong(
        "bind-near",
        long("type: bind, source: /a, bind: {propagate: x}"),
        'unknown key "propagate"',
        place="4:59",
        hint='did you mean "propagation"?',
    ),
    Wrong(
        "bind-create", long("type: bind, source: /a, bind: {create_host_path: 1}"), "not a number"
    ),
    Wrong(
        "bind-text", long("type: bind, source: /a, bind: rshared"), "expected a mapping, not text"
    ),
    Wrong("nocopy", long("type: volume, volume: {nocopy: 1}"), "true or false, not a number"),
    Wrong("subpath", long("type: volume, volume: {subpath: 1}"), "expected text, not a number"),
    Wrong(
        "labels",
        long("type: volume, volume: {labels: x}"),
        "KEY=VALUE, not text",
        hint="KEY: VALUE",
    ),
    Wrong(
        "volume-near",
        long("type: volume, volume: {no_copy: x}"),
        'unknown key "no_copy"',
        hint='"nocopy"',
    ),
    Wrong(
        "size",
        long("type: tmpfs, tmpfs: {size: lots}"),
        "expected a size",
        place="4:49",
        hint='"512m"',
    ),
    Wrong("size-negative", long("type: tmpfs, tmpfs: {size: -1}"), "expected at least 0"),
    Wrong(
        "size-negative-text",
        long("type: tmpfs, tmpfs: {size: '-1'}"),
        "at least 0",
        ours="it takes the text",
    ),
    Wrong(
        "mode",
        long("type: tmpfs, tmpfs: {mode: '9'}"),
        "expected a file mode in octal",
        hint='"0440"',
    ),
    Wrong("tmpfs-near", long("type: tmpfs, tmpfs: {sise: 1}"), 'unknown key "sise"', hint='"size"'),
    Wrong(
        "image-near",
        long("type: image, source: a, image: {path: x}"),
        'unknown key "path"',
        hint='"subpath"',
    ),
    Wrong(
        "unknown", named("'dat:/b'"), 'no volume "dat" in this project', hint='did you mean "data"?'
    ),
    Wrong("unknown-long", long("type: volume, source: /a"), 'no volume "/a" in this project'),
    Wrong("not-a-path", "volumes: ['a/b:/c']", 'no volume "a/b" in this project', place="4:15"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_volumes(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_volumes_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
