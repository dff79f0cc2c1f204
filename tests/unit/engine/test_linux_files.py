from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestra.engine.linux.files import write_file


@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_a_file_has_its_mode_whatever_the_mask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_file(str(tmp_path / "x"), b"text", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "x").read_bytes() == b"text"
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o644


def test_a_file_that_is_there_is_emptied_first_and_gets_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("much longer than that")
    path.chmod(0o666)
    write_file(str(path), b"text", 0o600)
    assert path.read_bytes() == b"text"
    assert path.stat().st_mode & 0o7777 == 0o600


def test_a_full_disk_is_told_with_the_file() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this host has no /dev/full")
    mode = Path("/dev/full").stat().st_mode & 0o7777
    with pytest.raises(OSError, match="No space left") as caught:
        write_file("/dev/full", b"text", mode)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
