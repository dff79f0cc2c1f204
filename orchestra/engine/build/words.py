"""How the rest of a Dockerfile line becomes arguments: flags, quoted words, pairs, JSON.

Pure. One reader per family of keywords; the rules are BuildKit's (parser/line_parsers.go).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from orchestra.engine.build.lexer import SPACES
from orchestra.errors import BuildError

_BLANKS = re.compile(r"[\t\v\f\r ]+")


def split_once(text: str) -> tuple[str, str, str]:
    """Partition at the first run of blanks."""
    match = _BLANKS.search(text)
    return (text, "", "") if match is None else (text[: match.start()], " ", text[match.end() :])


def split_flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """Take the leading ``--flags`` off a line; quotes and escapes are resolved in them."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in SPACES:
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:]
        flag, quoted, position = _flag(text, position, escape)
        if flag == "--" and position < len(text):
            return tuple(flags), text[position:]
        if (flag or quoted) and flag != "--":
            flags.append(flag)


def _flag(text: str, position: int, escape: str) -> tuple[str, bool, int]:
    out: list[str] = []
    quote = ""
    quoted = False
    while position < len(text) and (quote or text[position] not in SPACES):
        character = text[position]
        if quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote, quoted = character, True
        elif character == escape:
            position += 1
            out.append(text[position : position + 1])
        else:
            out.append(character)
        position += 1
    return "".join(out), quoted, position


def split_words(text: str, escape: str) -> list[str]:
    """Split at spaces outside quotes; quotes and escapes stay in the words."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in SPACES:
            position += 1
            continue
        word, position = _word(text, position, escape)
        if word:
            words.append(word)
    return words


def _word(text: str, position: int, escape: str) -> tuple[str, int]:
    out: list[str] = []
    quote = ""
    while position < len(text) and (quote or text[position] not in SPACES):
        character = text[position]
        if quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        if character == escape and quote != "'":
            if position + 1 == len(text):
                return "".join(out), len(text)
            out.append(character)
            position += 1
        out.append(text[position])
        position += 1
    return "".join(out), position


Arguments = tuple[tuple[str, ...], bool]


def _none(_rest: str, _escape: str) -> Arguments:
    return (), False


def _string(rest: str, _escape: str) -> Arguments:
    return ((rest,) if rest else ()), False


def _blanks(rest: str, _escape: str) -> Arguments:
    return (tuple(_BLANKS.split(rest)) if rest else ()), False


def _quoted_words(rest: str, escape: str) -> Arguments:
    return tuple(split_words(rest, escape)), False


def _json_or_string(rest: str, escape: str) -> Arguments:
    words = json_words(rest)
    return _string(rest, escape) if words is None else (words, True)


def _json_or_blanks(rest: str, escape: str) -> Arguments:
    words = json_words(rest)
    return _blanks(rest, escape) if words is None else (words, True)


def _pairs(rest: str, escape: str) -> Arguments:
    words = split_words(rest, escape)
    if not words:
        return (), False
    if "=" not in words[0]:
        key, found, value = split_once(rest)
        if not found:
            raise BuildError(f'cannot parse: "{key[:100]}" needs a value')
        return (key, value, ""), False
    out: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise BuildError(f'cannot parse: "{word[:100]}" is not of the form name=value')
        out += (key, value, "=")
    return tuple(out), False


def _health(rest: str, escape: str) -> Arguments:
    words = rest.split(maxsplit=1)
    if not words:
        return (), False
    kind, command = words[0], "".join(words[1:])
    arguments, is_json = _json_or_string(command, escape)
    return (kind, *arguments), is_json


def json_words(text: str) -> tuple[str, ...] | None:
    """Read a JSON array of strings; None for anything that is not a JSON array.

    :raises BuildError: when it is an array that holds something else.
    """
    if not text.lstrip(SPACES).startswith("["):
        return None
    try:
        found = json.loads(text, parse_constant=_reject)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    words: list[str] = []
    for word in found:
        if not isinstance(word, str):
            raise BuildError("cannot parse: a JSON array of an instruction holds strings only")
        words.append(word.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return tuple(words)


def _reject(constant: str) -> object:
    raise ValueError(constant)


_READERS: dict[str, Callable[[str, str], Arguments]] = {
    "add": _json_or_blanks,
    "arg": _quoted_words,
    "cmd": _json_or_string,
    "copy": _json_or_blanks,
    "entrypoint": _json_or_string,
    "env": _pairs,
    "expose": _blanks,
    "from": _blanks,
    "healthcheck": _health,
    "label": _pairs,
    "maintainer": _string,
    "run": _json_or_string,
    "shell": _json_or_string,
    "stopsignal": _string,
    "user": _string,
    "volume": _json_or_blanks,
    "workdir": _string,
}


def read_arguments(keyword: str, rest: str, escape: str) -> Arguments:
    """Split what follows a keyword as that keyword wants, and tell whether it was JSON.

    :raises BuildError: when it does not follow the keyword's grammar.
    """
    return _READERS.get(keyword.lower(), _none)(rest, escape)
