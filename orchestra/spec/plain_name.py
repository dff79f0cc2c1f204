"""The ``name`` of a Compose file that is written as nearly all are, without reading it as YAML.

``ps``, ``exec`` and the like need no more of the file, and PyYAML takes longer to import than they
take to answer. Taken is a file whose lines without indentation are all comments or plain keys, and
whose name, if it has one, is a plain word: that is a block mapping, whatever is deeper in it.
"""

from __future__ import annotations

from orchestra.spec.reading import is_file, read_limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGEST_BYTES = 1024 * 1024
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_WORD = _LOWER | frozenset(b"0123456789_-")
_LETTERS = _LOWER | frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_KEY = _LETTERS | _WORD | frozenset(b".")
_NO_TEXT = frozenset({b"null", b"true", b"false", b"yes", b"no", b"on", b"off", b"y", b"n"})
_OTHER_BREAKS = (b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")


class NotPlainError(Exception):
    """This file has to be read as YAML."""


def plain_name_in(file: str) -> str | None:
    """Return the name that a file gives, or that it gives none.

    :raises NotPlainError: when only a YAML reader can tell, or say what is wrong.
    """
    if not is_file(file):
        raise NotPlainError
    try:
        content = read_limited(file, _LARGEST_BYTES)
    except OSError as err:
        raise NotPlainError from err
    if len(content) > _LARGEST_BYTES or any(code in content for code in _OTHER_BREAKS):
        raise NotPlainError
    content = content.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if b"\r" in content:
        raise NotPlainError
    return _name_in(content.split(b"\n"))


def _name_in(lines: list[bytes]) -> str | None:
    places = [at for at, line in enumerate(lines) if line and line[0] not in b" \t#"]
    if not places or not all(_is_key(lines[at]) for at in places):
        raise NotPlainError
    named = [at for at in places if lines[at].startswith(b"name:")]
    if not named:
        return None
    at = named[0]
    if len(named) > 1 or _goes_on(lines[at + 1 :]):
        raise NotPlainError
    return _word(lines[at].removeprefix(b"name:"))


def _is_key(line: bytes) -> bool:
    key, colon, rest = line.partition(b":")
    return (
        bool(key and colon)
        and key[0] in _LETTERS
        and _KEY.issuperset(key)
        and (not rest or rest[0] in b" \t")
    )


def _goes_on(lines: Iterable[bytes]) -> bool:
    """Tell whether a scalar goes on in these lines: those that are indented."""
    first = next((line for line in lines if line.strip(b" \t")), b"")
    return first[:1] in {b" ", b"\t"} and first.lstrip(b" \t")[:1] != b"#"


def _word(text: bytes) -> str:
    """Return the plain or quoted word behind a key.

    :raises NotPlainError: when it is none, or means no text.
    """
    value, blank, comment = text.lstrip(b" \t").replace(b"\t", b" ").partition(b" ")
    after = comment.lstrip(b" ")
    quote = value[:1] if value[:1] in {b"'", b'"'} else b""
    word = value[1:-1] if quote and value.endswith(quote) and len(value) > 1 else value
    if (
        text[:1] not in {b" ", b"\t"}
        or (after and not (blank and after.startswith(b"#")))
        or not word
        or word[0] not in _LOWER
        or not _WORD.issuperset(word)
        or word in _NO_TEXT
    ):
        raise NotPlainError
    return word.decode()
