"""Records on disk: one JSON document each, written to a temporary name, synced, renamed.

A reader never sees half a record. Each document is {"version": N, "record": {...}}; an unknown
version or a corrupt document is refused with its path. The disk is the truth: what was read is used
again only while the file is the same one, by inode, time and size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from orchestra.engine.paths import Paths
from orchestra.engine.state.atomic import unfinished, write_atomic
from orchestra.engine.state.codec import DecodeError, decode, encode
from orchestra.engine.state.records import (
    VERSION,
    ContainerRecord,
    NetworkRecord,
    VolumeRecord,
    Wished,
)
from orchestra.errors import StateError

T = TypeVar("T")
RECORD_FILE = "record.json"
DESIRED_FILE = "desired.json"
_MOST_KNOWN = 4096


def write_record(path: Path | str, record: object) -> os.stat_result:
    """Write one versioned record; return the new file's status.

    :raises StateError: when it cannot be written.
    """
    document = {"version": VERSION, "record": encode(record)}
    return write_atomic(path, json.dumps(document, separators=(",", ":")).encode())


def read_record(path: Path, kind: type[T]) -> T | None:
    """Read one versioned record; None when there is no such file.

    :raises StateError: when it cannot be read, is corrupt, or is of another version.
    """
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as err:
        raise StateError(f'cannot read "{path}": {err}', hint=_CORRUPT) from err
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise StateError(
            f'cannot read "{path}": version {version!r}, this program knows {VERSION}',
            hint="use the version of orchestra that wrote it",
        )
    try:
        return decode(kind, document.get("record"))
    except DecodeError as err:
        raise StateError(f'cannot read "{path}": {err}', hint=_CORRUPT) from err


class Reader:
    """Reads records, those that have not changed once only."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int], object]] = {}

    def read(self, path: str, kind: type[T]) -> T | None:
        """Read one record, as :func:`read_record` does.

        :raises StateError: when it cannot be read, is corrupt, or is of another version.
        """
        try:
            status = os.stat(path)  # noqa: PTH116 - asked for each of hundreds of containers
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(path, None)
            return None
        except OSError as err:
            raise StateError(f'cannot read "{path}": {err}', hint=_CORRUPT) from err
        known = self._known.get(path)
        if known is not None and known[0] == _signature(status) and isinstance(known[1], kind):
            return known[1]
        record = read_record(Path(path), kind)
        if record is not None:
            self.remember(path, record, status)
        return record

    def forget(self, path: str) -> None:
        """Read a record anew the next time, if there is one."""
        self._known.pop(path, None)

    def remember(self, path: str, record: object, status: os.stat_result) -> None:
        """Know a record that has just been read or written."""
        if len(self._known) >= _MOST_KNOWN:  # most likely of a container that is gone
            self._known.pop(next(iter(self._known), ""), None)
        self._known[path] = (_signature(status), record)


