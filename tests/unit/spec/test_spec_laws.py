"""Laws of the loader, over generated projects."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.projects import (
    ATTRIBUTES,
    TEXTS,
    Tree,
    load,
    projects,
    services,
    shown,
    write,
)

from orchestra.spec.document import dump_yaml
from orchestra.spec.findings import Findings
from orchestra.spec.interpolate import interpolate
from orchestra.spec.loader import render_project
from orchestra.spec.merge import merge
from orchestra.spec.model.project import Project
from orchestra.spec.normalize import normalize
from orchestra.spec.template import substitute
from orchestra.spec.tree import Value, mapping

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
whole = settings(max_examples=20, deadline=None, phases=PHASES)
quick = settings(max_examples=40, deadline=None, phases=PHASES)
EMPTY = ("", "{}", "services: {}\n", "services:\nnetworks:\n", "# nothing\n---\n", "x-top: null\n")


def of(*trees: Value, profiles: tuple[str, ...] = ()) -> Project:
    """Return the project of these files."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        directory = Path(place)
        names = [f"{index}.yaml" for index in range(len(trees))]
        for name, tree in zip(names, trees, strict=True):
            if isinstance(tree, str):
                (directory / name).write_text(tree)
            else:
                write(tree, directory / name)
        return load(directory, *names, profiles=profiles)


def text_of(*trees: Value, profiles: tuple[str, ...] = ()) -> str:
    """Return what is shown of the project of these files, wherever they are."""
    project = of(*trees, profiles=profiles)
    return shown(project).replace(project.working_dir, "/project")


@whole
@given(projects())
def test_what_config_shows_loads_to_the_same_project(tree: Tree) -> None:
    project = of(tree)
    again = of(shown(project))
    assert shown(again) == shown(project)
    assert render_project(again, json_shape=True) == render_project(project, json_shape=True)


@whole
@given(projects())
def test_what_config_shows_as_json_loads_to_the_same_project(tree: Tree) -> None:
    def as_json(project: Project) -> str:
        return json.dumps(render_project(project, json_shape=True), ensure_ascii=False)

    project = of(tree)
    once = as_json(project)
    for character in "\u2028\u2029":
        once = once.replace(character, f"\\u{ord(character):x}")
    assert as_json(of(once)) == as_json(project)


@whole
@given(projects(), st.sampled_from(EMPTY))
def test_an_empty_file_changes_nothing_before_or_after(tree: Tree, empty: str) -> None:
    alone = text_of(tree)
    assert text_of(tree, empty) == alone
    assert text_of(empty, tree) == alone


