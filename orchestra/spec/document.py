"""YAML text to trees: with ``emitter``, for the way back, all that knows YAML.

Scalars mean what they mean to Compose (YAML 1.2 core, with Go's readings of octals): ``22:22``
and ``yes`` are text, ``017`` is 15. Every entry keeps its place. Duplicate keys, unknown tags and
documents that are too large, too deep or too self-similar are refused before they cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.pyyaml import yaml
from orchestra.spec.spelling import shortened
from orchestra.spec.tree import Mark, MarkedList, MarkedMap, Value, entries, items
from orchestra.values import dataclass, field

LARGEST_BYTES = 16 * 1024 * 1024
MOST_WRITTEN = 1_500_000
"""The most values that a file may hold, counted by what parts them."""
MOST_REPEATED = 200_000
"""The most values that aliases may add to what is written."""
DEEPEST = 100
_MOST_CHARACTERS = 16 * 1024 * 1024
_TOO_DEEP = f"cannot read the file: it is nested deeper than {DEEPEST} levels"
_TOO_DEEP_HINT = "nothing in a Compose file is that deep"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"([-+]?)(?:0x([0-9a-fA-F]+)|0o?([0-7]+)|0b([01]+))\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, Value] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAGS: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),),
}  # fmt: skip
_LONGEST_NUMBER = 40


class Document(NamedTuple):
    """One YAML document. ``resets``: what it takes out of the documents before it."""

    file: str
    tree: Value
    resets: tuple[KeyPath, ...] = ()


class _Refused(Exception):
    """The text cannot be read on; carries the place."""

    def __init__(self, message: str, mark: Mark, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark
        self.hint = hint


class _Reset:
    """Stands for a value tagged !reset until its parent leaves it out."""


_RESET = _Reset()


def read_documents(content: bytes, file: str, findings: Findings) -> tuple[Document, ...]:
    """Return the documents of a file; errors are noted, and then nothing is returned."""
    try:
        return tuple(_Builder(file, findings).documents(_decode(content, file)))
    except _Refused as refused:
        findings.add(refused.message, (), refused.mark, hint=refused.hint)
    except yaml.YAMLError as error:
        _note_syntax(error, file, findings)
    return ()


def _decode(content: bytes, file: str) -> str:
    if len(content) > LARGEST_BYTES:
        size = LARGEST_BYTES // (1024 * 1024)
        message = f"cannot read the file: it is larger than {size} MiB"
        raise _Refused(message, Mark(file), "split it with include")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "cannot read the file: it is not UTF-8"
        raise _Refused(message, Mark(file, line), "a Compose file is plain text") from error
    if sum(content.count(mark) for mark in (b"\n", b",", b"[", b"{")) > MOST_WRITTEN:
        message = f"cannot read the file: it holds more than {MOST_WRITTEN} values"
        raise _Refused(message, Mark(file), "split it with include")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        message = "cannot read the file: it holds a NUL character"
        raise _Refused(message, Mark(file, line), "a Compose file is plain text")
    return text


def _note_syntax(error: yaml.YAMLError, file: str, findings: Findings) -> None:
    hint = "look at indentation, brackets and quotes near here"
    if not isinstance(error, yaml.MarkedYAMLError):
        message = "cannot read the file: it holds a control character"
        findings.add(message, (), Mark(file), hint="a Compose file is plain text")
        return
    at = error.problem_mark
    mark = Mark(file)
    if at is not None:
        mark = Mark(file, at.line + 1, at.column + 1)
    problem = str(error.problem or error.context or "malformed")
    if "maximum nesting depth" in problem:
        findings.add(_TOO_DEEP, (), mark, hint=_TOO_DEEP_HINT)
        return
    if "cannot start any token" in problem and "\\t" in problem:
        hint = "indent with spaces, not tabs"
    elif error.context_mark is not None and error.context:
        problem = f"{problem} ({error.context} at line {error.context_mark.line + 1})"
    findings.add(f"cannot parse YAML: {problem}", (), mark, hint=hint)


class _Anchor(NamedTuple):
    value: Value | _Reset
    path: KeyPath
    resets: tuple[KeyPath, ...]


@dataclass(slots=True)
class _Builder:
    """Builds values from parser events, one document after the other."""

    file: str
    findings: Findings
    replayed: int = 0
    repeated: int = 0
    anchors: dict[str, _Anchor | None] = field(default_factory=dict)
    resets: list[KeyPath] = field(default_factory=list)

    def documents(self, text: str) -> Iterator[Document]:
        events: Iterator[yaml.Event] = iter(_LOADER(text).get_event, None)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors, self.resets = {}, []
                tree = self._node(next(events), events, ())
                if isinstance(tree, _Reset):
                    tree = None
                yield Document(self.file, tree, tuple(self.resets))

    def _mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        return Mark(self.file, start.line + 1, start.column + 1) if start else Mark(self.file)

    def _check_depth(self, event: yaml.Event, path: KeyPath) -> None:
        if len(path) > DEEPEST:
            raise _Refused(
                _TOO_DEEP,
                self._mark(event),
                _TOO_DEEP_HINT,
            )

    def _node(
        self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath
    ) -> Value | _Reset:
        self._check_depth(event, path)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        assert isinstance(event, yaml.NodeEvent)
        tag = getattr(event, "tag", None)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        before = len(self.resets)
        value = self._content(event, events, path, tag)
        if tag in {"!reset", "!override"}:
            del self.resets[before:]
            self.resets.append(path)
            if tag == "!reset":
                value = _RESET
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(value, path, tuple(self.resets[before:]))
        return value

    def _content(
        self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath, tag: str | None
    ) -> Value | _Reset:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, tag)
        if isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, tag, "tag:yaml.org,2002:seq")
            return self._sequence(events, path)
        self._check_tag(event, tag, "tag:yaml.org,2002:map")
        return self._mapping(events, path)

    def _check_tag(self, event: yaml.Event, tag: str | None, wanted: str) -> None:
        if tag not in {None, "!", wanted, "!reset", "!override"}:
            raise _Refused(
                f'unknown tag "{shortened(str(tag))}"',
                self._mark(event),
                "use only !reset and !override",
            )

    def _alias(self, event: yaml.AliasEvent, path: KeyPath) -> Value | _Reset:
        anchor = self.anchors.get(str(event.anchor))
        if anchor is None:
            known = event.anchor in self.anchors
            name = shortened(str(event.anchor))
            reason = "stands inside what it names" if known else "names no anchor of this document"
            hint = f"define &{name} before it is used"
            raise _Refused(f'alias "*{name}" {reason}', self._mark(event), hint)
        self.resets.extend(path + reset[len(anchor.path) :] for reset in anchor.resets)
        if isinstance(anchor.value, _Reset):
            return _RESET
        return self._replay(anchor.value, event, path)

    def _replay(self, value: Value, event: yaml.Event, path: KeyPath) -> Value:
        self.replayed += 1
        if self.replayed > MOST_REPEATED:
            raise _Refused(
                f"cannot read the file: it expands to more than {MOST_REPEATED} values",
                self._mark(event),
                "aliases repeat what they name at every use",
            )
        self._check_depth(event, path)
        if isinstance(value, dict):
            result = MarkedMap()
            for key, entry, mark in entries(value):
                result.put(key, self._replay(entry, event, (*path, key)), mark)
            return result
        if isinstance(value, list):
            grown = MarkedList()
            for index, (entry, mark) in enumerate(items(value)):
                grown.add(self._replay(entry, event, (*path, index)), mark)
            return grown
        if isinstance(value, str):
            self._repeat(value, event)
        return value

    def _repeat(self, text: str, event: yaml.Event) -> None:
        self.repeated += len(text)
        if self.repeated > _MOST_CHARACTERS:
            size = _MOST_CHARACTERS // (1024 * 1024)
            message = f"cannot read the file: its aliases expand to more than {size} MiB"
            raise _Refused(message, self._mark(event), "name a long text less often")

    def _sequence(self, events: Iterator[yaml.Event], path: KeyPath) -> MarkedList:
        result = MarkedList()
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            value = self._node(event, events, (*path, len(result)))
            if not isinstance(value, _Reset):
                result.add(value, self._mark(event))
        return result

    def _mapping(self, events: Iterator[yaml.Event], path: KeyPath) -> MarkedMap:
        result = MarkedMap()
        merged: list[MarkedMap] = []
        places: dict[str, Mark] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path)
            mark = self._mark(event)
            if key in places:
                self.findings.add(
                    f'key "{shortened(key)}" is set twice, first in line {places[key].line}',
                    (*path, key),
                    mark,
                    hint="keep one of the two",
                )
            places[key] = mark
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                merged.extend(self._merge_key(next(events), events, path))
                continue
            value = self._node(next(events), events, (*path, key))
            if not isinstance(value, _Reset):
                result.put(key, value, mark)
        for source in merged:
            for key, value, at in entries(source):
                if key not in result and key not in places:
                    result.put(key, value, at)
        return result

    def _merge_key(
        self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath
    ) -> list[MarkedMap]:
        value = self._node(event, events, path)
        sources = value if isinstance(value, list) else [] if isinstance(value, _Reset) else [value]
        found = [source for source in sources if isinstance(source, MarkedMap)]
        if len(found) != len(sources):
            message = 'the merge key "<<" takes a mapping or a list of mappings'
            raise _Refused(message, self._mark(event), "write <<: *ANCHOR")
        return found

    def _key(self, event: yaml.Event, path: KeyPath) -> str:
        if isinstance(event, yaml.AliasEvent):
            anchor = self.anchors.get(str(event.anchor))
            if anchor is not None and isinstance(anchor.value, str):
                return anchor.value
        if not isinstance(event, yaml.ScalarEvent):
            message = "a key must be text, not a list or a mapping"
            raise _Refused(message, self._mark(event), "put it in quotes")
        plain = event.implicit[0] and event.value != "<<"
        if plain and not isinstance(resolve(event.value), str):
            hint = (
                f'put it in quotes: "{event.value}"' if len(event.value) < _LONGEST_NUMBER else None
            )
            raise _Refused("a key must be text", self._mark(event), hint)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(event.value, path, ())
        return str(event.value)

    def _scalar(self, event: yaml.ScalarEvent, tag: str | None) -> Value:
        if tag in {"!reset", "!override"}:
            return resolve(event.value) if event.style is None else event.value
        if tag is None or tag == "!":
            return resolve(event.value) if event.implicit[0] and tag is None else event.value
        kind = tag.removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return str(event.value)
        resolved = resolve(event.value)
        wanted = _TAGS.get(kind)
        if wanted is None:
            self._check_tag(event, tag, "")
        elif not isinstance(resolved, wanted):
            message = f'this value is no "{kind}", as its tag claims'
            raise _Refused(message, self._mark(event), "drop the tag")
        return resolved


def resolve(text: str) -> Value:
    """Return what a plain scalar means to Compose."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    number = text.replace("_", "")
    if _DECIMAL.match(number):
        return int(number)
    based = _BASED.match(number)
    if based is not None:
        sign, sixteen, eight, two = based.groups()
        digits, base = (sixteen, 16) if sixteen else (eight, 8) if eight else (two, 2)
        return int(f"{sign}{digits}", base)
    if _FLOAT.match(number):
        return float(number)
    special = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}.get(text.lower())
    return float(special) if special is not None else text


def dump_yaml(tree: Value) -> str:
    """Return the tree as YAML text in docker compose's style; keys keep their order."""
    from orchestra.spec.emitter import emit  # noqa: PLC0415 - most commands write none

    return emit(tree)
