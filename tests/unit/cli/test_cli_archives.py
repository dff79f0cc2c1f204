"""Where archives are written: a file whole or not at all, and blamed for its own trouble alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.cli.archives import target_of, written_whole
from orchestra.errors import UsageError


def test_a_file_gets_its_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "all.tar"
    target.write_text("before")
    with written_whole(target) as fd:
        os.write(fd, b"after")
        assert target.read_text() == "before"
    assert target.read_text() == "after"
    assert list(tmp_path.iterdir()) == [target]


def test_trouble_with_what_is_written_is_not_the_files(tmp_path: Path) -> None:
    target = tmp_path / "all.tar"
    with pytest.raises(FileNotFoundError, match="a blob"), written_whole(target):
        raise FileNotFoundError("a blob")
    assert list(tmp_path.iterdir()) == []


def test_trouble_with_the_file_is_told(tmp_path: Path) -> None:
    target = tmp_path / "all.tar"
    wanted = r'cannot write ".*all\.tar": is a directory'
    with pytest.raises(UsageError, match=wanted), written_whole(target):
        target.mkdir()
    assert list(tmp_path.iterdir()) == [target]
    for output, message in (
        (str(tmp_path / "none/x"), "there is no directory"),
        (str(target), "no regular file"),
    ):
        with pytest.raises(UsageError, match=message):
            target_of(output)
