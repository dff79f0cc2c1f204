"""include (compose-spec 14-include.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Json, Wrong, check, check_wrong

KEY = "include"
COVERS = ("include.[].path", "include.[].env_file", "include.[].project_directory")

WEB = "services: {web: {image: a}}\n"
PART = """
services:
  db: {image: "b:${TAG:-none}", volumes: ["./d:/d"], env_file: [e.env]}
"""
FILES = {"sub/compose.yaml": PART, "sub/e.env": "X=1\n"}
LOOSE = "it ignores a key that its schema refuses"
NO_PATH = "it takes an entry without a file for none"


def include(value: str, rest: str = WEB) -> str:
    return f"include: {value}\n{rest}"


def mount(source: str, target: str = "/d") -> list[Json]:
    return [{"type": "bind", "source": source, "target": target, "bind": {}}]


def tag(name: str, value: str, *, env: dict[str, str] | None = None, **files: str) -> Case:
    """Return the case of the variable that the included file is read with."""
    written = {key.replace("_", "."): text for key, text in files.items()}
    written = {key.replace("sub.", "sub/."): text for key, text in written.items()}
    entry = f"[{{path: sub/compose.yaml{value}}}]"
    return Case(
        name,
        include(entry),
        f"b:{name.partition('-')[0]}",
        key="services.db.image",
        files={**FILES, **written},
        env=env or {},
    )


CASES = (
    Case(
        "short",
        include("[sub/compose.yaml]"),
        mount("$HERE/sub/d"),
        key="services.db.volumes",
        files=FILES,
    ),
    Case(
        "short-dot",
        include("[./sub/compose.yaml]"),
        {"X": "1"},
        key="services.db.environment",
        files=FILES,
    ),
    Case(
        "long",
        include("[{path: sub/compose.yaml}]"),
        mount("$HERE/sub/d"),
        key="services.db.volumes",
        files=FILES,
    ),
    Case("beside", include("[sub/compose.yaml]"), "a", key="services.web.image", files=FILES),
    Case("not-shown", include("[sub/compose.yaml]"), ABSENT, files=FILES),
    Case("alone", include("[a.yaml]", ""), "a", key="services.web.image", files={"a.yaml": WEB}),
    Case(
        "variable",
        include("['${D}/compose.yaml']"),
        {"X": "1"},
        key="services.db.environment",
        files=FILES,
        env={"D": "sub"},
    ),
    Case("empty", include("[]"), "a", key="services.web.image"),
    Case("null", include(""), "a", key="services.web.image"),
    Case(
        "empty-file",
        include("[a.yaml]"),
        "a",
        key="services.web.image",
        files={"a.yaml": "# nothing\n"},
    ),
    Case(
        "path-list",
        include("[{path: [sub/compose.yaml, over.yaml]}]"),
        mount("$HERE/sub/z"),
        key="services.db.volumes",
        files={**FILES, "over.yaml": "services: {db: {user: u, volumes: ['./z:/d']}}"},
    ),
    Case(
        "project-directory",
        include("[{path: sub/compose.yaml, project_directory: other}]"),
        mount("$HERE/other/d"),
        key="services.db.volumes",
        files={**FILES, "other/e.env": "Y=2\n"},
    ),
    Case(
        "project-directory-env",
        include("[{path: sub/compose.yaml, project_directory: other}]"),
        "b:two",
        key="services.db.image",
        files={**FILES, "other/e.env": "", "other/.env": "TAG=two\n"},
    ),
    tag("none", ""),
    tag("dot", "", sub_env="TAG=dot\n"),
    tag("outer-dot", "", sub_env="TAG=dot\n", env={"TAG": "outer"}),
    tag("mine", ", env_file: my.env", sub_env="TAG=dot\n", my_env="TAG=mine\n"),
    tag("last-file", ", env_file: [my.env, b.env]", my_env="TAG=mine\n", b_env="TAG=last\n"),
    tag("outer-file", ", env_file: my.env", my_env="TAG=mine\n", env={"TAG": "outer"}),
    tag("dot-empty-list", ", env_file: []", sub_env="TAG=dot\n"),
    tag("none-devnull", ", env_file: /dev/null", sub_env="TAG=dot\n"),
    Case(
        "resources",
        include("[a.yaml]"),
        {"file": "$HERE/c", "name": "orc_c"},
        key="configs.c",
        files={
            "a.yaml": """
                name: other
                services: {x: {image: a, networks: [n], configs: [c], volumes: ["vol:/x"]}}
                networks: {n: }
                volumes: {vol: }
                configs: {c: {file: ./c}}
                x-own: 1
            """.replace("\n                ", "\n")
        },
    ),
    Case(
        "no-extension",
        include("[a.yaml]"),
        ABSENT,
        key="x-own",
        files={"a.yaml": "x-own: 1\n" + WEB},
    ),
    Case(
        "nested",
        include("[sub/compose.yaml]"),
        mount("$HERE/sub/more/q", "/q"),
        key="services.deep.volumes",
        files={
            "sub/compose.yaml": "include: [more/c.yaml]\n",
            "sub/more/c.yaml": "services: {deep: {image: d, volumes: ['./q:/q']}}",
        },
    ),
    Case(
        "extends",
        include("[a.yaml]"),
        mount("$HERE/sub/k", "/k"),
        key="services.x.volumes",
        files={
            "a.yaml": "services: {x: {extends: {service: y, file: sub/b.yaml}}}",
            "sub/b.yaml": "services: {y: {image: b, volumes: ['./k:/k']}}",
        },
    ),
    Case(
        "depends",
        include("[a.yaml]", "services: {web: {image: a, depends_on: [x]}}"),
        {"x": {"condition": "service_started", "required": True}},
        key="services.web.depends_on",
        files={"a.yaml": "services: {x: {image: a}}"},
    ),
    Case(
        "profile",
        include("[a.yaml]"),
        ABSENT,
        key="services.x",
        files={"a.yaml": "services: {x: {image: a, profiles: [p]}}"},
    ),
    Case(
        "twice",
        include("[sub/compose.yaml, sub/compose.yaml]"),
        mount("$HERE/sub/d"),
        key="services.db.volumes",
        files=FILES,
    ),
    Case(
        "own-wins",
        include("[a.yaml]"),
        "a",
        key="services.web.image",
        files={"a.yaml": "services: {web: {image: b}}"},
    ),
    Case(
        "own-merges",
        include("[a.yaml]"),
        "u",
        key="services.web.user",
        files={"a.yaml": "services: {web: {image: b, user: u}}"},
    ),
    Case(
        "first-wins",
        include("[a.yaml, b.yaml]"),
        "a",
        key="services.x.image",
        files={"a.yaml": "services: {x: {image: a}}", "b.yaml": "services: {x: {image: b}}"},
    ),
    Case(
        "over",
        include("[sub/compose.yaml]"),
        "mine",
        key="services.db.image",
        files=FILES,
        over="services: {db: {image: mine}}",
    ),
    Case(
        "over-include",
        include("[a.yaml]"),
        "b",
        key="services.y.image",
        files={"a.yaml": "services: {x: {image: a}}", "b.yaml": "services: {y: {image: b}}"},
        over="# o\ninclude: [b.yaml]",
    ),
    Case(
        "over-reset",
        include("[a.yaml]"),
        "a",
        key="services.x.image",
        files={"a.yaml": "services: {x: {image: a}}"},
        over="# o\ninclude: !reset []",
    ),
)

WRONG = (
    Wrong(
        "text",
        include("sub/compose.yaml"),
        "expected a list, not text",
        place="1:1",
        hint="dash",
        files=FILES,
    ),
    Wrong(
        "mapping",
        include("{path: sub/compose.yaml}"),
        "expected a list, not a mapping",
        files=FILES,
    ),
    Wrong(
        "number",
        include("[1]"),
        "expected a path or a mapping, not a number",
        place="1:11",
        hint="path",
    ),
    Wrong(
        "missing",
        include("[nope.yaml]"),
        'cannot include "nope.yaml": there is no such file',
        place="1:11",
        hint="paths of this file start at",
    ),
    Wrong("directory", include("[sub]"), 'cannot include "sub": it is a directory', files=FILES),
    Wrong("no-home", include("['~/nope.yaml']"), "there is no such file"),
    Wrong(
        "remote",
        include("['https://example.com/a.yaml']"),
        "cannot include a remote file",
        hint="local copy",
    ),
    Wrong(
        "no-path",
        include("[{env_file: my.env}]"),
        '"path" is missing',
        files={"my.env": ""},
        place="1:11",
        hint="file",
        ours=NO_PATH,
    ),
    Wrong("path-empty", include("[{path: []}]"), '"path" is missing', ours=NO_PATH),
    Wrong(
        "path-number", include("[{path: 3}]"), "expected text or a list, not a number", place="1:12"
    ),
    Wrong(
        "path-number-item",
        include("[{path: [3]}]"),
        "expected text, not a number",
        place="1:19",
        hint="quotes",
    ),
    Wrong(
        "near",
        include("[{path: a.yaml, env_fil: x}]"),
        'unknown key "env_fil"',
        place="1:26",
        hint='"env_file"',
        files={"a.yaml": WEB},
        ours=LOOSE,
    ),
    Wrong(
        "extension",
        include("[{path: a.yaml, x-a: x}]"),
        'unknown key "x-a"',
        hint="known here: path",
        files={"a.yaml": WEB},
        ours=LOOSE,
    ),
    Wrong(
        "directory-number",
        include("[{path: a.yaml, project_directory: [3]}]"),
        "expected a path, not a list",
        place="1:26",
        files={"a.yaml": WEB},
    ),
    Wrong(
        "env-number",
        include("[{path: a.yaml, env_file: 3}]"),
        "expected text or a list, not a number",
        files={"a.yaml": WEB},
    ),
    Wrong(
        "env-missing",
        include("[{path: a.yaml, env_file: my.env}]"),
        'env file "my.env": there is no such file',
        place="1:11",
        files={"a.yaml": WEB},
    ),
    Wrong(
        "itself",
        include("[compose.yaml]"),
        "files include each other in a circle",
        place="1:11",
        hint="break it",
    ),
    Wrong(
        "circle",
        include("[a.yaml]"),
        "files include each other in a circle",
        files={"a.yaml": "include: [b.yaml]\n", "b.yaml": "include: [a.yaml]\n"},
    ),
    Wrong(
        "inside",
        include("[a.yaml]"),
        'unknown key "usr"',
        place="1:26",
        hint='"user"',
        files={"a.yaml": "services: {x: {image: a, usr: b}}"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_include(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_include_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
