"""What builds fetch, over HTTP on loopback: base images, a case's files, its git repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts.differential.bases import HOST, Base, digest
from scripts.differential.recipe import content, fill

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "1000000000 +0000",
    "GIT_COMMITTER_DATE": "1000000000 +0000",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "uploadpack.allowAnySHA1InWant",
    "GIT_CONFIG_VALUE_1": "true",
}


class Server:
    """Where everything is found; ``offer`` sets what the case at hand serves."""

    def __init__(self, images: Mapping[str, Base], root: Path) -> None:
        self.address = ""
        self.root = root
        self.files: dict[str, tuple[str, bytes]] = {}
        self.web: dict[str, bytes] = {}
        for name, base in images.items():
            repository = name.removeprefix(f"{HOST}/")
            for tag in ("latest", digest(base.manifest)):
                self.files[f"/v2/{repository}/manifests/{tag}"] = (_MANIFEST, base.manifest)
            for key, data in base.blobs().items():
                path = f"/v2/{repository}/blobs/{key}"
                self.files[path] = ("application/octet-stream", data)
        self.files["/v2/"] = ("application/json", b"{}")

    def offer(self, web: Mapping[str, object]) -> None:
        """Serve files by their names; one with ``git`` is a repository with these files."""
        self.web = {}
        for name, value in web.items():
            spec = value if isinstance(value, dict) else {"text": value}
            files = spec.get("git")
            if isinstance(files, dict):
                self._repository(name, files)
            else:
                self.web[f"/{name}"] = content(spec)

    def _repository(self, name: str, files: Mapping[str, object]) -> None:
        bare = self.root / name
        shutil.rmtree(bare, ignore_errors=True)
        with tempfile.TemporaryDirectory() as directory:
            tree = Path(directory)
            fill(tree, files)
            for words in (
                ("init", "--quiet", "--initial-branch=main"),
                ("add", "--all"),
                ("commit", "--quiet", "--message=c"),
                ("tag", "v1"),
                ("clone", "--quiet", "--bare", ".", str(bare)),
            ):
                subprocess.run(["git", *words], cwd=tree, env=self._environment(), check=True)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.root), **_GIT}

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Run git's http-backend; return what it says, head and all."""
        path, _, query = path.partition("?")
        environment = {
            **self._environment(),
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
        }
        command = ["git", "http-backend"]
        done = subprocess.run(
            command, input=body, capture_output=True, check=False, env=environment
        )
        return done.stdout


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    offered: Server

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        with suppress(ConnectionError):  # who asked has what it wanted
            self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self.path.partition("?")[0]
        if ".git/" in path:
            said = self.offered.answer(self.command, self.path, dict(self.headers), body)
            head, _, data = said.partition(b"\r\n\r\n")
            lines = [line.partition(": ") for line in head.decode().splitlines()]
            status = next((value for key, _, value in lines if key == "Status"), "200 OK")
            self._send(int(status[:3]), data, {key: value for key, _, value in lines})
        elif path in self.offered.files:
            kind, data = self.offered.files[path]
            fields = {"Content-Type": kind, "Docker-Content-Digest": digest(data)}
            self._send(200, data, fields)
        elif path in self.offered.web:
            fields = {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}
            self._send(200, self.offered.web[path], fields)
        else:
            self._send(404, b"", {})

    def _send(self, status: int, data: bytes, fields: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in fields.items():
            if key not in ("Status", "Content-Length"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(images: Mapping[str, Base], root: Path) -> Iterator[Server]:
    """Serve for the length of a block, on a free port."""
    root.mkdir(parents=True, exist_ok=True)
    offered = Server(images, root)
    handler = type("Handler", (_Handler,), {"offered": offered})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    offered.address = f"127.0.0.1:{server.server_port}"
    try:
        yield offered
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
