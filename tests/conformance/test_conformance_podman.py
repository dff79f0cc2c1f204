"""Podman on the native runtime: another engine, which knows nothing of ours, by runc's verbs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.bundles import Bundle

pytestmark = pytest.mark.runtime

# Hard limits cannot be raised on every host, so these are below what there is.
CGROUP = "orchestra-podman"
FLAGS = (
    "--ulimit nofile=1000:1000 --ulimit nproc=1000:1000 --net none "
    f"--cgroup-parent=/{CGROUP} --rootfs"
)
Podman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def podman() -> Iterator[Podman]:
    # Its paths may have 50 characters, so pytest's directory does not do.
    with tempfile.TemporaryDirectory(prefix="pod") as directory:
        yield from serve(Path(directory))


def serve(place: Path) -> Iterator[Podman]:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    runtime = place / "runtime"
    home = Path(__file__).parents[2]
    runtime.write_text(
        f'#!/bin/sh\nPYTHONPATH={home} exec {sys.executable} -m orchestra.engine.runtime "$@"\n'
    )
    runtime.chmod(0o755)
    own = {"root": "root", "runroot": "run", "tmpdir": "tmp"}
    places = [f"--{flag}={place / name}" for flag, name in own.items()]
    fixed = ["--cgroup-manager=cgroupfs", "--storage-driver=vfs", "--events-backend=file"]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *places, *fixed, f"--runtime={runtime}", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    yield call
    call("rm", "--all", "--force", "--time", "0")
    reap("conmon")
    for parent in Path("/sys/fs/cgroup").glob(f"*/{CGROUP}"):
        for directory in (*parent.glob("*/"), parent):
            directory.rmdir()


def reap(name: str) -> None:
    """Wait for programs that leave their parents, and come to whoever reaps for them: us."""
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n":
                os.waitpid(pid, 0)


def test_podman_runs_a_container(podman: Podman, tmp_path: Path, token: str) -> None:
    bundle = Bundle(tmp_path / "bundle", token)
    done = podman("run", "--rm", *FLAGS.split(), str(bundle.rootfs), "sh", "-c", "id -u; exit 5")
    assert (done.returncode, done.stdout) == (5, "0\n"), done.stderr


def test_podman_leads_a_container_through_its_life(
    podman: Podman, tmp_path: Path, token: str
) -> None:
    bundle = Bundle(tmp_path / "bundle", token)
    flags = ["--memory", "50m", "--name", token, *FLAGS.split()]
    made = podman("run", "--detach", *flags, str(bundle.rootfs), "sleep", "100")
    assert made.returncode == 0, made.stderr
    assert podman("exec", token, "sh", "-c", "echo in; exit 3").stdout == "in\n"
    assert podman("exec", "--tty", token, "test", "-t", "0").returncode == 0
    assert podman("pause", token).returncode == 0
    assert podman("ps", "--all", "--format", "{{.State}}").stdout.lower() == "paused\n"
    assert podman("unpause", token).returncode == 0
    assert podman("update", "--memory", "60m", token).returncode == 0
    assert podman("kill", token).returncode == 0
    assert podman("wait", token).stdout == "137\n"
    assert podman("rm", token).returncode == 0
