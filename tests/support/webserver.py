"""Some bytes by their path, served over HTTP on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def web_server(contents: Mapping[str, bytes]) -> Iterator[str]:
    """Serve ``contents``, last modified at second 1000000000; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in contents else 404)
            self.send_header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
            self.end_headers()
            self.wfile.write(contents.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
