"""``--filter KEY=VALUE`` of the image commands, as docker has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestra.errors import UsageError

if TYPE_CHECKING:
    from orchestra.engine.target import ImageFilter

_LISTING = ("before", "dangling", "label", "reference", "since", "until")
_PRUNING = ("dangling", "label", "label!", "until")
_TRUE = {"1", "true", "t", "True", "TRUE"}
_FALSE = {"0", "false", "f", "False", "FALSE"}


def parse_filters(texts: Iterable[str], *, pruning: bool = False) -> ImageFilter:
    """Parse the filters of ``image ls``, or those of a prune.

    :raises UsageError: when one is not known, or its value makes no sense.
    """
    from orchestra.cli.moments import parse_moment
    from orchestra.engine.target import ImageFilter

    found: dict[str, list[str]] = {}
    known = _PRUNING if pruning else _LISTING
    for text in texts:
        key, equals, value = text.partition("=")
        if pruning and key == "label!":
            value = value.removeprefix("=")
        if key not in known or not equals:
            raise UsageError(
                f'invalid filter "{text}"', hint=f"use --filter KEY=VALUE; keys: {', '.join(known)}"
            )
        found.setdefault(key, []).append(value)
    until = found.get("until", [])
    if len(until) > 1:
        raise UsageError("more than one until filter given")
    return ImageFilter(
        references=tuple(found.get("reference", ())),
        dangling=_bool(found["dangling"][-1]) if "dangling" in found else None,
        labels=tuple(found.get("label", ())),
        without_labels=tuple(found.get("label!", ())),
        before=found["before"][-1] if "before" in found else None,
        since=found["since"][-1] if "since" in found else None,
        until=parse_moment(until[0]) if until else None,
    )


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise UsageError(f'invalid filter "dangling={text}"', hint="use true or false")
