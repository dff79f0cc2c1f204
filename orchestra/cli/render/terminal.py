"""What may reach the user's terminal, and whether it wants colour."""

from __future__ import annotations

import json
import os
import re
from typing import TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and what turns the direction of writing or ends a line (UAX 9)."""


def printable(text: str) -> str:
    """Replace control characters, so that no name or message drives the terminal or misleads."""
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


_UNSAFE = re.compile(r"\x1b\[[0-9;:]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def tame(text: str) -> str:
    """Keep colours and tabs of a container's output, and replace every other control character."""
    return _UNSAFE.sub(lambda match: match.group() if len(match.group()) > 1 else "\ufffd", text)


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON, on one line unless indented, without control characters.

    Those that JSON allows are DEL and U+0080 to U+009F: some terminals take those for the
    beginning of a command.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, ensure_ascii=False, separators=separators, indent=indent)
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def wants_colour(stream: TextIO, ansi: str) -> bool:
    """Tell whether to colour: ``--ansi``, NO_COLOR (no-color.org), else on a terminal only."""
    if ansi == "always":
        return True
    if ansi == "never" or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
