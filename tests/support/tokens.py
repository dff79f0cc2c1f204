"""A token server as registries have them beside: distribution's token authentication, in small.

It gives signed JWTs for what somebody may do: anybody may pull from ``public/``, the one user
everything. It speaks TLS with the registry's certificate.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ISSUER, SERVICE = "test-issuer", "test-registry"
LEEWAY_SECONDS = 60
"""So much longer than it says does a registry take a token."""


@dataclass(frozen=True)
class Asked:
    """A request for a token: how, for what, and for whom; "" for nobody."""

    method: str
    scopes: tuple[str, ...]
    user: str


@dataclass
class TokenServer:
    """Who may come, and who came. ``seconds``: how long a token is good for."""

    directory: Path
    user: str
    password: str
    url: str = ""
    seconds: float = 300.0
    asked: list[Asked] = field(default_factory=list)
    refresh: str = field(default_factory=lambda: os.urandom(16).hex())
    good_until: float = 0.0
    """Until when the last token is."""

    @property
    def certificate(self) -> Path:
        """Whose signature the registry has to trust."""
        return self.directory / "tokens.pem"

    def prepare(self) -> None:
        """Make the key that signs."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=tokens", "-keyout", str(self.directory / "tokens.key"),
             "-out", str(self.certificate)],
            check=True,
            capture_output=True,
        )  # fmt: skip

    def token(self, user: str, scopes: tuple[str, ...]) -> str:
        """Sign what the user may do of what is asked."""
        now = time.time()
        self.good_until = now + self.seconds
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2) if scope.count(":") > 1 else (scope, "", "")
            wanted = actions.split(",")
            allowed = wanted if user else [each for each in wanted if each == "pull"]
            if allowed and (user or name.startswith("public/")):
                access.append({"type": kind, "name": name, "actions": allowed})
        claims = {
            "iss": ISSUER, "sub": user, "aud": SERVICE, "jti": os.urandom(8).hex(),
            "iat": int(now), "nbf": int(now) - 5,
            "exp": int(self.good_until) - LEEWAY_SECONDS, "access": access,
        }  # fmt: skip
        pem = self.certificate.read_text()
        body = "".join(line for line in pem.splitlines() if "-----" not in line)
        head = {"typ": "JWT", "alg": "RS256", "x5c": [body]}
        signed = ".".join(_packed(json.dumps(part).encode()) for part in (head, claims))
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.directory / "tokens.key")],
            input=signed.encode(),
            check=True,
            capture_output=True,
        )
        return f"{signed}.{_packed(done.stdout)}"


def _sorted(scope: str) -> str:
    """Put the actions in order: registries ask for them in any."""
    what, _, actions = scope.rpartition(":")
    return f"{what}:{','.join(sorted(actions.split(',')))}"


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    server_of_tokens: TokenServer

    def do_GET(self) -> None:
        known = self.server_of_tokens
        query = parse_qs(urlsplit(self.path).query)
        user = ""
        if (given := self.headers.get("Authorization")) is not None:
            pair = f"{known.user}:{known.password}".encode()
            if given != "Basic " + base64.b64encode(pair).decode():
                self._answer(401, {"details": "wrong name or password"})
                return
            user = known.user
        scopes = tuple(scope for value in query.get("scope", []) for scope in value.split())
        lasting = {"refresh_token": known.refresh} if "offline_token" in query and user else {}
        self._give("GET", user, scopes, lasting)

    def do_POST(self) -> None:
        known = self.server_of_tokens
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
        if form.get("refresh_token") != [known.refresh]:
            self._answer(401, {"details": "unknown token"})
            return
        self._give("POST", known.user, tuple(form.get("scope", [""])[0].split()), {})

    def _give(self, method: str, user: str, scopes: tuple[str, ...], more: dict[str, str]) -> None:
        known = self.server_of_tokens
        known.asked.append(Asked(method, tuple(map(_sorted, scopes)), user))
        name = "access_token" if method == "POST" else "token"
        self._answer(200, {name: known.token(user, scopes), "expires_in": 60, **more})

    def _answer(self, status: int, document: dict[str, object] | dict[str, str]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_tokens(server: TokenServer, certificate: Path, key: Path) -> Iterator[TokenServer]:
    """Run a token server on a free port of 127.0.0.1 for the length of a block."""
    server.prepare()
    handler = type("BoundHandler", (_Handler,), {"server_of_tokens": server})
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    web.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web.socket = context.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
    server.url = f"https://127.0.0.1:{web.server_address[1]}/token"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
