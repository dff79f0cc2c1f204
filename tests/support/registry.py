"""A small real registry on loopback: the distribution protocol over HTTP, pull and push.

Runs in a thread of the test; faults are told per path, as functions that answer in its place.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_TAGS = re.compile(r"/v2/(.+)/tags/list")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/?")


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]


Fault = Callable[["Handler"], bool]
"""Answers a request itself and returns True, or returns False to let it take its course."""


@dataclass
class Registry:
    """What the registry holds and has seen. ``faults``: substring of a path -> fault."""

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[Seen] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Of uploads, whose requests come side by side."""
    links: set[tuple[str, str]] = field(default_factory=set)
    strict: bool = False
    """A blob is found in the repositories alone that it was pushed to or mounted in."""
    page: int = 1000
    """How many tags a page has at most."""

    def put(self, repository: str, name: str, media_type: str, data: bytes) -> str:
        """Store a manifest under a tag and its digest; return the digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        for key in (name, digest):
            self.manifests[repository, key] = (media_type, data)
        return digest

    def put_blob(self, data: bytes) -> str:
        """Store a blob; return its digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def paths(self, part: str) -> list[Seen]:
        """Return the requests whose path has ``part`` in it."""
        return [seen for seen in self.requests if part in seen.path]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    registry: Registry

    def answer(
        self, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
    ) -> None:
        """Send an answer; ``length`` lies about the body's."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Close the connection after this answer."""
        self.close_connection = True

    def error(self, status: int, code: str, **headers: str) -> None:
        """Send an error in the protocol's form."""
        body = json.dumps({"errors": [{"code": code, "message": code}]}).encode()
        self.answer(status, body, **headers)

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.registry.requests.append(Seen(self.command, self.path, headers))
        try:
            for part, fault in list(self.registry.faults.items()):
                if part in self.path and fault(self):
                    return
            if self.command in {"GET", "HEAD"}:
                self._read(path)
            else:
                self._write(path)
        except (BrokenPipeError, ConnectionResetError):
            self.hang_up()

    def _read(self, path: str) -> None:
        if path in {"/v2/", "/v2"}:
            self.answer(200, b"{}")
        elif match := _MANIFEST.fullmatch(path):
            found = self.registry.manifests.get((match[1], match[2]))
            if found is None:
                known = any(repository == match[1] for repository, _ in self.registry.manifests)
                self.error(404, "MANIFEST_UNKNOWN" if known else "NAME_UNKNOWN")
                return
            digest = "sha256:" + hashlib.sha256(found[1]).hexdigest()
            self.answer(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest)
        elif match := _BLOB.fullmatch(path):
            hidden = self.registry.strict and (match[1], match[2]) not in self.registry.links
            self._blob(None if hidden else self.registry.blobs.get(match[2]))
        elif match := _TAGS.fullmatch(path):
            self._tags(match[1])
        elif (gathered := self.registry.uploads.get(path)) is not None:
            last = max(0, len(gathered) - 1)
            self.answer(204, Location=path, Range=f"0-{last}")
        else:
            self.error(404, "UNSUPPORTED")

    def _blob(self, data: bytes | None) -> None:
        if data is None:
            self.error(404, "BLOB_UNKNOWN")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted is None:
            self.answer(200, data)
            return
        start = int(wanted[1])
        content_range = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(206, data[start:], Content_Range=content_range)

    def _tags(self, repository: str) -> None:
        last = parse_qs(self.path.partition("?")[2]).get("last", [""])[0]
        names = sorted(
            name
            for known, name in self.registry.manifests
            if known == repository and ":" not in name and name > last
        )
        shown = names[: self.registry.page]
        following = f'</v2/{repository}/tags/list?last={shown[-1]}>; rel="next"' if shown else ""
        more = {"Link": following} if len(names) > len(shown) else {}
        self.answer(200, json.dumps({"name": repository, "tags": shown}).encode(), **more)

    def _open_upload(self, repository: str) -> None:
        query = parse_qs(self.path.partition("?")[2])
        digest, source = query.get("mount", [""])[0], query.get("from", [""])[0]
        if digest in self.registry.blobs and (source, digest) in self.registry.links:
            self.registry.links.add((repository, digest))
            self.answer(201, Location=f"/v2/{repository}/blobs/{digest}")
            return
        location = f"/v2/{repository}/blobs/uploads/{next(self.registry.numbers)}"
        self.registry.uploads[location] = bytearray()
        self.answer(202, Location=location)

    def _append(self, path: str) -> bool:
        gathered = self.registry.uploads.get(path)
        if gathered is None:
            self.error(404, "BLOB_UPLOAD_UNKNOWN")
            return False
        start = self.headers.get("Content-Range", "").partition("-")[0]
        if start and int(start) != len(gathered):
            self.body()
            self.error(416, "RANGE_INVALID")
            return False
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            piece = self.rfile.read1(min(left, 1 << 16))
            if not piece:
                raise ConnectionResetError
            gathered += piece
            left -= len(piece)
        return True

    def _end_upload(self, path: str) -> None:
        if not self._append(path):
            return
        repository = path.removeprefix("/v2/").partition("/blobs/uploads/")[0]
        wanted = parse_qs(self.path.partition("?")[2]).get("digest", [""])[0]
        data = bytes(self.registry.uploads[path])
        if "sha256:" + hashlib.sha256(data).hexdigest() != wanted:
            self.error(400, "DIGEST_INVALID")
            return
        del self.registry.uploads[path]
        self.registry.links.add((repository, self.registry.put_blob(data)))
        self.answer(201, Location=f"/v2/{repository}/blobs/{wanted}")

    def _write(self, path: str) -> None:
        if self.command == "POST" and (match := _UPLOADS.fullmatch(path)):
            self.body()
            self._open_upload(match[1])
        elif self.command == "PATCH":
            if self._append(path):
                last = max(0, len(self.registry.uploads[path]) - 1)
                self.answer(202, Location=path, Range=f"0-{last}")
        elif self.command == "PUT" and "/blobs/uploads/" in path:
            self._end_upload(path)
        elif self.command == "PUT" and (match := _MANIFEST.fullmatch(path)):
            media_type = self.headers.get("Content-Type", "")
            digest = self.registry.put(match[1], match[2], media_type, self.body())
            self.answer(201, Docker_Content_Digest=digest)
        else:
            self.error(405, "UNSUPPORTED")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_registry() -> Iterator[Registry]:
    """Run a registry on a free port of 127.0.0.1 for the length of a block."""
    registry = Registry()
    handler = type("BoundHandler", (Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    registry.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
