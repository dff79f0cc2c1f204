"""Variables from files: the dotenv syntax of Compose, .env, --env-file, env_file.

``KEY=value``, ``KEY: value``, ``export KEY=value``, ``KEY`` alone (taken from what is known);
unquoted values end at `` #``, 'single quotes' are literal, "double quotes" know escapes; variables
are replaced in all but single quotes (compose-spec 05-services.md, env_file).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from orchestra.spec.findings import Misfit
from orchestra.spec.reading import read_limited
from orchestra.spec.spelling import shortened
from orchestra.spec.template import substitute
from orchestra.values import dataclass, field

LARGEST_BYTES = 1024 * 1024
Lookup = Callable[[str], str | None]

_BLANK = re.compile(r"(?:\s|\ufeff)*(?:#[^\n]*(?:\n|\Z)\s*)*")
_KEY = re.compile(r"(?:export[ \t]+)?([^=:\n]*)([=:]|\n|\Z)")
_NAME = re.compile(r"[\w.\-\[\]]*\Z")
_SPACE = " \t\v\f\r\x85\xa0"
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})')
_MOST_CHARACTERS = 4 * LARGEST_BYTES
_ESCAPES = {
    r"\a": "\a", r"\b": "\b", r"\f": "\f", r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\v": "\v",
    r"\$": "$$", "\\\\": "\\", r"\"": '"',
}  # fmt: skip


@dataclass(slots=True)
class _Reader:
    text: str
    lookup: Lookup
    found: dict[str, str]
    position: int = 0
    places: dict[str, int] = field(default_factory=dict)
    grown: int = 0

    def fail(self, message: str, hint: str | None = "write NAME=value") -> Misfit:
        line = self.text.count("\n", 0, self.position) + 1
        return Misfit(message, hint=hint, below=(line,))

    def run(self) -> None:
        while True:
            blank = _BLANK.match(self.text, self.position)
            self.position = blank.end() if blank is not None else self.position
            if self.position >= len(self.text):
                return
            self.statement()

    def statement(self) -> None:
        match = _KEY.match(self.text, self.position)
        if match is None:
            raise self.fail("cannot read this line")
        key = match[1].strip()
        if " " in key or "\t" in key:
            raise self.fail("a variable's name cannot contain a space")
        if not key or not _NAME.match(key):
            raise self.fail("this is no variable's name")
        self.places[key] = match.start(1)
        self.position = match.end()
        if match[2] not in {"=", ":"}:
            value = self.lookup(key)
            if value is not None:
                self.keep(key, value)
            return
        while self.text[self.position : self.position + 1] and self.text[self.position] in _SPACE:
            self.position += 1
        self.keep(key, self.value())

    def keep(self, key: str, value: str) -> None:
        self.grown += len(key) + len(value)
        if self.grown > _MOST_CHARACTERS:
            size = _MOST_CHARACTERS // (1024 * 1024)
            raise self.fail(f"its variables make the file longer than {size} MiB")
        self.found[key] = value

    def value(self) -> str:
        quote = self.text[self.position : self.position + 1]
        if quote in {"'", '"'}:
            return self.quoted(quote)
        end = self.text.find("\n", self.position)
        end = len(self.text) if end < 0 else end
        raw = self.text[self.position : end]
        value = self.expand(raw.partition(" #")[0].rstrip())
        self.position = end
        return value

    def quoted(self, quote: str) -> str:
        end = re.compile(rf"((?:\\.|[^\\{quote}])*){quote}", re.DOTALL).match(
            self.text, self.position + 1
        )
        if end is None:
            raise self.fail("a quote is not closed", f"close it, or write \\{quote} inside")
        raw = end[1].replace("\\" + quote, quote)
        value = self.expand(_ESCAPE.sub(_unescape, raw)) if quote == '"' else raw
        self.position = end.end()
        return value

    def expand(self, value: str) -> str:
        def known(name: str) -> str | None:
            outside = self.lookup(name)
            return self.found.get(name) if outside is None else outside

        try:
            return substitute(value, known, lambda _name: None)
        except Misfit as error:
            raise self.fail(error.message, error.hint) from error


def _unescape(match: re.Match[str]) -> str:
    text = match[0]
    if text in _ESCAPES:
        return _ESCAPES[text]
    digits = text[2:]
    if re.fullmatch("[0-3][0-7]{2}", digits):
        return chr(int(digits, 8))
    return text


def parse_dotenv(
    text: str, lookup: Lookup, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables of a file's text; ``lookup`` answers first when one names another.

    :raises Misfit: when the text is malformed; ``below`` holds the line.
    """
    constant = _constant(text)
    if constant is not None:
        return {**(known or {}), **constant}
    reader = _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), lookup, dict(known or {}))
    reader.run()
    return reader.found


def lines_of(text: str) -> dict[str, int]:
    """Return the line in which a file's text last sets each of its variables.

    :raises Misfit: when the text is malformed.
    """
    reader = _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), lambda _name: "", {})
    reader.run()
    return {key: reader.text.count("\n", 0, at) + 1 for key, at in reader.places.items()}


@lru_cache(maxsize=16)
def _constant(text: str) -> Mapping[str, str] | None:
    """Return the variables of a text that asks for none: many services share one file."""

    def ask(_name: str) -> str | None:
        raise _AskedError

    reader = _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), ask, {})
    try:
        reader.run()
    except (_AskedError, Misfit):
        return None
    return reader.found


class _AskedError(Exception):
    """A text asks for a variable."""


def parse_raw(text: str, lookup: Lookup) -> dict[str, str]:
    """Return the variables of a file in ``format: raw``: KEY=value lines, nothing replaced.

    :raises Misfit: when a line has no fit name; ``below`` holds the line.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        written = line.removesuffix("\r").lstrip()
        if not written or written.startswith("#"):
            continue
        name, equals, value = written.partition("=")
        if not name or any(letter.isspace() for letter in name):
            message = "a variable's name cannot be empty or contain a space"
            raise Misfit(message, hint="write NAME=value", below=(number,))
        known = value if equals else lookup(name)
        if known is not None:
            found[name] = known
    return found


def read_env_file(path: Path, what: str = "env file") -> str:
    """Return the text of an env file; ``what`` is its name in messages.

    :raises Misfit: when it is missing, a directory, too large or not text.
    """
    shown = shortened(str(path))
    try:
        content = read_limited(path, LARGEST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as err:
        hint = "create it, or give it required: false" if what == "env file" else "create it"
        raise Misfit(f'{what} "{shown}" does not exist', hint=hint) from err
    except IsADirectoryError as err:
        raise Misfit(f'{what} "{shown}" is a directory', hint="name a file in it") from err
    except OSError as err:
        hint = "look at its path and its permissions"
        raise Misfit(f'cannot read {what} "{shown}": {err.strerror}', hint=hint) from err
    if len(content) > LARGEST_BYTES or b"\0" in content:
        hint = "name a file with KEY=VALUE lines"
        raise Misfit(f'{what} "{shown}" is larger than 1 MiB, or no text', hint=hint)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise Misfit(f'{what} "{shown}" is not UTF-8', hint="save it as UTF-8") from err
