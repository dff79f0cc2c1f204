"""A writer that is killed leaves a file aside: it goes with what it was to be."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.engine.paths import paths_of
from orchestra.engine.state.atomic import write_atomic
from orchestra.engine.state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(paths_of({"ORCHESTRA_DATA": str(tmp_path)}, uid=0))


_WRITER = """
import os, signal, sys
from pathlib import Path
from orchestra.engine.state.store import write_atomic
os.fdatasync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
write_atomic(Path(sys.argv[1]), b"{}")
"""


def write_and_die(path: Path) -> None:
    """Be killed where a disk lets one wait: before the file has its name."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", _WRITER, str(path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_is_left_of_a_networks_record_goes_with_the_network(store: Store) -> None:
    directory = Path(store.paths.networks)
    write_and_die(directory / "shop_default.json")
    write_and_die(directory / "shop_default.json.1.json")  # a network may be called so
    others = {path for path in directory.iterdir() if ".json.1.json." in path.name}
    assert len(list(directory.iterdir())) == 2
    store.remove_network("shop_default")
    assert set(directory.iterdir()) == others
    store.remove_network("shop_default.json.1")
    assert list(directory.iterdir()) == []


def test_a_file_of_the_working_directory_is_replaced_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, text in (("x", b"1"), (Path("x"), b"2"), ("new/x", b"3")):
        write_atomic(path, text)
    assert sorted(map(str, Path().rglob("*"))) == ["new", "new/x", "x"]
    assert (Path("x").read_bytes(), Path("new/x").read_bytes()) == (b"2", b"3")
