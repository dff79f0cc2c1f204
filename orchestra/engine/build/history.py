"""The builds that were done on this machine: their journals, read, found and removed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestra.engine.build.journal import Steps
from orchestra.engine.build.journals import VERSION, is_held, remove
from orchestra.engine.events import Event, LogLine, Progress
from orchestra.errors import BuildError, ImageError
from orchestra.oci.platform import parse_platform
from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from orchestra.engine.state.codec import Json

_BYTES_MAX = 4 << 20
"""More than any journal of ours has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """One build: what was built, and what became of it.

    ``status``: running, completed, error or canceled. ``error`` is what the build ended with,
    ``place`` where in a Dockerfile. ``config`` has the settings that were not as usual,
    ``based_on`` the images that it began with: reference, platform and digest.
    """

    id: str
    name: str
    status: str
    began_at: datetime
    duration: timedelta
    total: int
    completed: int
    cached: int
    names: tuple[str, ...] = ()
    context: str = ""
    dockerfile: str = ""
    target: str = ""
    platforms: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    image: str = ""
    digest: str = ""
    error: str = ""
    place: str = ""
    based_on: tuple[tuple[str, str, str], ...] = ()

    @property
    def materials(self) -> tuple[tuple[str, str], ...]:
        """What it was based on, as package URLs with their digests."""
        from orchestra.engine.build.provenance import image_url  # noqa: PLC0415 - not for lists

        found = []
        for reference, platform, digest in self.based_on:
            with suppress(ImageError):
                found.append((image_url(reference, parse_platform(platform)), digest))
        return tuple(found)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None while it runs."""
        return None if self.status == "running" else self.began_at + self.duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a build said, and when."""

    at: datetime
    event: Event


class BuildHistory:
    """The journals of a directory. Blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _paths(self) -> list[Path]:
        """Return the journals, the newest first."""
        with suppress(OSError):
            return sorted(self._directory.glob("*.jsonl"), reverse=True)
        return []

    def records(self) -> tuple[BuildRecord, ...]:
        """Return every build, the newest first; what cannot be understood is left out."""
        found = (_read(path) for path in self._paths())
        return tuple(_record(read) for read in found if read is not None)

    def find(self, reference: str) -> BuildRecord:
        """Return the build that an id, the beginning of one, or ``^N`` names; "" is the last one.

        :raises BuildError: when there is none.
        """
        read = _read(self._path(reference))
        if read is None:
            raise BuildError(f'the record of build "{reference}" cannot be read')
        return _record(read)

    def told(self, reference: str) -> Iterator[Told]:
        """Yield what a build said.

        :raises BuildError: when there is none.
        """
        read = _read(self._path(reference))
        for line in read.lines if read else ():
            event = _event(line)
            if read is not None and event is not None:
                milliseconds = cast("list[int]", line)[0]
                at = read.began_at + timedelta(milliseconds=milliseconds)
                yield Told(at=at, event=event)

    def remove(self, reference: str) -> None:
        """Remove a build's record.

        :raises BuildError: when there is none, or the build runs.
        """
        if not remove(self._path(reference)):
            raise BuildError(f'cannot remove the record of build "{reference}": it runs')

    def clear(self, until: datetime | None = None) -> int:
        """Remove the records of all builds that do not run; return how many bytes that were.

        ``until``: only of those that began before.
        """
        freed, first = 0, f"{int(until.timestamp() * 1e9):020d}" if until else "~"
        for path in self._paths():
            with suppress(OSError):
                size = path.stat().st_size
                freed += size if path.name < first and remove(path) else 0
        return freed

    def _path(self, reference: str) -> Path:
        paths = self._paths()
        if not paths:
            raise BuildError("there is no record of any build")
        wanted = reference.rpartition("/")[2]  # BuildKit's full form: builder/node/id
        if not wanted or wanted.startswith("^"):
            return _at_offset(paths, wanted)
        found = [path for path in paths if path.stem.partition("-")[2].startswith(wanted)]
        if len(found) != 1:
            why = "is the beginning of several" if found else "is not known"
            raise BuildError(
                f'build "{reference}" {why}', hint="see `orchestra builder history ls`"
            )
        return found[0]


def _at_offset(paths: list[Path], offset: str) -> Path:
    number = offset.removeprefix("^") or "0"
    if not number.isascii() or not number.isdecimal():
        raise BuildError(f'"{offset}" is no offset', hint="^1 is the build before the last one")
    if int(number) >= len(paths):
        raise BuildError(f"there are records of {len(paths)} builds only")
    return paths[int(number)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A journal, as it was read: its first line, and those after it."""

    id: str
    began_at: datetime
    about: Mapping[str, Json]
    lines: tuple[Json, ...]
    running: bool


