"""Killed in the middle: at every step that a command takes on the disk, the store stays whole.

The command runs in a process of its own whose audit hook (PEP 578) ends it, as kill -9 would, at
the n-th of its effects on files; what is left is checked, the command run again, and all removed.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest
from support import images
from support.registry import Handler, Registry
from support.storecheck import check_store, leftovers

from orchestra.engine.image.index import Entry
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.prune import Roots, sweep
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths, paths_of
from orchestra.oci.image import Image

pytestmark = pytest.mark.kernel

_DRIVER = """
import os, signal, sys
left, root = int(sys.argv[1]), sys.argv[2]
EFFECTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.utime",
           "os.truncate", "os.chmod", "os.chown", "os.setxattr"}

def hook(event, arguments):
    global left
    if event == "open":
        counts = isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    else:
        counts = event in EFFECTS
    if counts and armed and not str(arguments[0]).endswith(".pyc") and "__pycache__" not in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

armed = False
sys.addaudithook(hook)
from orchestra.cli import app
import orchestra.cli.session
armed = True
sys.exit(app.run(sys.argv[3:]))
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return paths_of({"ORCHESTRA_DATA": str(tmp_path / "data")}, uid=0)


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ORCHESTRA_DATA": str(tmp_path / "data"),
        "ORCHESTRA_RUN": str(tmp_path / "run"),
        "ORCHESTRA_CONFIG": str(tmp_path / "config.toml"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }


def killed_at(effect: int, tmp_path: Path, *words: str) -> int:
    """Run a command that dies at its n-th effect; return its exit code, -9 when it died."""
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(effect), str(tmp_path), *words],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def whole(tmp_path: Path, *words: str) -> None:
    assert killed_at(0, tmp_path, *words) == 0


def made(text: str) -> images.MadeImage:
    shared = images.layer([images.directory("d/"), images.file("d/shared", b"s" * 100)])
    own = images.layer([images.file("own", text.encode()), images.link("l", "own")])
    return images.image([shared, own])


def is_complete(paths: Paths, image: Image, text: str) -> bool:
    layers = open_snapshotter(paths, ImageStore(paths)).layers(image)
    return layers is not None and Path(layers[0], "own").read_text() == text


@pytest.mark.timeout(600)  # some hundred processes
@pytest.mark.parametrize("command", ["pull", "load", "rmi", "prune", "import", "tag"])
def test_killed_at_any_effect_the_store_stays_whole(
    tmp_path: Path, paths: Paths, registry: Registry, command: str
) -> None:
    for text in ("old", "new"):
        images.publish(registry, "x", text, made(text))
    name = f"{registry.address}/x"
    whole(tmp_path, "image", "pull", "-q", f"{name}:old")
    whole(tmp_path, "image", "pull", "-q", f"{name}:new")
    (tmp_path / "root.tar").write_bytes(images.tar([images.file("own", b"new")]))
    whole(tmp_path, "image", "save", "-o", "saved.tar", f"{name}:new")
    whole(tmp_path, "rmi", f"{name}:new")
    words = {
        "pull": ("image", "pull", "-q", f"{name}:new"),
        "load": ("image", "load", "-q", "-i", "saved.tar"),
        "rmi": ("rmi", f"{name}:new"),
        "prune": ("image", "prune", "-af", "--filter", "label!=nothing"),
        "import": ("image", "import", "root.tar", f"{name}:new"),
        "tag": ("tag", f"{name}:old", f"{name}:new"),
    }[command]
    effect, died = 0, 0
    while True:
        if command in {"rmi", "prune"}:
            whole(tmp_path, "image", "pull", "-q", f"{name}:new")
        effect += 1 if effect < 4 else 3
        code = killed_at(effect, tmp_path, *words)
        assert check_store(paths) == [], f"{command} killed at effect {effect}"
        store = ImageStore(paths)
        if command != "prune":
            old = store.get(f"{name}:old")
            assert old is not None
            assert is_complete(paths, old, "old")
        new = store.get(f"{name}:new")
        if new is not None and command not in {"rmi", "prune", "tag"}:
            assert is_complete(paths, new, "new"), f"named at effect {effect}, and not whole"
        if code == 0:
            break
        died += 1
        if command in {"pull", "load", "import", "tag"}:
            whole(tmp_path, *words)
            assert ImageStore(paths).get(f"{name}:new") is not None
            whole(tmp_path, "rmi", f"{name}:new")
        elif command == "prune":
            whole(tmp_path, "image", "pull", "-q", f"{name}:old")
    assert died > 2, "it died on the way at least a few times"
    whole(tmp_path, "image", "prune", "-af")
    assert ImageStore(paths).blobs() == ()
    assert leftovers(paths) == []
    assert [path.name for path in Path(paths.snapshots).iterdir() if path.name[0] != "."] == []


