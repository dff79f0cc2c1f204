"""STATE_ROOT/ID: what later verbs need to know of a container, and the socket that starts it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping

from orchestra.engine.linux import process
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.linux.process import Identity, read_text
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.sync import Channel
from orchestra.oci.runtime import RuntimeConfig, Status
from orchestra.values import TypedDict

# ruff: noqa: PTH100, PTH104, PTH106, PTH108 - pathlib is 8 ms of import

_STATE_FILE = "state.json"
_SOCKET = "start.sock"
_CONFIG = "config.json"
_VERSION = 1


class Record(TypedDict):
    """state.json."""

    version: int
    init: Identity
    bundle: str
    annotations: dict[str, str]


class StateDirectory:
    """One container's directory below a state root."""

    def __init__(self, state_root: str, container_id: str) -> None:
        allowed = container_id.replace("-", "").replace("_", "").replace(".", "").replace("+", "")
        if not allowed.isascii() or not allowed.isalnum():
            raise RuntimeFailure(f'"{container_id}" is no container id')
        self.container_id = container_id
        self.path = f"{state_root}/{container_id}"

    def make(self) -> None:
        """Make it, or take over what a dead container left.

        :raises RuntimeFailure: when a container of that id lives, or it cannot be made.
        """
        try:
            make_private(self.path)
        except OSError as err:
            raise failed("make the state directory", err) from err
        record = self._read()
        if record is not None and process.is_alive(record["init"]):
            raise RuntimeFailure(f'container "{self.container_id}" already exists')
        self._unlink(_SOCKET)

    def write(self, pid: int, bundle: str, annotations: Mapping[str, str]) -> None:
        """Record a created container, atomically."""
        record: Record = {
            "version": _VERSION,
            "init": process.identity(pid),
            "bundle": os.path.abspath(bundle),
            "annotations": dict(annotations),
        }
        temporary = f"{self.path}/{_STATE_FILE}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, json.dumps(record).encode())
        finally:
            os.close(fd)
        os.rename(temporary, f"{self.path}/{_STATE_FILE}")

    def keep_config(self, config: RuntimeConfig) -> None:
        """Keep the config.json that was read: what becomes of the bundle's is not the container's.

        :raises RuntimeFailure: when it cannot be written.
        """
        document = json.dumps(config).encode()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            fd = os.open(f"{self.path}/{_CONFIG}", flags, 0o600)
            try:
                write_all(fd, document)
            finally:
                os.close(fd)
        except OSError as err:
            raise failed("keep the bundle's config.json", err) from err

    def config_directory(self, bundle: str) -> str:
        """Return where the container's config.json lies: here, or in its bundle."""
        return self.path if os.access(f"{self.path}/{_CONFIG}", os.F_OK) else bundle

    def _read(self) -> Record | None:
        try:
            record: Record = json.loads(read_text(f"{self.path}/{_STATE_FILE}"))
        except (FileNotFoundError, ValueError):
            return None
        return record if record.get("version") == _VERSION else None

    @property
    def exists(self) -> bool:
        """Tell whether a container was made here, and not removed."""
        return self._read() is not None

    def read(self) -> Record:
        """Return the record.

        :raises RuntimeFailure: when there is no such container.
        """
        record = self._read()
        if record is None:
            raise RuntimeFailure(f'container "{self.container_id}" does not exist')
        return record

    def status(self, record: Record) -> Status:
        """Tell created, running or stopped."""
        if not process.is_alive(record["init"]):
            return "stopped"
        return "created" if os.access(f"{self.path}/{_SOCKET}", os.F_OK) else "running"

    def listen(self) -> int:
        """Return a socket on which ``start`` will connect; it is named in the directory.

        :raises RuntimeFailure: when it cannot be made.
        """
        directory = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                # A socket's path is short: go by the directory's descriptor.
                listener.bind(f"/proc/self/fd/{directory}/{_SOCKET}")
                listener.listen(1)
                return listener.detach()
        except OSError as err:
            raise failed("make the start socket", err) from err
        finally:
            os.close(directory)

    def connect(self) -> Channel:
        """Connect to a created container's init; nobody can do so a second time.

        :raises RuntimeFailure: when it is not waiting.
        """
        directory = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.connect(f"/proc/self/fd/{directory}/{_SOCKET}")
                self._unlink(_SOCKET)
                return Channel(peer.detach())
        except OSError as err:
            raise failed(f'start container "{self.container_id}"', err) from err
        finally:
            os.close(directory)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{name}")

    def remove(self) -> None:
        """Remove the directory with what we put there."""
        for name in (_SOCKET, _STATE_FILE, f"{_STATE_FILE}.tmp", _CONFIG):
            self._unlink(name)
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