def _read(path: Path) -> _Read | None:
    """Return a journal; None where there is none that can be understood."""
    try:
        with path.open("rb") as file:
            running = is_held(file.fileno())
            data = os.read(file.fileno(), _BYTES_MAX)
    except OSError:
        return None
    lines: list[Json] = []
    for text in data.splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:  # where a builder was killed, or the power failed
            continue
    match lines[:1]:
        case [
            {
                "version": int(version),
                "id": str(identity),
                "began_ns": int(began),
                "about": dict(about),
            }
        ] if version == VERSION:
            return _Read(
                id=identity,
                began_at=datetime.fromtimestamp(began / 1e9, UTC),
                about=about,
                lines=tuple(lines[1:]),
                running=running,
            )
        case _:
            return None


def _event(line: Json) -> Event | None:
    match line:
        case [int(), "step", str(subject), str(action)]:
            return Progress(subject=subject, action=action)
        case [int(), "out", str(source), str(stream), str(text)]:
            return LogLine(source=source, stream=stream, text=text)
        case [int(), "gap", int(count)]:
            return Progress(subject="history", action=f"{count} lines were left out here")
        case _:
            return None


def _record(read: _Read) -> BuildRecord:
    """Return what a journal says; one that nobody finished was broken off."""
    about = read.about
    ends = [line["end"] for line in read.lines if isinstance(line, dict) and "end" in line]
    end = ends[-1] if ends and isinstance(ends[-1], dict) else _unfinished(read)
    return BuildRecord(
        id=read.id,
        status=_text(end, "status"),
        began_at=read.began_at,
        duration=timedelta(milliseconds=_number(end, "milliseconds")),
        total=_number(end, "total"),
        completed=_number(end, "completed"),
        cached=_number(end, "cached"),
        name=_text(about, "name"),
        names=_texts(about, "names"),
        context=_text(about, "context"),
        dockerfile=_text(about, "dockerfile"),
        target=_text(about, "target"),
        platforms=_texts(about, "platforms"),
        arguments=_texts(about, "arguments"),
        contexts=cast("dict[str, str]", _mapping(about, "contexts")),
        config=_mapping(about, "config"),
        image=_text(end, "image"),
        digest=_text(end, "digest"),
        error=_text(end, "error"),
        place=_text(end, "place"),
        based_on=tuple(_based_on(end)),
    )


def _based_on(end: Mapping[str, Json]) -> Iterator[tuple[str, str, str]]:
    found = end.get("materials")
    for entry in found if isinstance(found, list) else ():
        match entry:
            case [str(reference), str(platform), str(digest)]:
                yield reference, platform, digest
            case _:
                continue


def _unfinished(read: _Read) -> dict[str, Json]:
    steps, last = Steps(), 0
    for line in read.lines:
        event = _event(line)
        if event is not None:
            last = cast("list[int]", line)[0]
        if isinstance(event, Progress):
            steps.see(event.action)
    if read.running:
        last = int((datetime.now(UTC) - read.began_at).total_seconds() * 1000)
    return {
        "status": "running" if read.running else "canceled",
        "milliseconds": last,
        "total": steps.total,
        "completed": steps.completed,
        "cached": steps.cached,
        "error": "" if read.running else "the builder was killed",
    }


def _text(document: Mapping[str, Json], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _texts(document: Mapping[str, Json], key: str) -> tuple[str, ...]:
    value = document.get(key)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(document: Mapping[str, Json], key: str) -> int:
    value = document.get(key)
    return value if isinstance(value, int) else 0


def _mapping(document: Mapping[str, Json], key: str) -> dict[str, Json]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
