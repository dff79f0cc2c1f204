"""A buildkitd of our own: started in a directory, asked through buildctl, ended by its pid."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.differential.bases import HOST
from scripts.differential.ground import BuildFailed, Ground
from scripts.differential.record import Built, read_archive

_PATIENCE_SECONDS = 60.0
_NOISE = re.compile(r"(?<=of ref) \w+::\w+|/tmp/\S*/cachemounts/\w+|127\.0\.0\.1:\d+")


class BuildKit:
    """Builds by ``buildctl`` at the daemon of an address."""

    def __init__(self, buildctl: Path, address: str, root: Path) -> None:
        self.command = [str(buildctl), "--addr", address]
        self.root = root

    def build(self, ground: Ground) -> Built:
        """Build a case.

        :raises BuildFailed: with buildctl's last line, without what differs from run to run.
        """
        path = self.root / "result.tar"
        rewritten = ",rewrite-timestamp=true" if ground.case.epoch is not None else ""
        words = [
            *("build", "--progress=plain", "--frontend=dockerfile.v0"),
            f"--output=type=oci,dest={path}{rewritten}",
            *("--local", f"context={ground.context}", "--local", f"dockerfile={ground.context}"),
            *("--opt", f"filename={ground.case.dockerfile}"),
            *("--no-cache", "--opt", "no-cache="),
            *(part for option in _options(ground) for part in ("--opt", option)),
        ]
        for key, place in ground.contexts.items():
            if place.startswith("/"):
                words += ["--local", f"{key}={place}"]
                words += ["--opt", f"context:{key}=local:{key}"]
            else:
                words += ["--opt", f"context:{key}={place}"]
        for key, secret in ground.secrets.items():
            words += ["--secret", f"id={key},src={secret}"]
        # What it remembers of the last context would give this one's directories new times.
        forget = [*self.command, "prune", "--filter=type==source.local"]
        subprocess.run(forget, capture_output=True, check=True, timeout=300)
        done = subprocess.run(
            [*self.command, *words], capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1].removeprefix("error: failed to solve: ")
            raise BuildFailed(_NOISE.sub("", last))
        return read_archive(path)


def _options(ground: Ground) -> Iterator[str]:
    if ground.case.target:
        yield f"target={ground.case.target}"
    for name, value in ground.args.items():
        yield f"build-arg:{name}={value}"
    for name, value in ground.case.labels.items():
        yield f"label:{name}={value}"


@contextmanager
def buildkit(programs: Path, registry: str) -> Iterator[BuildKit]:
    """Run buildkitd for the length of a block; images come from ``registry``.

    :raises BuildFailed: when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="buildkit-") as directory:
        root = Path(directory)
        socket = root / "socket"
        config = root / "buildkitd.toml"
        config.write_text(
            f'[registry."{HOST}"]\nmirrors = ["{registry}"]\nhttp = true\n'
            f'[registry."{registry}"]\nhttp = true\n'
        )
        command = [
            *(str(programs / "buildkitd"), "--config", str(config), "--addr", f"unix://{socket}"),
            *("--root", str(root / "root"), "--containerd-worker=false", "--oci-worker-net=host"),
        ]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(root)}
        with (root / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            peer = BuildKit(programs / "buildctl", f"unix://{socket}", root)
            _wait(peer, daemon, root / "log")
            yield peer
        finally:
            daemon.terminate()
            daemon.wait(_PATIENCE_SECONDS)


def _wait(peer: BuildKit, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        asked = subprocess.run(
            [*peer.command, "debug", "workers"], capture_output=True, check=False
        )
        if asked.returncode == 0:
            return
        time.sleep(0.2)
    raise BuildFailed(f"buildkitd does not come up:\n{log.read_text()[-2000:]}")
