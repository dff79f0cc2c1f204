"""Private directories are made whatever others do there meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.engine.linux.directories import make_private


def test_one_that_is_removed_in_between_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As mkdir(2) finds a container's directory, and stat(2) does not any more."""
    real, calls = os.mkdir, 0

    def mkdir(path: str, mode: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise FileExistsError(path)
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    make_private(tmp_path / "made")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_else_in_its_place_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "taken"
    if kind == "file":
        place.write_text("")
    else:
        place.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        make_private(place)