def _signature(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


_CORRUPT = "the file is damaged; move it away and run the command again"


class Store:
    """Every record of this machine, by kind."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.reader = Reader()

    def projects(self) -> tuple[str, ...]:
        """Return the names of the projects that have containers or a desired state."""
        return tuple(sorted(path.name for path in _children(Path(self.paths.projects))))

    def wished(self, project: str) -> Wished:
        """Return what was last asked for; generation 0 when nothing was.

        :raises StateError: when the record is damaged.
        """
        path = f"{self.paths.project(project)}/{DESIRED_FILE}"
        return self.reader.read(path, Wished) or Wished()

    def write_wished(self, project: str, wished: Wished) -> None:
        """Write down what is asked for.

        :raises StateError: when it cannot be written.
        """
        write_record(Path(self.paths.project(project)) / DESIRED_FILE, wished)

    def containers(self, project: str) -> tuple[ContainerRecord, ...]:
        """Return a project's containers, oldest first.

        :raises StateError: when a record is damaged.
        """
        directory = f"{self.paths.project(project)}/containers"
        records = (
            self.reader.read(f"{directory}/{name}/{RECORD_FILE}", ContainerRecord)
            for name in _names(directory)
        )
        return tuple(
            sorted((r for r in records if r), key=lambda record: (record.created_at, record.id))
        )

    def container(self, project: str, container_id: str) -> ContainerRecord | None:
        """Return one container, None when there is none.

        :raises StateError: when its record is damaged.
        """
        path = f"{self.paths.container(project, container_id)}/{RECORD_FILE}"
        return self.reader.read(path, ContainerRecord)

    def forget_container(self, project: str, container_id: str) -> None:
        """Keep nothing of a container in memory: for processes that last longer than it."""
        self.reader.forget(f"{self.paths.container(project, container_id)}/{RECORD_FILE}")

    def write_container(self, record: ContainerRecord) -> None:
        """Write a container's record.

        :raises StateError: when it cannot be written.
        """
        path = f"{self.paths.container(record.spec.project, record.id)}/{RECORD_FILE}"
        self.reader.remember(path, record, write_record(path, record))

    def remove_container(self, project: str, container_id: str) -> None:
        """Forget a container; the record goes first, so that what is left is no container."""
        directory = Path(self.paths.container(project, container_id))
        (directory / RECORD_FILE).unlink(missing_ok=True)

    def networks(self, project: str = "") -> tuple[NetworkRecord, ...]:
        """Return every network of this machine, by name.

        :raises StateError: when a record of ``project`` is damaged: one called after it. That of
            another is left out: who uses it is told.
        """
        paths = [p for p in _children(Path(self.paths.networks)) if p.suffix == ".json"]
        return tuple(_records([(p.stem, p) for p in paths], NetworkRecord, project))

    def network(self, name: str) -> NetworkRecord | None:
        """Return a network by the machine's name for it.

        :raises StateError: when its record is damaged.
        """
        return self.reader.read(f"{self.paths.networks}/{name}.json", NetworkRecord)

    def write_network(self, record: NetworkRecord) -> None:
        """Write a network's record.

        :raises StateError: when it cannot be written.
        """
        write_record(Path(self.paths.networks) / f"{record.name}.json", record)

    def remove_network(self, name: str) -> None:
        """Forget a network, and what a writer of its record left that was killed."""
        path = Path(self.paths.networks) / f"{name}.json"
        path.unlink(missing_ok=True)
        for left in unfinished(path):
            left.unlink(missing_ok=True)

    def volumes(self, project: str = "") -> tuple[VolumeRecord, ...]:
        """Return every volume of this machine, by name.

        :raises StateError: when a record of ``project`` is damaged; see :meth:`networks`.
        """
        paths = _children(Path(self.paths.volumes))
        return tuple(_records([(p.name, p / RECORD_FILE) for p in paths], VolumeRecord, project))

    def volume(self, name: str) -> VolumeRecord | None:
        """Return a volume by the machine's name for it.

        :raises StateError: when its record is damaged.
        """
        return self.reader.read(f"{self.paths.volumes}/{name}/{RECORD_FILE}", VolumeRecord)

    def write_volume(self, record: VolumeRecord) -> None:
        """Write a volume's record, ``<volumes>/<name>/record.json``.

        :raises StateError: when it cannot be written.
        """
        write_record(Path(self.paths.volumes) / record.name / RECORD_FILE, record)

    def remove_volume(self, name: str) -> None:
        """Forget a volume; its data is the volume room's to remove."""
        (Path(self.paths.volumes) / name / RECORD_FILE).unlink(missing_ok=True)


def _records(named: Iterable[tuple[str, Path]], kind: type[T], project: str) -> Iterator[T]:
    for name, path in named:
        try:
            record = read_record(path, kind)
        except StateError:
            if name.startswith(f"{project}_"):
                raise
            continue
        if record is not None:
            yield record


def _children(directory: Path) -> list[Path]:
    return [directory / name for name in _names(str(directory))]


def _names(directory: str) -> list[str]:
    """Return what is in a directory, by name; nothing where there is none.

    :raises StateError: when it cannot be read.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 - asked for each of hundreds of containers
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as err:
        raise StateError(
            f'cannot read "{directory}": {err.strerror}', hint="run the command as root"
        ) from err
    return sorted(name for name in names if not name.startswith("."))