def shuffled(value: Value, draw: st.DataObject) -> Value:
    """Return the value with the entries of all its mappings in another order."""
    if isinstance(value, dict):
        keys = draw.draw(st.permutations(list(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    return [shuffled(entry, draw) for entry in value] if isinstance(value, list) else value


@whole
@given(projects(), st.data())
def test_the_order_of_keys_does_not_matter(tree: Tree, data: st.DataObject) -> None:
    assert text_of(shuffled(tree, data)) == text_of(tree)


@whole
@given(projects(), st.data())
def test_how_services_are_spread_over_files_does_not_matter(
    tree: Tree, data: st.DataObject
) -> None:
    parts: list[Value] = [
        {"services": {name: service}} for name, service in mapping(tree["services"]).items()
    ]
    rest: Value = {key: value for key, value in tree.items() if key != "services"}
    assert text_of(*data.draw(st.permutations([*parts, rest]))) == text_of(tree)


@whole
@given(projects())
def test_a_project_that_is_included_whole_is_the_project(tree: Tree) -> None:
    inner = {key: value for key, value in tree.items() if not key.startswith("x-")}
    with TemporaryDirectory() as place:
        write(inner, Path(place) / "inner.yaml")
        write({"include": ["inner.yaml"]}, Path(place) / "outer.yaml")
        assert shown(load(Path(place), "outer.yaml")) == shown(load(Path(place), "inner.yaml"))


@whole
@given(services(), services())
def test_extending_a_service_is_overriding_it(base: Tree, over: Tree) -> None:
    resources: Tree = {
        "networks": {"front": None, "back": None},
        "volumes": {"data": None},
        "secrets": {"token": {"environment": "TOKEN"}},
    }
    merged = of({"services": {"web": base}, **resources}, {"services": {"web": over}})
    grown: Tree = {"web": {**over, "extends": "base"}, "base": base}
    extended = of({"services": grown, **resources})

    def web(project: Project) -> str:
        rendered = mapping(render_project(project)["services"])["web"]
        return dump_yaml(rendered).replace(project.working_dir, "/project")

    assert web(extended) == web(merged)


@whole
@given(projects(), st.data())
def test_all_profiles_active_is_as_if_there_were_none(tree: Tree, data: st.DataObject) -> None:
    alone = of(tree)
    for service in mapping(tree["services"]).values():
        chosen = data.draw(st.lists(st.sampled_from(["a", "b"]), unique=True))
        mapping(service)["profiles"] = list[Value](chosen)
    for names in (("*",), ("a", "b")):
        project = of(tree, profiles=names)
        assert not project.disabled_services
        bare = {
            name: service.model_copy(update={"profiles": ()})
            for name, service in project.services.items()
        }
        project = project.model_copy(update={"services": bare})
        shown_there = shown(project).replace(project.working_dir, "/project")
        assert shown_there == shown(alone).replace(alone.working_dir, "/project")


@whole
@given(services(), st.data())
def test_what_is_reset_is_gone_and_what_is_overridden_is_new(
    service: Tree, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(service)))
    value = data.draw(ATTRIBUTES.get(key, st.just("new")))
    rest = {name: entry for name, entry in service.items() if name != key}
    resources: Tree = {
        "networks": {"front": None, "back": None},
        "volumes": {"data": None},
        "secrets": {"token": {"environment": "TOKEN"}},
    }

    def over(tag: str, entry: Value) -> str:
        text = json.dumps(entry, ensure_ascii=False).replace("\u2028", "\\u2028")
        return f'services: {{"web": {{"{key}": {tag} {text}}}}}'

    base: Value = {"services": {"web": {**service, "build": "."}}, **resources}
    if key not in {"image", "build"}:
        bare: Value = {"services": {"web": {**rest, "build": "."}}, **resources}
        assert text_of(base, over("!reset", None)) == text_of(bare)
    new: Value = {"services": {"web": {**rest, "build": ".", key: value}}, **resources}
    if value is not None:
        assert text_of(base, over("!override", value)) == text_of(new)


ASSOCIATIVE = sorted(set(ATTRIBUTES) - {"logging"})
"""All but logging: a file in between that names no driver says whose options those are."""


@quick
@given(*[services(*ASSOCIATIVE)] * 3)
def test_merging_is_associative(first: Tree, second: Tree, third: Tree) -> None:
    findings = Findings()
    a, b, c = (
        normalize({"services": {"web": tree}}, findings, "f") for tree in (first, second, third)
    )
    left = merge(merge(a, b, findings), c, findings)
    right = merge(a, merge(b, c, findings), findings)
    kinds = [error.message for error in findings.errors]
    assert left == right or any("cannot override" in message for message in kinds)


def test_merging_loggings_is_not_associative() -> None:
    a, b, c = (
        normalize({"services": {"web": {"logging": tree}}}, Findings(), "f")
        for tree in ({"driver": "x"}, {"options": {"k": "v"}}, {"driver": "y"})
    )
    left = merge(merge(a, b, Findings()), c, Findings())
    right = merge(a, merge(b, c, Findings()), Findings())
    assert left != right


@quick
@given(projects())
def test_normalizing_twice_is_normalizing_once(tree: Tree) -> None:
    findings = Findings()
    once = normalize(tree, findings, "f")
    assert normalize(once, findings, "f") == once
    assert findings.errors == []


@quick
@given(projects())
def test_interpolation_without_variables_is_the_identity(tree: Tree) -> None:
    def bare(value: Value) -> Value:
        match value:
            case str():
                return value.replace("$", "")
            case dict():
                return {key: bare(entry) for key, entry in value.items()}
            case list():
                return [bare(entry) for entry in value]
            case _:
                return value

    findings = Findings()
    assert interpolate(bare(tree), {}, findings) == bare(tree)
    assert findings.errors == []
    assert findings.warnings == []


@quick
@given(st.lists(st.sampled_from(["$", "{", "}", "A", "B", ":-", "x", "$$", "${A}"]), max_size=12))
def test_what_interpolation_gave_stays_when_its_dollars_are_doubled(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        once = substitute(text, {"A": "$B"}.get, lambda _name: None)
    except ValueError:
        return
    assert substitute(once.replace("$", "$$"), {}.get, lambda _name: None) == once


@pytest.mark.parametrize("style", ["yaml", "json"])
@quick
@given(TEXTS)
def test_every_text_survives_being_shown(style: str, text: str) -> None:
    tree: Tree = {"services": {"web": {"image": "x", "environment": {"K": text}}}}
    project = of(tree)
    rendered = render_project(project)
    json_text = json.dumps(rendered, ensure_ascii=False).replace("\u2028", "\\u2028")
    again = of(dump_yaml(rendered) if style == "yaml" else json_text)
    assert again.services["web"].environment == project.services["web"].environment
