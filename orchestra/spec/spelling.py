"""What somebody may have meant, and how much of a long text an error shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

_LONGEST_WORD = 64
_MOST_WORDS = 200
_LONGEST_SHOWN = 200
_QUOTED = re.compile(r'"([^"]+)"')
_WORD = re.compile(r"\w{3,}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one, None where none is.

    Long words, and all but the first few hundred known ones, are not looked at: it is a courtesy.
    """
    if len(word) > _LONGEST_WORD:
        return None
    few = tuple(one for one in islice(known, _MOST_WORDS) if len(one) <= _LONGEST_WORD)
    return _nearest(word, few)


@lru_cache(maxsize=256)
def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes alone

    return next(iter(get_close_matches(word, known, n=1)), None)


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the hint that names the nearest known word."""
    near = nearest(word, known)
    return None if near is None else f'did you mean "{near}"?'


def shortened(text: str, longest: int = _LONGEST_SHOWN) -> str:
    """Return the text, or of a long one its beginning and end."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def listed(names: Iterable[str], most: int = 12) -> str:
    """Return names as a sentence lists them: the first few, and how many more there are."""
    every = sorted(names)
    shown = ", ".join(shortened(name, 40) for name in every[:most])
    more = len(every) - most
    return f"{shown} and {more} more" if more > 0 else shown or "none"


def veiled(text: str, written: str, result: str) -> str:
    """Return a message that shows a text as it is written, not as its variables made it.

    Whatever it quotes of the result, and is not in the written text, becomes the written text.
    """
    shown = f'"{shortened(written)}"'
    for value in (result, shortened(result)):
        text = text.replace(f'"{value}"', shown)
        text = text.replace(f".{value} (", f".{shortened(written)} (")
    whole = result.lower()
    words = {word for word in _WORD.findall(whole[:_LONGEST_SHOWN]) if word not in written.lower()}

    def told(quoted: re.Match[str]) -> str:
        part = quoted[1].lower()
        leaks = part in whole or whole in part or any(word in part for word in words)
        return shown if leaks and quoted[1] not in written else quoted[0]

    return _QUOTED.sub(told, text)
