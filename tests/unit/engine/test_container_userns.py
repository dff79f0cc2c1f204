"""userns-remap: which ids a container gets, and whose they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from support.worlds import container

from orchestra.engine.container import userns
from orchestra.engine.container.userns import Shift, remap_of
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import IdRange, Remap
from orchestra.errors import ContainerError, SpecError

SUBIDS = """
# somebody's
other:1:1
dockremap:100000:1000
dockremap:300000:64536
broken:x:1
"""


@pytest.fixture
def paths(tmp_path, monkeypatch):
    (tmp_path / "subids").write_text(SUBIDS)
    for name in ("SUBUID", "SUBGID"):
        monkeypatch.setattr(userns, name, str(tmp_path / "subids"))
    root = PurePosixPath(tmp_path)
    return Paths(root / "data", root / "run", root / "config.toml")


RANGES = (
    IdRange(container_id=0, host_id=100_000, size=1000),
    IdRange(container_id=1000, host_id=300_000, size=64_536),
)


@pytest.mark.parametrize(
    ("text", "uids", "gids"),
    [
        ('userns-remap = "default"', RANGES, RANGES),
        (
            'userns-remap = "dockremap:other"\n[registry]',
            RANGES,
            (IdRange(container_id=0, host_id=1, size=1),),
        ),
    ],
)
def test_ids_come_from_the_files_of_the_host(paths, tmp_path, text, uids, gids):
    (tmp_path / "config.toml").write_text(text)
    found = remap_of(container("web"), paths)
    assert found == Remap(uids=uids, gids=gids, mapped_below=f"{tmp_path}/data/volumes")


@pytest.mark.parametrize("text", [None, "", 'userns-remap = ""', "[registry]"])
def test_without_the_setting_ids_are_the_hosts(paths, tmp_path, text):
    if text is not None:
        (tmp_path / "config.toml").write_text(text)
    assert remap_of(container("web"), paths) is None


def test_who_asks_for_the_host_has_its_ids(paths, tmp_path):
    (tmp_path / "config.toml").write_text('userns-remap = "default"')
    assert remap_of(container("web", userns_mode="host"), paths) is None
    assert remap_of(container("web", privileged=True), paths) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("userns-remap = 3", "expected text"),
        ("userns-remap = ", "cannot read the settings"),
        ('userns-remap = "nobody"', '"nobody" has no ids'),
        ('userns-remap = "broken"', '"broken" has no ids'),
    ],
)
def test_a_wrong_setting_is_told(paths, tmp_path, text, why):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SpecError, match=why):
        remap_of(container("web"), paths)


def test_owners_are_translated_both_ways():
    remap = Remap(uids=RANGES, gids=RANGES[:1], mapped_below="")
    shift = Shift(remap=remap)
    assert shift.inward(0, 999) == (100_000, 100_999)
    assert shift.inward(1000, 999) == (300_000, 100_999)
    assert shift.outward(300_000, 100_000) == (1000, 0)
    assert shift.outward(0, 0) == (65_534, 65_534)
    assert replace(shift, remap=None).inward(7, 8) == (7, 8)


def test_an_id_that_the_container_has_not_is_refused_on_the_way_in():
    shift = Shift(remap=Remap(uids=RANGES, gids=RANGES, mapped_below="/v"))
    assert shift.inward(1500, 0) == (300_500, 100_000)
    for owner in ((100_000, 0), (0, 65_536)):
        with pytest.raises(ContainerError, match="none of the container's"):
            shift.inward(*owner)
    assert shift.outward(5, 100_000) == (65_534, 0)
