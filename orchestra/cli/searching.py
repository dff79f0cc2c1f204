"""``--filter`` of the history of builds, as buildx has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.moments import parse_moment
from orchestra.errors import UsageError

if TYPE_CHECKING:
    from orchestra.engine.build.history import BuildRecord

_FILTER = re.compile(r"(\w+)(!=|<=|>=|=|<|>)(.*)")
_TEXTS = ("ref", "repository", "status")
_TIMES = ("startedAt", "completedAt", "duration")
_COMPARE: dict[str, Callable[[timedelta, timedelta], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_START = datetime(1970, 1, 1, tzinfo=UTC)


def repository_of(directory: Path) -> str:
    """Return the top directory of the git repository that a directory is in.

    :raises UsageError: when it is in none.
    """
    for place in (directory, *directory.parents):
        if (place / ".git").exists():
            return str(place)
    raise UsageError(f'"{directory}" is in no git repository', hint="--local is for those")


def chosen_builds(
    records: Iterable[BuildRecord], filters: Iterable[str], repository: str | None
) -> list[BuildRecord]:
    """Return the builds that every filter lets pass, and that are of a repository, if one is named.

    :raises UsageError: when a filter is none.
    """
    checks = [_check(text) for text in filters]
    if repository is not None:
        top = repository
        checks.append(lambda record: f"{record.context}/".startswith(f"{top}/"))
    return [record for record in records if all(check(record) for check in checks)]


def _check(text: str) -> Callable[[BuildRecord], bool]:
    match = _FILTER.fullmatch(text)
    if match is None or match[1] not in _TEXTS + _TIMES:
        known = ", ".join(_TEXTS + _TIMES)
        raise UsageError(f'invalid filter "{text}"', hint=f"filter by {known}")
    key, sign, wanted = match.groups()
    if (key in _TEXTS) != (sign in {"=", "!="}):
        signs = "= or !=" if key in _TEXTS else "<, <=, > or >="
        raise UsageError(f'invalid filter "{text}"', hint=f"{key} is compared by {signs}")
    if key in _TEXTS:
        return lambda record: _is(record, key, wanted) == (sign == "=")
    compare = _COMPARE[sign]
    limit = _duration(text, wanted) if key == "duration" else _moment(wanted)
    return lambda record: compare(_time(record, key), limit)


def _is(record: BuildRecord, key: str, wanted: str) -> bool:
    if key == "status":
        return record.status == {"success": "completed"}.get(wanted, wanted)
    return wanted in (record.id if key == "ref" else record.context)


def _duration(text: str, wanted: str) -> timedelta:
    from orchestra.spec.units import parse_duration

    try:
        return parse_duration(wanted)
    except ValueError as err:
        raise UsageError(f'invalid filter "{text}"', hint="write it as duration>1m30s") from err


def _moment(text: str) -> timedelta:
    return (parse_moment(text) or _START) - _START


def _time(record: BuildRecord, key: str) -> timedelta:
    if key == "duration":
        return record.duration
    moment = record.began_at if key == "startedAt" else record.ended_at
    return (moment or _START) - _START
