"""Trees to YAML text in docker compose's style: block style, lists indented, lines folded.

Scalars of everyday characters are written here; for all others PyYAML is asked, which is exact,
and forty times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from math import isfinite

from orchestra.spec.document import resolve
from orchestra.spec.pyyaml import yaml
from orchestra.spec.tree import Value

_LONGEST_KEY = 100
_WIDTH = 80
_OLD_WORDS = re.compile(r"(?:y|n|yes|no|on|off)\Z", re.IGNORECASE)
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_EVERYDAY = re.compile(
    r"(?:[A-Za-z0-9_/$]|--?(?=[A-Za-z0-9]))"
    r"(?:[A-Za-z0-9_/$.@%+=~,;()-]|[: ](?=[A-Za-z0-9_/$.(]))*\Z"
)
"""Texts without a character, at its place, that would ask for quotes in a block."""


class _Dumper(yaml.SafeDumper):
    """Writes block style with indented lists, as docker compose does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, False)  # noqa: FBT003

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str):
        style = '"'
    elif _OLD_WORDS.match(text) or _BASE_60.match(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _UnusualError(Exception):
    """The tree holds what only PyYAML writes."""


def emit(tree: Value) -> str:
    """Return the text of a tree; keys keep their order."""
    if not isinstance(tree, dict | list) or not tree:
        return _ask(tree)
    try:
        return "".join(_lines(tree, 0))
    except _UnusualError:
        return _ask(tree)


def _ask(tree: Value, width: int = _WIDTH) -> str:
    text = yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=width,
        allow_unicode=True,
    )  # fmt: skip
    return str(text)


def _lines(tree: dict[str, Value] | list[Value], indent: int) -> Iterator[str]:
    """Yield a container's lines, the first without its indentation."""
    margin = ""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield f"{margin}{_key(key)}:"
            margin = " " * indent
            if isinstance(value, dict | list) and value:
                yield f"\n{margin}  "
                yield from _lines(value, indent + 2)
            else:
                text = _scalar(value, margin)
                yield f" {_folded(text, indent + len(key) + 2, indent + 2)}\n"
        return
    for value in tree:
        yield f"{margin}- "
        margin = " " * indent
        if isinstance(value, dict | list) and value:
            yield from _lines(value, indent + 2)
        else:
            yield f"{_folded(_scalar(value, margin), indent + 2, indent + 2)}\n"


def _key(key: str) -> str:
    if len(key) > _LONGEST_KEY or not _EVERYDAY.match(key):
        raise _UnusualError
    return _scalar(key, "")


def _scalar(value: Value, margin: str) -> str:
    match value:
        case str() if _EVERYDAY.match(value):
            return _everyday(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if isfinite(value) and "e" not in repr(value):
            return repr(value)
        case None:
            return "null"
        case dict() | list() if not value:
            return "[]" if isinstance(value, list) else "{}"
        case _:
            return _others(value, margin)


def _folded(text: str, column: int, indent: int) -> str:
    """Break a line at the first single blank behind the width, and again, as libyaml does."""
    if column + len(text) <= _WIDTH or text[0] in '"|' or "\n" in text:
        return text
    words = text.split(" ")
    result = words[0]
    column += len(words[0])
    if text[0] == "'" and words[-1] == "'":  # a blank at the end of a quoted text stays there
        words[-2:] = [f"{words[-2]} '"]
    for before, word in pairwise(words):
        if before and word and column > _WIDTH:
            result += "\n" + " " * indent + word
            column = indent + len(word)
        else:
            result += f" {word}"
            column += len(word) + 1
    return result


def _everyday(text: str) -> str:
    if not isinstance(resolve(text), str):
        return f'"{text}"'
    if _OLD_WORDS.match(text) or _BASE_60.match(text):
        return f"'{text}'"
    for _, pattern in _Dumper.yaml_implicit_resolvers.get(text[0], ()):
        if pattern.match(text):
            return f"'{text}'"
    return text


def _others(value: Value, margin: str) -> str:
    if isinstance(value, str) and any(line_end in value for line_end in "\x85\u2028\u2029"):
        raise _UnusualError
    text = _ask(value, 1 << 20).removesuffix("\n").removesuffix("\n...")
    return re.sub(r"\n(?!\n|\Z)", f"\n{margin}", text)
