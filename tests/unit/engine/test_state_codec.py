"""Records survive the way to disk and back, and damaged ones are refused by place."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from orchestra.engine.paths import Paths
from orchestra.engine.state.codec import DecodeError, decode, encode
from orchestra.engine.state.records import ContainerRecord, Endpoint, VolumeUse, Wanted
from orchestra.engine.state.store import Store
from orchestra.errors import StateError
from orchestra.planner.building import Annotation, BuildSpec
from orchestra.planner.desired import (
    Attachment,
    Condition,
    ContainerSpec,
    Dependency,
    HealthSpec,
    Mount,
    MountKind,
    PortSpec,
    RestartMode,
    RestartPolicy,
)
from orchestra.planner.exchange import CachePlace
from orchestra.planner.limits import Resources

SPEC = ContainerSpec(
    project="shop",
    service="web",
    number=1,
    name="shop-web-1",
    image="nginx:1",
    config_hash="h",
    command=("nginx", "-g", "daemon off;"),
    environment={"B": "2", "A": "1"},
    mounts=(Mount(kind=MountKind.VOLUME, source="data", target="/data"),),
    networks=(Attachment(network="default", aliases=("web",)),),
    ports=(PortSpec(container_port=80, host_port=8000),),
    extra_hosts=(("db", "10.0.0.1"),),
    depends_on=(Dependency(service="db", condition=Condition.HEALTHY),),
    health=HealthSpec(test=("CMD", "true"), interval=timedelta(seconds=1.5), retries=3),
    restart=RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=5),
    stop_grace_period=timedelta(seconds=3),
)
RECORD = ContainerRecord(
    id="a" * 64,
    spec=SPEC,
    image_id="sha256:" + "b" * 64,
    layers=("/l/1", "/l/2"),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    wanted=Wanted.RUNNING,
    endpoints=(
        Endpoint(
            network="shop_default",
            bridge="orc0",
            interface="eth0",
            host_interface="orcv0",
            mac="02:42:ac:11:00:02",
            ipv4="172.20.0.2",
            ipv4_prefix=16,
        ),
    ),
    volumes=(VolumeUse(volume="shop_data", target="/data"),),
    started_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
)


def paths_in(directory: Path) -> Paths:
    root = PurePosixPath(directory)
    return Paths(root / "data", root / "run", root / "config.toml")


def test_a_record_comes_back_as_it_was():
    document = json.loads(json.dumps(encode(RECORD)))
    assert decode(ContainerRecord, document) == RECORD


def test_a_build_comes_back_as_it_was():
    spec = BuildSpec(
        context="/c",
        dockerfile="/d",
        cache_from=(CachePlace(kind="local", directory="/e", compression="zstd"),),
        cache_to=(CachePlace(kind="inline"),),
        annotations=(Annotation(key="a", value="b", kind="index"),),
        resources=Resources(memory_bytes=3),
    )
    text = json.dumps(encode(spec))
    assert decode(BuildSpec, json.loads(text)) == spec
    with pytest.raises(DecodeError, match="kind: it is none of 'local', 'registry', 'inline'"):
        decode(BuildSpec, json.loads(text.replace('"inline"', '"other"')))


def test_defaults_are_left_out():
    assert "tty" not in encode(SPEC)
    assert decode(ContainerSpec, encode(SPEC)).tty is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 5}, "ContainerRecord.id: expected str, found int"),
        ({"restarts": True}, "ContainerRecord.restarts: expected int, found bool"),
        ({"created_at": "yesterday"}, "ContainerRecord.created_at: "),
        ({"wanted": "maybe"}, "ContainerRecord.wanted: "),
        ({"layers": "x"}, "ContainerRecord.layers: expected a list, found str"),
        ({"extra": 1}, "ContainerRecord: unknown field 'extra'"),
        (
            {"volumes": [{"volume": "v"}]},
            r"ContainerRecord.volumes\[0\]: field 'target' is missing",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_damaged_record_is_refused_by_place(change, message):
    document = {**encode(RECORD), **change}
    with pytest.raises(DecodeError, match=message):
        decode(ContainerRecord, document)


def test_the_store_lists_containers_oldest_first_and_forgets(tmp_path):
    store = Store(paths_in(tmp_path))
    younger = replace(RECORD, id="c" * 64, created_at=RECORD.created_at + timedelta(seconds=1))
    store.write_container(younger)
    store.write_container(RECORD)
    assert [record.id for record in store.containers("shop")] == [RECORD.id, younger.id]
    assert store.container("shop", RECORD.id) == RECORD
    store.remove_container("shop", RECORD.id)
    assert [record.id for record in store.containers("shop")] == [younger.id]
    assert store.projects() == ("shop",)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 99, "record": {}}', '{"version": 1, "record": {}}']
)
def test_a_corrupt_document_is_refused_with_its_path(tmp_path, text):
    store = Store(paths_in(tmp_path))
    store.write_container(RECORD)
    path = tmp_path / "data/projects/shop/containers" / RECORD.id / "record.json"
    path.write_text(text)
    with pytest.raises(StateError, match=r"record\.json"):
        store.containers("shop")


def test_an_unwritable_directory_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "data").write_text("a file where a directory should be")
    with pytest.raises(StateError, match="cannot write"):
        Store(paths_in(tmp_path)).write_container(RECORD)
