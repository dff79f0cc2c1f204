"""Read a container's log file and its rotated siblings, and follow it by inotify.

Records that cannot be read (a torn line after a power cut) are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel

from orchestra.engine.container.places import Places
from orchestra.engine.events import LogLine
from orchestra.engine.linux import process, syscalls
from orchestra.engine.linux.flags import Inotify
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import ContainerRecord

_READ_BYTES = 256 * 1024
_WATCHED = Inotify.MODIFY | Inotify.CREATE | Inotify.MOVED_TO


async def read_logs(
    paths: Paths,
    record: ContainerRecord,
    *,
    tail: int | None = None,
    follow: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncIterator[LogLine]:
    """Yield a container's output, oldest first; ``tail`` lines of what is there, None for all.

    With ``follow`` goes on with what comes, and ends when the container has ended and everything
    is read. A line longer than 16 KiB comes as several, all but the last without a newline.
    """
    places = Places.of(paths, record)
    reader = _Reader(places.log, record.spec.name)
    watch = _Watch(places) if follow else None
    try:
        lines = reader.all() if tail is None else iter(reader.last(tail))
        for line in _between(lines, since, until):
            yield line
            await anyio.lowlevel.checkpoint()
        while watch is not None:
            alive = await watch.changed()
            for line in _between(reader.more(), since, until):
                yield line
            if not alive or _past(until):
                return
    finally:
        reader.close()
        if watch is not None:
            watch.close()


def _between(
    lines: Iterator[LogLine], since: datetime | None, until: datetime | None
) -> Iterator[LogLine]:
    for line in lines:
        if since and line.time and line.time < since:
            continue
        if until and line.time and line.time > until:
            continue
        yield line


def _past(until: datetime | None) -> bool:
    return until is not None and datetime.now(UTC) > until


class _Reader:
    """Reads forward through the files, from the oldest to the one being written."""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._source = source
        self._fd = -1
        self._rest = b""

    def all(self) -> Iterator[LogLine]:
        """Read everything there is."""
        for path in self._older():
            with suppress(OSError), path.open("rb") as file:
                for raw in file:
                    yield from self._parse(raw)
        yield from self.more()

    def last(self, count: int) -> list[LogLine]:
        """Read the last lines there are; what comes later is for ``more``."""
        lines = list(self.more_raw()) if self._open() else []
        older = self._older()
        while older and len(lines) < count:
            with suppress(OSError):
                lines = older[-1].read_bytes().splitlines(keepends=True) + lines
            older.pop()
        kept = lines[-count:] if count > 0 else []
        return [line for raw in kept for line in self._parse(raw)]

    def more(self) -> Iterator[LogLine]:
        """Read what has been written since."""
        for raw in self.more_raw():
            yield from self._parse(raw)

    def more_raw(self) -> Iterator[bytes]:
        """Read whole records; at the end of a file that was rotated away, go on with the next."""
        while self._open():
            while data := os.read(self._fd, _READ_BYTES):
                lines = (self._rest + data).splitlines(keepends=True)
                self._rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
                yield from lines
            following = self._following()
            if following is None:
                return
            self.close()
            self._fd = following

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._rest = b""

    def _open(self) -> bool:
        if self._fd < 0:
            with suppress(OSError):
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd >= 0

    def _following(self) -> int | None:
        """Open the file that took the place of ours; None while ours is the one being written."""
        inode = os.fstat(self._fd).st_ino
        files = [*self._older(), self._path]
        inodes = []
        for path in files:
            try:
                inodes.append(path.stat().st_ino)
            except FileNotFoundError:
                inodes.append(0)
        if inodes[-1] in {inode, 0}:
            return None
        position = inodes.index(inode) + 1 if inode in inodes else 0
        try:
            return os.open(files[position], os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def _older(self) -> list[Path]:
        """Return the rotated files, oldest first."""
        found = [
            path
            for path in self._path.parent.glob(f"{self._path.name}.*")
            if path.suffix[1:].isdigit()
        ]
        return sorted(found, key=lambda path: int(path.suffix[1:]), reverse=True)

    def _parse(self, raw: bytes) -> Iterator[LogLine]:
        try:
            entry = json.loads(raw)
            yield LogLine(
                source=self._source,
                stream=str(entry["stream"]),
                text=str(entry["log"]),
                time=parse_time(str(entry["time"])),
            )
        except (ValueError, KeyError, TypeError):
            return


def parse_time(text: str) -> datetime:
    """Read RFC 3339 with up to nanoseconds; those beyond microseconds are dropped.

    :raises ValueError: when it is no such time.
    """
    moment, _, fraction = text.removesuffix("Z").partition(".")
    parsed = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return parsed.replace(microsecond=int(fraction[:6].ljust(6, "0"))) if fraction else parsed


@dataclass(slots=True)
class _Watch:
    """Tells when the log may have grown, and when the container has ended."""

    places: Places
    inotify: int = field(init=False)

    def __post_init__(self) -> None:
        self.inotify = syscalls.inotify_init()
        syscalls.inotify_add_watch(self.inotify, str(self.places.directory), _WATCHED)

    async def changed(self) -> bool:
        """Wait for either; False when the container no longer runs, and all is written.

        A container whose shim was killed goes on; its log does when it has a new one.
        """
        shim = self.places.shim()
        if shim is None:
            return self.places.init() is not None and await self._wait(None)
        try:
            pidfd = process.pidfd_open(shim)
        except ProcessLookupError:
            return self.places.init() is not None
        try:
            return await self._wait(pidfd)
        finally:
            os.close(pidfd)

    async def _wait(self, pidfd: int | None) -> bool:
        ended = False
        async with anyio.create_task_group() as tasks:

            async def wait_for_end(fd: int) -> None:
                nonlocal ended
                await anyio.wait_readable(fd)
                ended = True
                tasks.cancel_scope.cancel()

            if pidfd is not None:
                tasks.start_soon(wait_for_end, pidfd)
            await anyio.wait_readable(self.inotify)
            tasks.cancel_scope.cancel()
        with suppress(BlockingIOError):
            os.read(self.inotify, _READ_BYTES)
        return not ended or self.places.init() is not None

    def close(self) -> None:
        """Stop watching."""
        os.close(self.inotify)
