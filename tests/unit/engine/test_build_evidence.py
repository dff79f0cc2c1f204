"""What evidence of a build knows without those who own it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestra.engine import glancing
from orchestra.engine.build import evidence
from orchestra.engine.local import notes
from orchestra.engine.paths import paths_of
from orchestra.engine.state.memo import Memo
from orchestra.engine.state.plain import NotPlainError
from orchestra.oci import image

if TYPE_CHECKING:
    from pathlib import Path

KEY = "a" * 64


def test_names_that_others_own_are_theirs() -> None:
    assert evidence.REF_NAME == image.REF_NAME
    assert evidence.BUILD_HASH == notes.BUILD_HASH
    assert str(paths_of({}, uid=0).data) == glancing.DATA


def test_a_memo_is_read_as_it_was_written(tmp_path: Path) -> None:
    value = {"text": "\udc80é", "list": [1, None, True], "map": {}}
    Memo(tmp_path / "memo").put(KEY, value)
    assert evidence.remembered(str(tmp_path / "memo"), KEY) == value


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_memo_that_others_may_write_is_none(tmp_path: Path, mode: int) -> None:
    Memo(tmp_path / "memo").put(KEY, [1])
    (tmp_path / "memo").chmod(mode)
    with pytest.raises(NotPlainError):
        evidence.remembered(str(tmp_path / "memo"), KEY)


def test_a_memo_behind_a_link_is_none(tmp_path: Path) -> None:
    Memo(tmp_path / "memo").put(KEY, [1])
    (tmp_path / "memo" / ("b" * 64)).symlink_to(KEY)
    with pytest.raises(NotPlainError):
        evidence.remembered(str(tmp_path / "memo"), "b" * 64)


def test_only_regular_files_have_a_digest(tmp_path: Path) -> None:
    assert evidence.digest_at(str(tmp_path / "nothing")) == ""
    with pytest.raises((OSError, ValueError)):
        evidence.digest_at(str(tmp_path))


def test_evidence_that_is_not_understood_does_not_hold() -> None:
    whole = {"files": {}, "kinds": {}, "sizes": {}, "names": {}, "notes": {}, "trees": []}
    assert evidence.holds(whole, {})
    assert not evidence.holds({**whole, "trees": [[1]]}, {})
    assert not evidence.holds({**whole, "names": {"a": "b"}}, {})
    assert not evidence.holds({name: value for name, value in whole.items() if name != "trees"}, {})
