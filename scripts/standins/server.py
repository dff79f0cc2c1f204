"""The registry process on loopback: Debian's docker-registry, with its storage in the cache.

The program is taken from the path or, where it is not installed, out of its package without
installing it. State is one JSON file: pid, start time and port.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.standins.errors import StandinError
from scripts.standins.layer import Layer
from scripts.standins.packages import Packages, read_deb

HOST = "127.0.0.1"
PREFERRED_PORT = 5055
PATIENCE_SECONDS = 15.0
CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: "{address}", secret: stand-in}}
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A registry that was started: its process and its port."""

    pid: int
    start_time: str
    port: int

    @property
    def address(self) -> str:
        """Return ``host:port``."""
        return f"{HOST}:{self.port}"


def _start_time(pid: int) -> str | None:
    """Return field 22 of /proc/PID/stat, which tells a process from a later one of that pid."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _free_port(wanted: int) -> int:
    for port in (wanted, PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StandinError("cannot start the registry: no free port on loopback")


class Server:
    """Starts, finds and stops the registry of one cache directory."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._state = cache / "registry.json"

    def find(self) -> Running | None:
        """Return the running registry, if there is one."""
        known = self._known()
        if known is None or _start_time(known.pid) != known.start_time:
            return None
        return known

    def _known(self) -> Running | None:
        try:
            return Running(**json.loads(self._state.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def start(self) -> Running:
        """Return the running registry, or start one on the port it had before.

        :raises StandinError: when it cannot be had or does not answer in time.
        """
        found = self.find()
        if found is not None and _answers(found.port):
            return found
        known = self._known()
        port = _free_port(known.port if known else PREFERRED_PORT)
        config = self._cache / "registry.yml"
        storage = self._cache / "registry"
        storage.mkdir(exist_ok=True)
        config.write_text(CONFIG.format(storage=storage, address=f"{HOST}:{port}"))
        with (self._cache / "registry.log").open("ab") as log:
            process = subprocess.Popen(
                [self.program(), "serve", str(config)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running = Running(process.pid, _start_time(process.pid) or "", port)
        self._wait(process, port)
        self._state.write_text(json.dumps(asdict(running)))
        return running

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise StandinError(f"cannot start the registry: see {self._cache}/registry.log")
            time.sleep(0.02)

    def program(self) -> str:
        """Return the registry program, fetched where it is not installed."""
        installed = shutil.which("docker-registry", path=os.environ.get("PATH", "") + ":/usr/bin")
        if installed:
            return installed
        program = self._cache / "docker-registry"
        if not program.exists():
            layer = Layer()
            read_deb(layer, Packages(self._cache).deb("docker-registry"))
            part = program.with_suffix(".part")
            part.write_bytes(layer["usr/bin/docker-registry"].data)
            part.chmod(0o755)
            part.rename(program)
        return str(program)

    def stop(self) -> bool:
        """Stop the registry and wait for its end; say whether there was one."""
        found = self.find()
        if found is None:
            return False
        descriptor = os.pidfd_open(found.pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        except ProcessLookupError:
            return True
        finally:
            os.close(descriptor)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _start_time(found.pid) == found.start_time:
            if time.monotonic() > deadline:
                raise StandinError(f"cannot stop the registry: process {found.pid} does not end")
            time.sleep(0.02)
        return True
