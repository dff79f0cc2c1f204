"""Quotes, escapes and ``${variables}`` in the words of a Dockerfile, by BuildKit's rules.

Pure. The grammar is BuildKit's (frontend/dockerfile/shell): single quotes take all literally,
double quotes expand variables, the escape character takes the next one literally, and of the
shell's parameter expansions these are known: ``:-`` ``-`` ``:+`` ``+`` ``:?`` ``?`` ``#`` ``##``
``%`` ``%%`` ``/`` ``//``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestra.errors import BuildError
from orchestra.values import dataclass, field

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space: what BuildKit takes for a space."""

_SPECIAL_PARAMETERS = "@*#?-$!0"
_REGEX_SPECIAL = "[]{}.+()|^$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexing:
    """How to read: ``raw_quotes`` and ``raw_escapes`` keep them, ``quotes`` False ignores them.

    ``keep_unset`` leaves references to unset variables as they are written.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    quotes: bool = True
    keep_unset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A word after expansion: whole, split at unquoted spaces, and the names that it asked for."""

    text: str
    words: tuple[str, ...]
    unset: frozenset[str]
    found: frozenset[str]


def expand(text: str, variables: Mapping[str, str], lexing: Lexing | None = None) -> Expansion:
    """Expand every reference in a word.

    :raises BuildError: when quotes or braces do not match, a modifier is unknown, or ``?`` says so.
    """
    lexer = _Lexer(text, variables, lexing or Lexing())
    result, words = lexer.until("", raw_escapes=lexer.lexing.raw_escapes)
    return Expansion(
        text=result,
        words=tuple(words),
        unset=frozenset(lexer.unset),
        found=frozenset(lexer.found),
    )


@dataclass(slots=True)
class _Words:
    """Splits at spaces what comes in piece by piece."""

    words: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        for character in text:
            if character not in SPACES:
                self.current.append(character)
            else:
                self.finish()

    def add_raw(self, text: str) -> None:
        if text:
            self.current.append(text)

    def finish(self) -> list[str]:
        if self.current:
            self.words.append("".join(self.current))
            self.current = []
        return self.words


