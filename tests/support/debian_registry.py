"""Debian's docker-registry (CNCF distribution) with TLS and a login, for the length of a block.

Its certificate is for 127.0.0.1, and for a name that nobody resolves (a proxy may).
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.machine import own_paths
from support.ports import free_port
from support.tokens import ISSUER, SERVICE, TokenServer, serve_tokens

from orchestra.engine.paths import Paths
from scripts.standins.__main__ import cache_directory
from scripts.standins.errors import StandinError
from scripts.standins.server import Server

NAME = "registry.test"
USER, PASSWORD = "joe", "s3cret-pass"
_HASH = "$2y$05$abcdefghijklmnopqrstuuV7fpPozvyqJfnY19y0802WTlXUm6Rjy"
"""bcrypt of the password: what htpasswd -B writes."""
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
auth:
  {auth}
http:
  addr: "{address}"
  secret: test
  tls: {{certificate: {certificate}, key: {key}{clients}}}
"""


@dataclass(frozen=True)
class DebianRegistry:
    """Where it listens, and the certificate that it shows."""

    address: str
    certificate: Path
    tokens: TokenServer | None = None

    @property
    def key(self) -> Path:
        """Return the certificate's key."""
        return self.certificate.with_name("key.pem")


@contextmanager
def serve_debian_registry(
    directory: Path, *, tokens: bool = False, clients: bool = False
) -> Iterator[DebianRegistry]:
    """Run one; its files lie in the directory.

    ``tokens``: a token server beside it is asked, in place of a file of passwords. ``clients``:
    nobody comes in who does not show the registry's own certificate.
    """
    try:
        program = Server(cache_directory()).program()
    except StandinError as err:
        pytest.skip(f"no docker-registry: {err}")
    address = f"127.0.0.1:{free_port()}"
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", f"subjectAltName=IP:127.0.0.1,DNS:{NAME}",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (directory / "htpasswd").write_text(f"{USER}:{_HASH}\n")
    with ExitStack() as stack:
        server = None
        auth = f"htpasswd: {{realm: here, path: {directory / 'htpasswd'}}}"
        if tokens:
            server = TokenServer(directory, USER, PASSWORD)
            stack.enter_context(serve_tokens(server, certificate, key))
            auth = (
                f'token: {{realm: "{server.url}", service: {SERVICE}, issuer: {ISSUER}, '
                f"rootcertbundle: {server.certificate}}}"
            )
        config = directory / "registry.yml"
        config.write_text(
            _CONFIG.format(
                storage=directory / "storage",
                auth=auth,
                address=address,
                certificate=certificate,
                key=key,
                clients=f", clientcas: [{certificate}]" if clients else "",
            )
        )
        with (directory / "registry.log").open("wb") as log:
            process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
        try:
            _wait(address, certificate, process)
            yield DebianRegistry(address, certificate, server)
        finally:
            process.terminate()
            process.wait(60)


def _wait(address: str, certificate: Path, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    context = ssl.create_default_context(cafile=str(certificate))
    deadline = time.monotonic() + 60
    while True:
        try:
            with (
                socket.create_connection((host, int(port)), 2) as raw,
                context.wrap_socket(raw, server_hostname=host),
            ):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture(scope="module", params=["htpasswd", "tokens"])
def debian_registries(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[DebianRegistry]:
    """Serve a registry that asks for a password, and one that asks for a token."""
    place = tmp_path_factory.mktemp("registry")
    with serve_debian_registry(place, tokens=request.param == "tokens") as running:
        yield running


@pytest.fixture
def trusting_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: DebianRegistry
) -> Paths:
    """Give a machine of the test's own that knows the registry's certificate."""
    paths = own_paths(tmp_path, monkeypatch)
    (tmp_path / "config.toml").write_text(
        f'[registry."{registry.address}"]\nca = "{registry.certificate}"\n'
    )
    return paths
