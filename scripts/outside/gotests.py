"""Cases out of compose-go's own tests: their Compose texts, pairs to merge, and short syntaxes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.outside.cases import Case, Corpus, variables_of
from scripts.outside.completion import complete
from scripts.outside.gocode import Function, Literal, functions

_COMPOSE = re.compile(
    r"^(services|name|networks|volumes|secrets|configs|include|models|version|x-[\w-]+) *:",
    re.MULTILINE,
)
_ROOTS = ("loader", "override", "transform", "validation", "types", "interpolation", "cli", "paths")
_FRAGMENTS = {"TestValidateSecret": "configs.test", "TestIPAddress": "services.test.ports.[]"}
"""Tests of validation that check one value: where it belongs in a file."""

_VALUES = {
    "format/volume_test.go": ("services.web.volumes.[]",),
    "types/types_test.go": ("services.web.ports.[]",),
    "transform/ports_test.go": ("services.web.ports.[]",),
    "transform/ssh_test.go": ("services.web.build.ssh.[]",),
    "transform/envfile_test.go": ("services.web.env_file.[]",),
    "types/hostList_test.go": ("services.web.extra_hosts.[]",),
    "types/bytes_test.go": ("services.web.mem_limit", "services.web.shm_size"),
    "types/labels_test.go": ("services.web.labels.[]",),
    "types/config_test.go": ("services.web.hostname",),
    "loader/loader_test.go": ("services.web.healthcheck.interval",),
    "interpolation/interpolation_test.go": ("services.web.hostname", "services.web.init"),
    "paths/windows_path_test.go": ("services.web.volumes.[]",),
}
"""Tests whose plain strings are values of these attributes."""

_WRITES = re.compile(
    r"(?:WriteFile\(filepath\.Join\(\w+(?P<parts>(?:, \"[^\"]+\")+)\), \[\]byte\((?P<name>\w+)\)"
    r"|WriteFile\((?P<place>\w+), \[\]byte\($)"
)


def corpus(root: Path) -> Corpus:
    """Return the cases of every ``*_test.go`` that has Compose texts."""
    found = Corpus("go-tests")
    seen: set[tuple[str, ...]] = set()
    for file in sorted(root.rglob("*_test.go")):
        relative = file.relative_to(root)
        if relative.parts[0] not in _ROOTS and str(relative) not in _VALUES:
            continue
        for function in functions(file):
            name = f"go-tests/{relative}:{function.name}"
            for case in _of_function(found, name, function):
                key = tuple(case.written.values())
                if key not in seen:
                    seen.add(key)
                    found.cases.append(case)
        found.cases.extend(_values(file, str(relative)))
    return found


def _of_function(found: Corpus, name: str, function: Function) -> Iterator[Case]:
    raws = [literal for literal in function.literals if literal.raw]
    texts = [textwrap.dedent(literal.value).strip("\n") + "\n" for literal in raws]
    usable = [(raw, text) for raw, text in zip(raws, texts, strict=True) if _COMPOSE.search(text)]
    fragment = _FRAGMENTS.get(function.name)
    if fragment is not None:
        for raw, text in zip(raws, texts, strict=True):
            body = placed(fragment, yaml.safe_load(text))
            yield from _cases(f"{name}:{raw.line}", (body,), {})
        return
    found.skip("a text that is no Compose file (an expected error, JSON)", len(raws) - len(usable))
    files = _written(function, raws)
    for index, (raw, text) in enumerate(usable):
        yield from _cases(f"{name}:{raw.line}", (text,), files)
        if index:
            before = usable[index - 1]
            label = f"{name}:{before[0].line}+{raw.line}"
            yield from _cases(label, (before[1], text), files)
            yield from _cases(f"{label} reversed", (text, before[1]), files)


def _written(function: Function, raws: list[Literal]) -> dict[str, str]:
    """Return the files that a test writes out of variables that hold raw texts."""
    held: dict[str, str] = {}
    for literal in raws:
        variable = re.search(r"(\w+)\s*:?=\s*$", literal.before)
        if variable is not None:
            held.setdefault(variable[1], literal.value)
    files: dict[str, str] = {}
    for match in _WRITES.finditer(function.body):
        if match["name"] in held:
            parts = re.findall(r'"([^"]+)"', match["parts"])
            files["/".join(parts)] = held[match["name"]]
    return files


def _cases(name: str, texts: tuple[str, ...], files: dict[str, str]) -> Iterator[Case]:
    names = tuple(f"part{index}.yaml" for index in range(len(texts)))
    written = {**files, **dict(zip(names, texts, strict=True))}
    yield Case(name=name, files=names, written=written)
    variables = variables_of("\n".join(texts))
    if variables:
        yield Case(name=f"{name} $", files=names, written=written, environment=variables)
    rest = complete(texts)
    if rest:
        yield Case(
            name=f"{name} completed",
            files=(*names, "rest.yaml"),
            written={**written, "rest.yaml": rest},
            environment=variables,
        )


def _values(file: Path, relative: str) -> Iterator[Case]:
    for place in _VALUES.get(relative, ()):
        for function in functions(file):
            texts = [literal for literal in function.literals if _is_value(literal)]
            for literal in texts:
                name = f"go-tests/{relative}:{literal.line} at {place}"
                text = placed(place, literal.value)
                environment = variables_of(literal.value)
                yield Case(
                    name=name,
                    files=("compose.yaml",),
                    written={"compose.yaml": text},
                    environment=environment,
                )


def _is_value(literal: Literal) -> bool:
    return "\n" not in literal.value and len(literal.value) < 80


def placed(place: str, value: object) -> str:
    """Return a Compose file that has a value at a place, and what must stand beside it."""
    tree: object = value
    for part in reversed(place.split(".")):
        tree = [tree] if part == "[]" else {part: tree}
        if part in {"web", "test"} and place.startswith("services."):
            name = part
            tree = {name: {"image": "busybox", **_mapping(tree, name)}}
    return yaml.safe_dump(tree, sort_keys=False)


def _mapping(tree: object, key: str) -> dict[str, object]:
    inner = tree[key] if isinstance(tree, dict) else None
    return inner if isinstance(inner, dict) else {}
