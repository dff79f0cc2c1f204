"""A damaged record is told to the project that it belongs to, and to nobody else."""

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest

from orchestra.engine.network.attached import Attached
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import NetworkRecord, VolumeRecord
from orchestra.engine.state.store import Store
from orchestra.errors import StateError
from orchestra.planner.desired import NetworkSpec, VolumeSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    paths = Paths(*(PurePosixPath(tmp_path / name) for name in ("data", "run", "config.toml")))
    store = Store(paths)
    for project in ("shop", "blog"):
        name = f"{project}_x"
        network, volume = NetworkSpec(key="x", name=name), VolumeSpec(key="x", name=name)
        store.write_network(
            NetworkRecord(
                name=name, project=project, spec=network, bridge="b", subnets=(), created_at=NOW
            )
        )
        store.write_volume(
            VolumeRecord(name=name, project=project, spec=volume, anonymous=False, created_at=NOW)
        )
    return store


@pytest.mark.parametrize("kind", ["networks", "volumes"])
def test_only_the_owner_is_kept_from_its_list(store, kind):
    path = Path(store.paths.data) / kind
    path /= "shop_x.json" if kind == "networks" else "shop_x/record.json"
    path.write_text("{")
    of = getattr(store, kind)
    assert [record.name for record in of("blog")] == ["blog_x"]
    assert [record.name for record in of("sho")] == ["blog_x"]
    with pytest.raises(StateError, match="shop_x"):
        of("shop")
    with pytest.raises(StateError, match="shop_x"):
        store.network("shop_x") if kind == "networks" else store.volume("shop_x")


def test_addresses_of_a_damaged_container_are_no_other_projects_trouble(store):
    place = Path(store.paths.container("shop", "abc"))
    place.mkdir(parents=True)
    (place / "record.json").write_text("{")
    assert Attached(store).records() == []
    with pytest.raises(StateError, match="abc"):
        store.containers("shop")
