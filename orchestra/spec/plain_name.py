"""The ``name`` of a Compose file that is written as nearly all are, without reading it as YAML.

``ps``, ``exec`` and the like need no more of the file, and PyYAML takes longer to import than they
take to answer. Taken is a file whose lines without indentation are all comments or plain keys, and
whose name, if it has one, is a plain word: that is a block mapping, whatever is deeper in it.
"""

from __future__ import annotations

import re

from orchestra.spec.reading import is_file, read_limited

_LARGEST_BYTES = 1024 * 1024
_OUTER = re.compile(rb"^(?![ \t#]|\r?$)[^\n]*", re.MULTILINE)
_KEY = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]*:(?=[ \t\r]|$)")
_NAME = re.compile(
    rb"^name:[ \t]+(?P<quote>[\"']?)(?P<word>[a-z][a-z0-9_-]*)(?P=quote)[ \t]*(?:[ \t]#[^\n]*)?\r?$"
    rb"(?!\n(?:[ \t]*\r?\n)*[ \t]+[^ \t\r\n#])",  # a scalar goes on in lines that are indented
    re.MULTILINE,
)
_NO_TEXT = frozenset({b"null", b"true", b"false", b"yes", b"no", b"on", b"off", b"y", b"n"})
_OTHER_BREAKS = re.compile(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")


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
    if len(content) > _LARGEST_BYTES or _OTHER_BREAKS.search(content):
        raise NotPlainError
    outer = _OUTER.findall(content)
    if not outer or not all(map(_KEY.match, outer)):
        raise NotPlainError
    named = [line for line in outer if line.startswith(b"name:")]
    if not named:
        return None
    found = _NAME.search(content)
    if len(named) > 1 or found is None or found["word"] in _NO_TEXT:
        raise NotPlainError
    return found["word"].decode()
