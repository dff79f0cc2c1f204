"""A cache of the npm registry on this machine, so that a build's time is not that of the network.

Answers what npm asks for out of memory, after it was asked for once; says no to audits.
"""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import ClassVar

UPSTREAM = "https://registry.npmjs.org"
PATIENCE_SECONDS = 60.0


def own_address() -> str:
    """Return the address of this machine that containers reach too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


class _Handler(http.server.BaseHTTPRequestHandler):
    known: ClassVar[dict[tuple[str, str], bytes]] = {}
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        accept = self.headers.get("accept", "*/*")
        try:
            body = self.known.get((self.path, accept)) or self._fetch(accept)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        kind = "application/octet-stream" if self.path.endswith(".tgz") else "application/json"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def _fetch(self, accept: str) -> bytes:
        request = urllib.request.Request(UPSTREAM + self.path, headers={"accept": accept})
        context = ssl.create_default_context()
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS, context=context) as answer:
            body = bytes(answer.read())
        self.known[self.path, accept] = body
        return body

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def npm_registry() -> Iterator[str | None]:
    """Serve while the block lasts; give the address, None where the real one does not answer."""
    try:
        with urllib.request.urlopen(f"{UPSTREAM}/express/5.1.0", timeout=PATIENCE_SECONDS):
            pass
    except (OSError, urllib.error.URLError):
        yield None
        return
    server = http.server.ThreadingHTTPServer(("", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{own_address()}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
