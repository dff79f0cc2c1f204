"""Trees to YAML text in docker compose's style: block style, lists indented, long lines kept.

Scalars of everyday characters are written here; for all others PyYAML is asked, which is exact,
and forty times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite

import yaml

from orchestra.spec.document import resolve
from orchestra.spec.tree import Value

_LONGEST_KEY = 100
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


def _ask(tree: Value) -> str:
    text = yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1 << 20,
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
                yield f" {_scalar(value, margin)}\n"
        return
    for value in tree:
        yield f"{margin}- "
        margin = " " * indent
        if isinstance(value, dict | list) and value:
            yield from _lines(value, indent + 2)
        else:
            yield f"{_scalar(value, margin)}\n"


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
    text = _ask(value).removesuffix("\n").removesuffix("\n...")
    return re.sub(r"\n(?!\n|\Z)", f"\n{margin}", text)
