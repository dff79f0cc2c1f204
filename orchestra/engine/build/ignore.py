"""Which paths of a build context .dockerignore hides, by the rules of Go's patternmatcher.

Pure. Patterns apply in order, the last that matches wins; ``!`` brings back; ``**`` spans
directories; a pattern that matches a directory hides what is below it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from orchestra.engine.build.lexer import SPACES
from orchestra.errors import BuildError
from orchestra.values import dataclass

_SPECIAL = re.compile(r"[*?\[\]\\]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One rule: ``keep`` for those written with ``!``; ``regex`` None for a path as it is."""

    text: str
    keep: bool
    regex: re.Pattern[str] | None

    def matches(self, path: str) -> bool:
        """Tell whether it says something of a path itself."""
        return path == self.text if self.regex is None else bool(self.regex.fullmatch(path))


Matched = tuple[bool, ...]
"""Which patterns match a directory or one of its parents; passed on to its children."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A list of patterns, in order."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def keeps(self) -> bool:
        """Tell whether a hidden directory may hold something that is brought back."""
        return any(pattern.keep for pattern in self.patterns)

    def match(self, path: str, parent: Matched | None = None) -> tuple[bool, Matched]:
        """Tell whether ``path`` (relative, slashes) is hidden; ``parent``: its directory's result.

        Without ``parent`` every directory above is looked at.
        """
        candidates = [path]
        if parent is None:
            parts = path.split("/")
            candidates += ["/".join(parts[:count]) for count in range(1, len(parts))]
        hidden = False
        matched: list[bool] = []
        for index, pattern in enumerate(self.patterns):
            match = parent is not None and parent[index]
            if not match and pattern.keep == hidden:
                match = any(pattern.matches(candidate) for candidate in candidates)
            matched.append(match)
            if match:
                hidden = not pattern.keep
        return hidden, tuple(matched)


def parse_ignore_file(text: str) -> tuple[str, ...]:
    """Return the patterns of a .dockerignore: comments out, paths cleaned and made relative."""
    patterns: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = line.strip(SPACES)
        if line.startswith("#") or not pattern:
            continue
        keep = pattern.startswith("!")
        if keep:
            pattern = pattern[1:].strip(SPACES)
        if pattern:
            pattern = clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(f"!{pattern}" if keep else pattern)
    return tuple(patterns)


def clean(path: str) -> str:
    """Shorten a path lexically, as Go's filepath.Clean does."""
    return (
        "/" + posixpath.normpath(path).lstrip("/")
        if path.startswith("/")
        else (posixpath.normpath(path) if path else ".")
    )


def make_matcher(patterns: Sequence[str]) -> Matcher:
    """Compile patterns.

    :raises BuildError: when one is not a pattern.
    """
    made: list[Pattern] = []
    for written in patterns:
        text = written.strip(SPACES)
        if not text:
            continue
        text = clean(text)
        keep = text.startswith("!")
        if keep:
            text = text[1:]
            if not text:
                raise BuildError('cannot read the ignore patterns: "!" alone is not a pattern')
        try:
            regex = re.compile(_regex(text), re.DOTALL) if _SPECIAL.search(text) else None
        except re.error as error:
            raise BuildError(
                f'cannot read the ignore patterns: "{text[:100]}" is not a pattern'
            ) from error
        made.append(Pattern(text, keep, regex))
    return Matcher(tuple(made))


def _regex(pattern: str) -> str:
    out: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            start = position
            position += 2
            if pattern.startswith("/", position):
                position += 1
            suffix = start == 0 and pattern[position - 1] != "/"
            if position == len(pattern) or (suffix and not _SPECIAL.search(pattern, position)):
                out.append(".*")
            else:
                out.append("(?:.*/)?")
            continue
        position += 1
        if character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "\\" and position < len(pattern):
            out.append(re.escape(pattern[position]))
            position += 1
        elif character == "[":
            body, position = bracket(pattern, position)
            out.append(body)
        else:
            out.append(re.escape(character))
    return "".join(out)


def bracket(pattern: str, position: int) -> tuple[str, int]:
    """Read a bracket expression after its ``[``; return its regular expression and the end.

    :raises BuildError: when it has no end.
    """
    out = ["["]
    if pattern.startswith("^", position):
        out.append("^")
        position += 1
    start = position
    while position < len(pattern) and (pattern[position] != "]" or position == start):
        character = pattern[position]
        if character == "\\":
            position += 1
            character = pattern[position : position + 1]
            out.append(re.escape(character))
        else:
            out.append(character if character == "-" else re.escape(character))
        position += 1
    if position >= len(pattern):
        raise BuildError(f'"{pattern[:100]}" is not a pattern: "[" has no end')
    return "".join(out) + "]", position + 1


def glob_regex(pattern: str) -> re.Pattern[str]:
    """Compile a COPY source with wildcards, as Go's filepath.Match reads it (no ``**``).

    :raises BuildError: when it is not a pattern.
    """
    out: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[":
            body, position = bracket(pattern, position)
            out.append(body)
        else:
            if character == "\\" and position < len(pattern):
                character = pattern[position]
                position += 1
            out.append(re.escape(character))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as error:
        raise BuildError(f'"{pattern[:100]}" is not a pattern') from error


def has_wildcard(text: str) -> bool:
    """Tell whether a source holds an unescaped ``*``, ``?`` or ``[``."""
    if not any(character in text for character in "*?["):
        return False
    return re.search(r"[*?\[]", re.sub(r"\\.", "", text, flags=re.DOTALL)) is not None
