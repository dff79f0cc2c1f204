"""A git repository served over HTTP on loopback, by git's own http-backend."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Repositories:
    """Bare repositories below a directory, each filled by commits of a work tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.authorizations: list[str] = []

    def git(self, *words: str, cwd: Path | None = None) -> str:
        """Run git with a fixed author and time."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.com",
            "GIT_AUTHOR_DATE": "1000000000 +0000",
            "GIT_COMMITTER_DATE": "1000000000 +0000",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file:http",
        }
        result = subprocess.run(
            ["git", "-c", "init.defaultBranch=main", *words],
            cwd=cwd or self.root,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return result.stdout.strip()

    def make(self, name: str, **files: str) -> str:
        """Make NAME.git with one commit; return it."""
        tree = self.root / f"{name}-tree"
        self.git("init", "--quiet", str(tree))
        self.git("init", "--quiet", "--bare", str(self.root / f"{name}.git"))
        self.git("remote", "add", "origin", str(self.root / f"{name}.git"), cwd=tree)
        return self.commit(name, **files)

    def commit(self, name: str, **files: str) -> str:
        """Commit files ("__" stands for a slash, "_" for a dot), push main; return the commit."""
        tree = self.root / f"{name}-tree"
        for file, text in files.items():
            path = tree / file.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_text(text)
        self.git("add", "--all", cwd=tree)
        self.git("commit", "--quiet", "--allow-empty", "--message=c", cwd=tree)
        self.git("push", "--quiet", "origin", "HEAD:main", cwd=tree)
        return self.git("rev-parse", "HEAD", cwd=tree)


@contextmanager
def git_server(root: Path) -> Iterator[Repositories]:
    """Serve the repositories below a directory."""
    repositories = Repositories(root)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self, body: bytes) -> None:
            repositories.authorizations.append(self.headers.get("Authorization", ""))
            path, _, query = self.path.partition("?")
            result = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                check=False,
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                },
            )
            head, _, content = result.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().splitlines() if ": " in line]
            status = next((value for key, value in fields if key == "Status"), "200")
            self.send_response(int(status.split()[0]))
            for key, value in fields:
                if key != "Status":
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    repositories.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield repositories
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
