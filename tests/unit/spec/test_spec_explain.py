"""Where values come from: one case for each rule, and what was overridden in its order."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestra.spec.explain import Origin, Rule
from orchestra.spec.loader import LoadOptions, load_project
from orchestra.spec.provenance import Explanation, explain, find_key
from orchestra.spec.tracing import Trace

SHELL = {"HOME": "/home/orc", "SHELLED": "s"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """``says``: the value, then a line for each origin, the one that won first."""

    id: str
    key: str
    says: str
    files: Mapping[str, str]
    options: LoadOptions = field(default_factory=LoadOptions)


BASE = """\
name: demo
services:
  web:
    image: web:${TAG:-1}
    environment: [A=1, SHELLED, FROM_FILE]
    env_file: app.env
    command: [a, b]
    ports: ["8080:80", "9000:90"]
    volumes: ["./d:/d/", data:/data]
    extra_hosts: ["h=1.2.3.4"]
    labels: {com.x: "${TAG}-${NONE}-${SHELLED:+set}"}
  job: {extends: web, environment: {A: "2"}}
volumes: {data: }
"""
FILES = {"compose.yaml": BASE, "app.env": "# first\nA=9\nB=2\n", ".env": "TAG=7\nFROM_FILE=f\n"}
OVER_TEXT = "services: {web: {volumes: ['./e:/d'], command: c, image: i, ports: ['9000:90']}}\n"
OVER = {**FILES, "over.yaml": OVER_TEXT}
TWO = LoadOptions(files=("compose.yaml", "over.yaml"))

CASES = (
    Case(
        id="env-file-variable",
        key="services.web.image",
        files=FILES,
        says="web:7 | file compose.yaml:4:5 web:${TAG:-1} {TAG env_file .env:1}",
    ),
    Case(
        id="default-of-a-variable",
        key="services.web.image",
        files={**FILES, ".env": ""},
        says="web:1 | file compose.yaml:4:5 web:${TAG:-1} {TAG default ${TAG:-1}}",
    ),
    Case(
        id="several-variables",
        key="services.web.labels.com.x",
        files=FILES,
        says="7--set | file compose.yaml:11:14 ${TAG}-${NONE}-${SHELLED:+set} "
        "{TAG env_file .env:1, NONE unset, SHELLED shell ${SHELLED:+set}}",
    ),
    Case(
        id="a-later-env-file-wins",
        key="services.web.image",
        files={**FILES, "a.env": "TAG=a\n", "b.env": "\nTAG=b\n"},
        options=LoadOptions(env_files=("a.env", "b.env")),
        says="web:b | file compose.yaml:4:5 web:${TAG:-1} {TAG env_file b.env:2}",
    ),
    Case(
        id="taken-from-the-shell",
        key="services.web.environment.SHELLED",
        files=FILES,
        says="s | file compose.yaml:5:24 SHELLED {SHELLED shell}",
    ),
    Case(
        id="taken-from-dotenv",
        key="services.web.environment.FROM_FILE",
        files=FILES,
        says="f | file compose.yaml:5:33 FROM_FILE {FROM_FILE env_file .env:2}",
    ),
    Case(
        id="env-file-of-a-service",
        key="services.web.environment.B",
        files=FILES,
        says="2 | env_file app.env:3",
    ),
    Case(
        id="environment-over-env-file",
        key="services.web.environment.A",
        files=FILES,
        says="1 | file compose.yaml:5:19 A=1 | env_file app.env:2",
    ),
    Case(
        id="extends-in-one-file",
        key="services.job.environment.A",
        files=FILES,
        says="2 | file compose.yaml:12:37 2 | extends(web) compose.yaml:5:19 A=1 "
        "| env_file app.env:2",
    ),
    Case(
        id="override-file",
        key="services.web.image",
        files=OVER,
        options=TWO,
        says="i | override over.yaml:1:51 i "
        "| file compose.yaml:4:5 web:${TAG:-1} {TAG env_file .env:1}",
    ),
    Case(
        id="a-command-is-replaced-whole",
        key="services.web.command.0",
        files=OVER,
        options=TWO,
        says="['c'] | override over.yaml:1:39 c | file compose.yaml:7:5",
    ),
    Case(
        id="list-items-are-followed-by-what-they-are",
        key="services.web.volumes[0].source",
        files=OVER,
        options=TWO,
        says="$HERE/e | override over.yaml:1:28 ./e:/d | file compose.yaml:9:15 ./d:/d/",
    ),
    Case(
        id="an-item-that-was-there-already-adds-nothing",
        key="services.web.ports.1.published",
        files=OVER,
        options=TWO,
        says="9000 | file compose.yaml:8:24 9000:90",
    ),
    Case(
        id="a-target-that-was-tidied",
        key="services.web.volumes.0.target",
        files=FILES,
        says="/d | file compose.yaml:9:15 ./d:/d/",
    ),
    Case(
        id="extra-hosts",
        key="services.web.extra_hosts.0",
        files=FILES,
        says="h=1.2.3.4 | file compose.yaml:10:19 h=1.2.3.4",
    ),
    Case(
        id="default-of-compose",
        key="volumes.data.name",
        files=FILES,
        says="demo_data | default",
    ),
    Case(
        id="the-name-of-the-file",
        key="name",
        files=FILES,
        says="demo | file compose.yaml:1:1 demo",
    ),
    Case(
        id="the-name-that-was-given",
        key="name",
        files=FILES,
        options=LoadOptions(project_name="other"),
        says="other | option | file compose.yaml:1:1 demo",
    ),
    Case(
        id="extends-another-file",
        key="services.web.volumes.0.source",
        files={
            "compose.yaml": """\
                services:
                  web:
                    extends: {file: sub/base.yaml, service: base}
                    volumes: ["./mine:/d"]
                """,
            "sub/base.yaml": """\
                services:
                  base: {extends: root, volumes: ["./theirs:/d"]}
                  root: {image: x, volumes: ["./roots:/d"]}
                """,
        },
        says="$HERE/mine | file compose.yaml:4:15 ./mine:/d "
        "| extends(base) sub/base.yaml:2:35 ./theirs:/d "
        "| extends(root) sub/base.yaml:3:30 ./roots:/d",
    ),
    Case(
        id="include-with-its-own-env-file",
        key="services.inc.image",
        files={
            "compose.yaml": "include: [inc/compose.yaml]\nservices: {web: {image: w}}\n",
            "inc/compose.yaml": "services: {inc: {image: 'i:${V}'}}\n",
            "inc/.env": "\nV=3\n",
        },
        says="i:3 | include inc/compose.yaml:1:18 i:${V} {V env_file inc/.env:2}",
    ),
    Case(
        id="override-of-what-is-included",
        key="services.inc.image",
        files={
            "compose.yaml": "include: [inc.yaml]\nservices: {inc: {image: w}}\n",
            "inc.yaml": "services: {inc: {image: i}}\n",
        },
        says="w | file compose.yaml:2:18 w | include inc.yaml:1:18 i",
    ),
    Case(
        id="a-base-that-is-included",
        key="services.web.image",
        files={
            "compose.yaml": "include: [inc.yaml]\nservices: {web: {extends: inc}}\n",
            "inc.yaml": "services: {inc: {image: i}}\n",
        },
        says="i | extends(inc) inc.yaml:1:18 i",
    ),
    Case(
        id="label-file",
        key="services.web.labels.L",
        files={
            "compose.yaml": "services: {web: {image: w, label_file: l.env, labels: {L: '2'}}}\n",
            "l.env": "L=1\n",
        },
        says="2 | file compose.yaml:1:56 2 | label_file l.env:1",
    ),
    Case(
        id="a-null-overrides-nothing",
        key="services.web.image",
        files={
            "compose.yaml": "services: {web: {image: w}}\n",
            "over.yaml": "services: {web: {image: }}\n",
        },
        options=TWO,
        says="w | file compose.yaml:1:18 w",
    ),
)


def _shown(origin: Origin) -> str:
    words = [origin.rule.value + (f"({origin.service})" if origin.service else "")]
    if origin.mark is not None:
        mark = origin.mark
        words.append(f"{mark.file}:{mark.line}" + (f":{mark.column}" if mark.column else ""))
    if origin.written is not None:
        words.append(str(origin.written))
    if origin.variables:
        words.append("{" + ", ".join(map(_variable, origin.variables)) + "}")
    return " ".join(words)


def _variable(trace: Trace) -> str:
    place = f" {trace.file}:{trace.line}" if trace.file else ""
    return f"{trace.name} {trace.where.value}{place}" + (
        f" {trace.written}" if trace.written else ""
    )


def explained(
    files: Mapping[str, str], directory: Path, key: str, options: LoadOptions
) -> list[Explanation]:
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(textwrap.dedent(text))
    return list(explain(options, SHELL, directory, key).explanations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_explain(case: Case, tmp_path: Path) -> None:
    (one,) = explained(case.files, tmp_path, case.key, case.options)
    value = str(one.value).replace(str(tmp_path), "$HERE")
    said = " | ".join([value, *map(_shown, (one.origin, *one.overrode))])
    assert said.replace(f"{tmp_path}/", "") == case.says


def test_a_subtree_is_told_leaf_by_leaf_in_the_order_of_config(tmp_path: Path) -> None:
    keys = [one.key for one in explained(FILES, tmp_path, "services.web", LoadOptions())]
    assert keys[0] == "services.web.command"
    assert "services.web.ports.1.target" in keys
    assert len(keys) == len(set(keys))
    whole = [one.key for one in explained(FILES, tmp_path, "services", LoadOptions())]
    assert [key for key in whole if key.startswith("services.web.")] == keys


def test_explaining_changes_nothing_about_the_load(tmp_path: Path) -> None:
    (one,) = explained(OVER, tmp_path, "services.web.image", TWO)
    (again,) = explained(OVER, tmp_path, "services.web.image", TWO)
    assert one == again


GOLDEN = Path(__file__).parents[2] / "golden" / "projects"
SEVERAL = {"overrides": ("compose.yaml", "sub/more.yaml"), "reset": ("compose.yaml", "over.yaml")}


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()))
def test_what_is_told_to_have_won_is_what_the_merge_kept(name: str) -> None:
    directory = GOLDEN / name
    options = LoadOptions(files=SEVERAL.get(name, ()), profiles=("*",))
    places = load_project(options, SHELL, directory).places
    told = 0
    for one in explain(options, SHELL, directory, "").explanations:
        if one.origin.rule in {Rule.DEFAULT, Rule.ENV_FILE, Rule.LABEL_FILE}:
            continue
        if ".extra_hosts." in one.key or ".ssh." in one.key:
            continue  # a list in what is shown, a mapping in what is merged
        mark = one.origin.mark
        assert mark is not None
        kept = places.location(find_key(places.tree, one.key, frozenset()))
        assert (mark.file, mark.line, mark.column) == (kept.file, kept.line, kept.column), one.key
        told += 1
    assert told
