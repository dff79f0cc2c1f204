"""Cases out of the specification's schema: every key, in every form, and in wrong ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.outside.cases import Case, Corpus
from scripts.outside.oracle import Json

Schema = dict[str, Json]
Embed = Callable[[Json], Json]

_KINDS: dict[str, Json] = {
    "null": None, "true": True, "number": 7, "negative": -1, "zero": 0, "fraction": 1.5,
    "text": "some", "empty text": "", "digits": "7", "list": ["some"], "empty list": [],
    "pair list": ["KEY=value", "ALONE"], "number list": [7], "null list": [None],
    "mapping": {"some": "value"}, "empty mapping": {}, "null mapping": {"some": None},
    "number mapping": {"some": 7}, "list mapping": {"some": ["a", "b"]},
    "nested mapping": {"some": {}}, "mapping list": [{}],
}  # fmt: skip
"""One value of every kind, put to every key."""

_FEW = ("null", "number", "text", "list", "mapping")
_AGAIN = ("jobs.*.", "services.*.pre_start.[].")
"""Places that repeat the attributes of a service: a few kinds will do there."""

_TEXTS = (
    "true", "yes", "50m", "1.5gb", "-1", "1m30s", "10", "0440", "0.5", "8080:80", "53:53/udp",
    "./some:/some:ro", "some:/some", "/some", "name=1.2.3.4", "all", "host", "service:some",
    "$$x", "${SOME}", "${NONE:-other}", "0x10", "1e3", " padded ", "KEY=value", "50%",
)  # fmt: skip
"""Texts that mean something to some attribute, put to every key that takes text."""

_BESIDE: Schema = {
    "services": {"web": {"image": "busybox"}, "some": {"image": "busybox", "build": "."}},
    "networks": {"some": {}},
    "volumes": {"some": {}},
    "secrets": {"some": {"environment": "HOME"}},
    "configs": {"some": {"environment": "HOME"}},
    "models": {"some": {"model": "ai/some"}},
}
_STARTS: Schema = {
    "jobs.*": {"image": "busybox", "triggers": {"manual": True}},
    "services.*": {"image": "busybox"},
    "secrets.*": {},
    "configs.*": {},
    "models.*": {"model": "ai/some"},
}
_NAMES = {"services": "web", "jobs": "task"}


def corpus(root: Path) -> Corpus:
    """Return the cases of the schema in a checkout of compose-go or of compose-spec."""
    found = Corpus("schema")
    document: Schema = json.loads((root / "schema/compose-spec.json").read_text(encoding="utf-8"))
    walker = _Walker(document)
    seen: set[str] = set()
    for name, tree in walker.walk(document, "", _top, ()):
        text = json.dumps(tree)
        if text in seen:
            found.skip("the same file as another case")
            continue
        seen.add(text)
        found.cases.append(
            Case(
                name=f"schema/{name}",
                files=("compose.yaml",),
                written={"compose.yaml": text, "some": "KEY=value\n"},
                environment={"SOME": "from outside"},
            )
        )
    return found


def _top(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    tree: Schema = {}
    for key, beside in _BESIDE.items():
        own = value.get(key)
        mine = own if isinstance(own, dict) else {}
        assert isinstance(beside, dict)
        tree[key] = {**beside, **mine} if key not in value or isinstance(own, dict) else own
    return {**tree, **{key: entry for key, entry in value.items() if key not in tree}}


class _Walker:
    def __init__(self, document: Schema) -> None:
        self.definitions = _mapping(document["$defs"])

    def walk(
        self, schema: Schema, label: str, embed: Embed, trail: tuple[int, ...]
    ) -> Iterator[tuple[str, Json]]:
        """Yield documents that have, at one place, each value worth a try."""
        forms = list(self.forms(schema))
        again = label.startswith(_AGAIN)
        if label:
            for kind, value in _KINDS.items():
                if kind in _FEW or not again:
                    yield f"{label}: {kind}", embed(value)
            if not again and any("string" in _types(form) for form in forms):
                for text in _TEXTS:
                    yield f"{label}: {text!r}", embed(text)
            for form in forms:
                values = form.get("enum")
                for value in values if isinstance(values, list) else ():
                    yield f"{label}: {value!r}", embed(value)
        if id(schema) in trail or len(trail) > 12:
            return
        for form in forms:
            yield from self.below(form, label, embed, (*trail, id(schema)))

    def below(
        self, form: Schema, label: str, embed: Embed, trail: tuple[int, ...]
    ) -> Iterator[tuple[str, Json]]:
        """Yield the documents for what an object or an array holds."""
        items = form.get("items")
        if isinstance(items, dict):
            yield from self.walk(items, f"{label}.[]", lambda value: embed([value]), trail)
        start = self.start(form, label)
        for key, schema in _mapping(form.get("properties")).items():
            below = f"{label}.{key}" if label else key
            yield from self.walk(_mapping(schema), below, _into(embed, start, key), trail)
        for pattern, schema in _mapping(form.get("patternProperties")).items():
            if not pattern.startswith("^x-") and isinstance(schema, dict):
                name = _NAMES.get(label, "some")
                yield from self.walk(schema, f"{label}.*", _into(embed, start, name), trail)
        if "properties" in form:
            yield f"{label}: unknown key", embed({**start, "unknown_key": "some"})
            yield f"{label}: extension", embed({**start, "x-some": {"any": ["thing"]}})

    def start(self, form: Schema, label: str) -> Schema:
        """Return the least that an object must hold."""
        known = _STARTS.get(label)
        if isinstance(known, dict):
            return known
        required = form.get("required")
        properties = _mapping(form.get("properties"))
        start: Schema = {}
        for key in required if isinstance(required, list) else ():
            start[str(key)] = self.least(_mapping(properties.get(str(key))))
        return start

    def least(self, schema: Schema) -> Json:
        form = next(self.forms(schema))
        values = form.get("enum")
        if isinstance(values, list):
            return values[0]
        kind = _types(form)
        if "string" in kind:
            return "some"
        if {"integer", "number"} & kind:
            return 7
        return ["some"] if "array" in kind else {}

    def forms(self, schema: Schema) -> Iterator[Schema]:
        """Yield the alternatives of a schema, references resolved."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield from self.forms(_mapping(self.definitions[reference.rpartition("/")[2]]))
            return
        parts = schema.get("allOf")
        if isinstance(parts, list):
            yield self.joined(schema, parts)
            return
        alternatives = schema.get("oneOf") or schema.get("anyOf")
        if isinstance(alternatives, list):
            for alternative in alternatives:
                yield from self.forms(_mapping(alternative))
            return
        yield schema

    def joined(self, schema: Schema, parts: list[Json]) -> Schema:
        """Return one object that has the attributes of several."""
        result = {key: value for key, value in schema.items() if key != "allOf"}
        properties: Schema = {}
        for part in parts:
            for form in self.forms(_mapping(part)):
                properties.update(_mapping(form.get("properties")))
        return {**result, "properties": {**properties, **_mapping(schema.get("properties"))}}


def _into(embed: Embed, start: Schema, key: str) -> Embed:
    return lambda value: embed({**start, key: value})


def _types(form: Schema) -> set[str]:
    kind = form.get("type")
    return (
        {kind}
        if isinstance(kind, str)
        else set(map(str, kind))
        if isinstance(kind, list)
        else set()
    )


def _mapping(value: Json) -> Schema:
    return value if isinstance(value, dict) else {}
