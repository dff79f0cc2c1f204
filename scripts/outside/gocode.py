"""Text literals of Go source: enough of a lexer to find them, and the function each stands in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|`(?P<raw>[^`]*)`|"(?P<text>(?:\\.|[^"\\\n])*)\""""
    r"""|'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)
_FUNCTION = re.compile(r"^func (?:\([^)]*\) )?(\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Literal:
    """One literal; ``before`` is the code since the one before it."""

    value: str
    line: int
    before: str
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """One function and its literals, in order."""

    name: str
    body: str
    literals: tuple[Literal, ...]


def functions(file: Path) -> Iterator[Function]:
    """Yield the functions of a file; what stands outside of them is nobody's."""
    text = file.read_text(encoding="utf-8")
    starts = [(match.start(), match[1]) for match in _FUNCTION.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    for (start, name), end in zip(starts, ends, strict=True):
        line = text.count("\n", 0, start) + 1
        yield Function(name, text[start:end], tuple(_literals(text[start:end], line)))


def _literals(body: str, first_line: int) -> Iterator[Literal]:
    last = 0
    for match in _TOKEN.finditer(body):
        line = first_line + body.count("\n", 0, match.start())
        before = body[last : match.start()]
        if match["raw"] is not None:
            yield Literal(match["raw"], line, before, raw=True)
            last = match.end()
        elif match["text"] is not None:
            value = _plain(match["text"])
            if value is not None:
                yield Literal(value, line, before)
            last = match.end()


def _plain(text: str) -> str | None:
    try:
        value = ast.literal_eval(f'"{text}"')
    except (SyntaxError, ValueError):
        return None
    return value if isinstance(value, str) else None