def test_killed_at_any_moment_under_load(tmp_path: Path, paths: Paths, registry: Registry) -> None:
    """Several processes at once, killed at random times, pulling, loading, removing, pruning."""
    chance = random.Random(7)
    for text in ("a", "b", "c"):
        images.publish(registry, "x", text, made(text))
    name = f"{registry.address}/x"
    whole(tmp_path, "image", "pull", "-q", f"{name}:a")
    whole(tmp_path, "image", "save", "-o", "saved.tar", f"{name}:a")
    lines = [
        *(("image", "pull", "-q", f"{name}:{text}") for text in "abc"),
        ("image", "load", "-q", "-i", "saved.tar"),
        *(("rmi", "-f", f"{name}:{text}") for text in "ab"),
        ("image", "prune", "-f"),
        ("image", "prune", "-af"),
    ]
    for _ in range(12):
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "orchestra", *chance.choice(lines)],
                env=environment(tmp_path),
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]
        deadline = time.monotonic() + chance.uniform(0.1, 1.6)
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert check_store(paths) == []
    whole(tmp_path, "image", "pull", "-q", f"{name}:c")
    image = ImageStore(paths).get(f"{name}:c")
    assert image is not None
    assert is_complete(paths, image, "c")
    whole(tmp_path, "image", "prune", "-af")
    assert (ImageStore(paths).blobs(), leftovers(paths)) == ((), [])


def test_prune_keeps_off_while_a_pull_is_under_way(
    tmp_path: Path, paths: Paths, registry: Registry
) -> None:
    image = made("slow")
    images.publish(registry, "x", "1", image)
    asked, go_on = threading.Event(), threading.Event()
    last = image.layers[1].layer.descriptor.digest

    def wait(handler: Handler) -> bool:
        asked.set()
        go_on.wait(200)
        return False

    registry.faults[last] = wait
    pulling = subprocess.Popen(
        [sys.executable, "-m", "orchestra", "image", "pull", "-q", f"{registry.address}/x:1"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
    )
    try:
        assert asked.wait(120)
        done = subprocess.run(
            [sys.executable, "-m", "orchestra", "image", "prune", "-af"],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "being pulled or built just now" in done.stderr
    finally:
        go_on.set()
        pulling.communicate(timeout=120)
    assert pulling.returncode == 0
    assert check_store(paths) == []
    assert ImageStore(paths).get(f"{registry.address}/x:1") is not None


def test_sweep_asks_what_is_in_use_once_nobody_writes(paths: Paths) -> None:
    """A container that was made while the sweep waited for its lock keeps its layers."""
    store = ImageStore(paths)
    snapshotter = open_snapshotter(paths, store)
    image = images.store_image(store, "x:1", made("used"))
    layers = anyio.run(lambda: snapshotter.ensure_layers(image))
    roots: list[Roots] = []

    def ask() -> Roots:
        with pytest.raises(BlockingIOError):
            _try_shared(store)
        roots.append(Roots(directories=frozenset(layers), images=frozenset({image.id})))
        return roots[-1]

    def forget(used: Roots) -> object:
        return lambda entry: isinstance(entry, Entry) and not store.ids_of(entry) & used.images

    anyio.run(lambda: sweep(store, snapshotter, ask, forget=forget))  # type: ignore[arg-type]
    assert roots
    assert store.get("x:1") is not None
    assert all(Path(layer).is_dir() for layer in layers)


def _try_shared(store: ImageStore) -> None:
    fd = os.open(store.incoming("lock"), os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(fd)