class _Lexer:
    def __init__(self, text: str, variables: Mapping[str, str], lexing: Lexing) -> None:
        self.text = text
        self.position = 0
        self.variables = variables
        self.lexing = lexing
        self.unset: set[str] = set()
        self.found: set[str] = set()

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def next(self) -> str:
        character = self.peek()
        self.position += len(character)
        return character

    def fail(self, why: str) -> BuildError:
        return BuildError(f'cannot expand "{self.text[:200]}": {why}')

    def until(self, stop: str, *, raw_escapes: bool) -> tuple[str, list[str]]:
        """Read up to ``stop`` and past it; an empty ``stop`` is the end of the text."""
        result: list[str] = []
        words = _Words()
        while character := self.peek():
            if character == stop:
                self.next()
                return "".join(result), words.finish()
            if character == "$":
                piece = self._dollar(raw_escapes=raw_escapes)
                words.add(piece)
            elif character in "'\"" and self.lexing.quotes:
                piece = self._quoted(raw_escapes=raw_escapes)
                words.add_raw(piece)
            elif character == "<":
                piece = self._arrows()
                words.add_raw(piece)
            elif character == self.lexing.escape:
                piece = self._escaped(raw_escapes=raw_escapes)
                words.add_raw(piece)
            else:
                piece = self.next()
                words.add(piece)
            result.append(piece)
        if stop:
            raise self.fail(f"no matching {stop}")
        return "".join(result), words.finish()

    def _escaped(self, *, raw_escapes: bool) -> str:
        mark = self.next()
        return (mark if raw_escapes else "") + self.next()

    def _arrows(self) -> str:
        """Read ``<``, or ``<<`` with the blanks after it: they belong to a heredoc's word."""
        start = self.position
        self.next()
        if self.peek() == "<":
            self.next()
            while self.peek() and self.peek() in "\t\r ":
                self.next()
        return self.text[start : self.position]

    def _quoted(self, *, raw_escapes: bool) -> str:
        quote = self.next()
        body = self._single() if quote == "'" else self._double(raw_escapes=raw_escapes)
        return f"{quote}{body}{quote}" if self.lexing.raw_quotes else body

    def _single(self) -> str:
        end = self.text.find("'", self.position)
        if end < 0:
            raise self.fail("no matching single quote")
        body = self.text[self.position : end]
        self.position = end + 1
        return body

    def _double(self, *, raw_escapes: bool) -> str:
        result: list[str] = []
        while character := self.peek():
            if character == '"':
                self.next()
                return "".join(result)
            if character == "$":
                result.append(self._dollar(raw_escapes=raw_escapes))
                continue
            self.next()
            if character == self.lexing.escape:
                following = self.peek()
                if raw_escapes:
                    result.append(character)
                if not following:
                    continue
                if following in ('"', "$", self.lexing.escape):
                    character = self.next()
            result.append(character)
        raise self.fail("no matching double quote")

    def _name(self) -> str:
        start = self.position
        if self.peek().isdecimal():
            while self.peek().isdecimal():
                self.next()
        elif self.peek() and self.peek() in _SPECIAL_PARAMETERS:
            self.next()
        else:
            while self.peek() and (
                self.peek().isalpha() or self.peek().isdecimal() or self.peek() == "_"
            ):
                self.next()
        return self.text[start : self.position]

    def _value(self, name: str) -> str | None:
        value = self.variables.get(name)
        (self.unset if value is None else self.found).add(name)
        return value

    def _dollar(self, *, raw_escapes: bool) -> str:
        self.next()
        if self.peek() == "{":
            self.next()
            return self._braced(raw_escapes=raw_escapes)
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        if value is None:
            return f"${name}" if self.lexing.keep_unset else ""
        return value

    def _braced(self, *, raw_escapes: bool) -> str:
        if not self.peek():
            raise self.fail("missing }")
        if self.peek() in "{}:":
            raise self.fail("bad substitution")
        name = self._name()
        modifier = self.next()
        if modifier == "}":
            value = self._value(name)
            if value is None:
                return f"${{{name}}}" if self.lexing.keep_unset else ""
            return value
        if modifier == "/":
            return self._replacement(name)
        colon = modifier == ":"
        if colon:
            modifier = self.next()
        if not modifier or modifier not in ("+-?" if colon else "+-?#%"):
            raise self.fail(f'unsupported modifier "{":" if colon else ""}{modifier}"')
        pattern = modifier in "#%"
        word, _ = self.until("}", raw_escapes=pattern or raw_escapes)
        value = self._value(name)
        if value is None and self.lexing.keep_unset:
            return f"${{{name}{':' if colon else ''}{modifier}{word}}}"
        if pattern:
            return self._trimmed(modifier, word, value or "")
        return self._chosen(name, modifier, word, None if colon and value == "" else value)

    def _chosen(self, name: str, modifier: str, word: str, value: str | None) -> str:
        """Apply ``-``, ``+`` or ``?`` to a value that is None when it counts as unset."""
        if modifier == "+":
            return "" if value is None else word
        if value is not None:
            return value
        if modifier == "-":
            return word
        raise self.fail(f"{name}: {word or 'it is not allowed to be unset or empty'}")

    def _trimmed(self, modifier: str, word: str, value: str) -> str:
        greedy = word.startswith(modifier)
        pattern = word[1:] if greedy else word
        if modifier == "#":
            found = self._regex(pattern, greedy=greedy).match(value)
            return value[found.end() :] if found else value
        found = self._regex(_reversed(pattern), greedy=greedy).match(value[::-1])
        return value[: len(value) - found.end()] if found else value

    def _replacement(self, name: str) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.next()
        pattern, _ = self.until("/", raw_escapes=True)
        replacement, _ = self.until("}", raw_escapes=True)
        value = self._value(name)
        if value is None:
            return f"${{{name}/{pattern}/{replacement}}}" if self.lexing.keep_unset else ""
        regex = self._regex(pattern, greedy=True)
        return regex.sub(lambda _match: replacement, value, count=0 if everywhere else 1)

    def _regex(self, pattern: str, *, greedy: bool) -> re.Pattern[str]:
        """Turn a shell pattern (``*``, ``?``, escapes; no brackets) into a regular expression."""
        out: list[str] = []
        characters = iter(range(len(pattern)))
        for index in characters:
            character, following = pattern[index], pattern[index + 1 : index + 2]
            if character == "*":
                out.append(".*" if greedy else ".*?")
            elif character == "?":
                out.append(".")
            elif character == "\\" and following in ("}", "/"):
                continue
            elif character == "\\":
                if following not in ("*", "?", "\\"):
                    raise self.fail(f'invalid escape "\\{following}" in a pattern')
                out.append("\\" + pattern[next(characters)])
            else:
                out.append("\\" + character if character in _REGEX_SPECIAL else character)
        return re.compile("".join(out))


def _reversed(pattern: str) -> str:
    """Reverse a pattern for a match from the end, keeping each escape before its character."""
    return "".join(reversed(re.findall(r"\\.|.", pattern, re.DOTALL)))
