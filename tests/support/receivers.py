"""Receivers of logs: sockets that take syslog messages, a certificate authority, a journald."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.patience import FACTOR

JOURNALD = "/lib/systemd/systemd-journald"
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
JOURNALD_SETTINGS = Path("/run/systemd/journald.conf.d/test.conf")


class Receiver:
    """A syslog server of one socket; it keeps what it gets, until it is closed."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self.listener = listener
        name = listener.getsockname()
        self.port = int(name[1]) if isinstance(name, tuple) else 0
        self.reading = threading.Event()
        self.reading.set()
        self._tls = tls
        self._got = bytearray()
        self._news = threading.Condition()
        self._open: list[socket.socket] = []
        self._closed = False
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        if self.listener.type == socket.SOCK_DGRAM:
            self._read(self.listener)
            return
        while not self._closed:
            try:
                connection, _ = self.listener.accept()
                connection.settimeout(60)
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                continue
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._read, args=(connection,)))
            self._threads[-1].start()

    def _read(self, sock: socket.socket) -> None:
        while not self._closed:
            self.reading.wait()
            try:
                data = sock.recv(65536)
            except OSError:
                return
            if not data and sock.type == socket.SOCK_STREAM:
                return
            with self._news:
                self._got += data
                self._news.notify_all()

    def text(self) -> str:
        """Return what has come."""
        return self._got.decode()

    def wait_for(self, what: str, seconds: float = 30.0) -> str:
        """Return what has come, once ``what`` is in it."""
        with self._news:
            found = self._news.wait_for(lambda: what.encode() in self._got, seconds * FACTOR)
        assert found, f'no "{what}" in what was received: {self.text()[-500:]!r}'
        return self.text()

    def close(self) -> None:
        """Hang up, and listen no longer."""
        self._closed = True
        self.reading.set()
        for sock in (self.listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for sock in (self.listener, *self._open):
            sock.close()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tcp(port: int = 0, tls: ssl.SSLContext | None = None) -> Receiver:
    """Listen on a TCP port of 127.0.0.1."""
    return Receiver(socket.create_server(("127.0.0.1", port)), tls)


def udp() -> Receiver:
    """Listen on a UDP port of 127.0.0.1."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", 0))
    return Receiver(sock)


def unix(path: Path, kind: int) -> Receiver:
    """Listen at a path."""
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(path))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return Receiver(sock)


def _openssl(directory: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)


def make_authority(directory: Path) -> ssl.SSLContext:
    """Make ca.pem, and with it server.pem and client.pem (with .key); return the server's TLS.

    It takes only clients with a certificate of that authority.
    """
    request = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl(directory, *request, "-x509", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
        _openssl(directory, *request, "-subj", f"/CN={name}", *files)
        (directory / "names").write_text("subjectAltName=DNS:localhost")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        files = ("-in", f"{name}.csr", "-out", f"{name}.pem")
        _openssl(directory, "x509", "-req", *signed, *files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Journald:
    """This host's journald, or one that was started for a test; ``entries`` reads it back."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def entries(self, container: str) -> list[dict[str, str]]:
        """Return what a container's driver has written, oldest first."""
        done = subprocess.run(
            ["journalctl", "-o", "json", "--all", "--no-pager", "-D", str(self._journal),
             f"CONTAINER_ID_FULL={container}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@contextlib.contextmanager
def journald() -> Iterator[Journald]:
    """Give a journald that writes to memory; where none runs, run the host's own for a while."""
    if JOURNAL_SOCKET.exists():
        for directory in (Path("/var/log/journal"), Path("/run/log/journal")):
            if directory.exists():
                yield Journald(directory)
                return
    if not Path(JOURNALD).exists():
        pytest.skip("there is no systemd-journald: install systemd")
    places = [JOURNAL_SOCKET.parent, Path("/run/log/journal"), JOURNALD_SETTINGS.parent]
    made = [path for path in places if not path.exists()]
    for path in places:
        path.mkdir(parents=True, exist_ok=True)
    JOURNALD_SETTINGS.write_text("[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n")
    running = subprocess.Popen([JOURNALD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not JOURNAL_SOCKET.exists():
            assert time.monotonic() < deadline, "journald does not come up"
            time.sleep(0.01)
        yield Journald(Path("/run/log/journal"))
    finally:
        running.terminate()
        running.wait(60)
        JOURNALD_SETTINGS.unlink()
        for path in made:
            shutil.rmtree(path)
