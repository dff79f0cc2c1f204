"""Debian's dockerd with the BuildKit inside it: in a directory of its own, ended by its pid."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.differential.bases import bases, docker_archive
from scripts.differential.ground import BuildFailed, Ground
from scripts.differential.record import Built, read_archive

CLIENT = "/usr/bin/docker"
"""Debian's; newer ones ask for a plugin."""
_NAME = "corpus.test/result"
_PATIENCE_SECONDS = 60.0


class Docker:
    """Builds by ``docker build`` at the daemon of a socket."""

    def __init__(self, socket: Path, root: Path) -> None:
        self.command = [CLIENT, "-H", f"unix://{socket}"]
        self.root = root

    def call(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run docker."""
        return subprocess.run(
            [*self.command, *words],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=300,
            env={**os.environ, "DOCKER_BUILDKIT": "1", "HOME": str(self.root)},
        )

    def build(self, ground: Ground) -> Built:
        """Build a case.

        :raises BuildFailed: with docker's last words.
        """
        if ground.contexts:
            raise BuildFailed("it knows no named contexts")
        words = ["build", "--progress=plain", "--network=host", "-t", _NAME]
        words += ["-f", str(ground.dockerfile)]
        for name, value in ground.args.items():
            words += ["--build-arg", f"{name}={value}"]
        for name, value in ground.case.labels.items():
            words += ["--label", f"{name}={value}"]
        for name, secret in ground.secrets.items():
            words += ["--secret", f"id={name},src={secret}"]
        if ground.case.target:
            words += ["--target", ground.case.target]
        done = self.call(*words, str(ground.context))
        path = self.root / "result.tar"
        if done.returncode == 0:
            done = self.call("save", "-o", str(path), _NAME)
        if done.returncode != 0:
            raise BuildFailed("\n".join(done.stderr.decode().strip().splitlines()[-12:]))
        return read_archive(path)


@contextmanager
def docker() -> Iterator[Docker]:
    """Run dockerd for the length of a block, with the corpus's bases in it.

    :raises BuildFailed: when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="dockerd-") as directory:
        root = Path(directory)
        command = [
            *("dockerd", "--data-root", str(root / "data"), "--exec-root", str(root / "exec")),
            *("-H", f"unix://{root / 'socket'}", "--pidfile", str(root / "pid")),
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
        ]
        with (root / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            peer = Docker(root / "socket", root)
            _wait(peer, daemon, root / "log")
            loaded = peer.call("load", stdin=docker_archive(bases()))
            if loaded.returncode != 0:
                raise BuildFailed(loaded.stderr.decode())
            yield peer
        finally:
            daemon.terminate()
            daemon.wait(_PATIENCE_SECONDS)


def _wait(peer: Docker, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        if peer.call("info").returncode == 0:
            return
        time.sleep(0.2)
    raise BuildFailed(f"dockerd does not come up:\n{log.read_text()[-2000:]}")
