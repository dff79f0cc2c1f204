"""Volumes: their first content from an image's layers, their kinds, and what removes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import anyio
import pytest

from orchestra.engine.linux import host
from orchestra.engine.paths import Paths
from orchestra.engine.state.store import Store
from orchestra.engine.volume.volumes import Volumes
from orchestra.errors import VolumeError
from orchestra.planner.desired import VolumeSpec

pytestmark = pytest.mark.kernel
DATA = VolumeSpec(key="data", name="shop_data")


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    paths = Paths(*(PurePosixPath(tmp_path / part) for part in ("data", "run", "config")))
    found = Volumes(paths, Store(paths))
    yield found
    for record in Store(paths).volumes():
        anyio.run(found.remove, record.name)


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    return upper, lower


def fill(volumes: Volumes, layers: tuple[Path, ...], target: str) -> Path:
    anyio.run(volumes.create, DATA, "shop")
    anyio.run(volumes.copy_up, DATA.name, tuple(map(str, layers)), target)
    return volumes.path(DATA.name)


def tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_first_content_keeps_owners_modes_times_and_attributes(
    volumes: Volumes, layers: tuple[Path, Path]
):
    home = layers[1] / "var/lib/db"
    (home / "sub").mkdir(parents=True)
    (home / "sub/file").write_text("hello")
    (home / "link").symlink_to("/etc/passwd")
    os.mkfifo(home / "fifo")
    os.chown(home, 999, 998)
    home.chmod(0o700)
    os.chown(home / "sub/file", 999, 998)
    (home / "sub/file").chmod(0o4750)
    os.utime(home / "sub/file", ns=(10**18, 10**18 + 7))
    os.setxattr(home / "sub/file", "user.mark", b"x")
    data = fill(volumes, layers, "/var/lib/db")
    assert tree(data) == ["fifo", "link", "sub", "sub/file"]
    status, file = data.stat(), (data / "sub/file").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (999, 998, 0o700)
    assert (file.st_uid, stat.S_IMODE(file.st_mode), file.st_mtime_ns) == (999, 0o4750, 10**18 + 7)
    assert os.getxattr(data / "sub/file", "user.mark") == b"x"
    assert (data / "link").readlink() == Path("/etc/passwd")
    assert stat.S_ISFIFO((data / "fifo").lstat().st_mode)


def test_an_empty_directory_gives_its_owner(volumes: Volumes, layers: tuple[Path, Path]):
    (layers[0] / "data").mkdir()
    os.chown(layers[0] / "data", 70, 70)
    assert fill(volumes, layers, "/data").stat().st_uid == 70


def test_upper_layers_hide_delete_and_replace(volumes: Volumes, layers: tuple[Path, Path]):
    upper, lower = layers
    for name in ("kept", "gone", "changed"):
        (lower / "d" / name).parent.mkdir(exist_ok=True)
        (lower / "d" / name).write_text("old")
    for name in ("opaque", "merged"):
        (lower / "d" / name).mkdir()
        (lower / "d" / name / "below").write_text("old")
        (upper / "d" / name).mkdir(parents=True)
        (upper / "d" / name / "above").write_text("new")
    os.setxattr(upper / "d/opaque", "trusted.overlay.opaque", b"y")
    os.mknod(upper / "d/gone", stat.S_IFCHR, 0)
    (upper / "d/changed").write_text("new")
    data = fill(volumes, layers, "/d")
    assert tree(data) == [
        "changed",
        "kept",
        "merged",
        "merged/above",
        "merged/below",
        "opaque",
        "opaque/above",
    ]
    assert (data / "changed").read_text() == "new"
    assert os.listxattr(data / "opaque") == []


def test_a_directory_deleted_above_gives_nothing(volumes: Volumes, layers: tuple[Path, Path]):
    (layers[1] / "d").mkdir()
    (layers[1] / "d/file").write_text("x")
    os.mknod(layers[0] / "d", stat.S_IFCHR, 0)
    assert tree(fill(volumes, layers, "/d")) == []


@pytest.mark.parametrize(
    ("link", "target"),
    [
        pytest.param("/run/db", "/var/db", id="absolute"),
        pytest.param("../run/db", "/var/db", id="relative"),
        pytest.param("../../../../run/db", "/var/db", id="above-the-root"),
        pytest.param("/run/../run/./db", "/var/db/", id="dots"),
    ],
)
def test_symlinks_resolve_inside_the_image(
    volumes: Volumes, layers: tuple[Path, Path], link: str, target: str
):
    (layers[1] / "run/db").mkdir(parents=True)
    (layers[1] / "run/db/inside").write_text("x")
    (layers[0] / "var").mkdir()
    (layers[0] / "var/db").symlink_to(link)
    assert tree(fill(volumes, layers, target)) == ["inside"]


def test_symlinks_never_lead_out(volumes: Volumes, layers: tuple[Path, Path], tmp_path: Path):
    secret = tmp_path / "host"
    secret.mkdir()
    (secret / "secret").write_text("x")
    (layers[0] / "out").symlink_to(secret)
    (layers[0] / "round").symlink_to("round")
    assert tree(fill(volumes, layers, "/out")) == []
    with pytest.raises(VolumeError, match="too many symlinks"):
        fill(volumes, layers, "/round")


def test_what_is_in_a_volume_stays(volumes: Volumes, layers: tuple[Path, Path]):
    (layers[0] / "d").mkdir()
    (layers[0] / "d/image").write_text("x")
    data = fill(volumes, layers, "/d")
    (data / "image").unlink()
    (data / "mine").write_text("y")
    assert tree(fill(volumes, layers, "/d")) == ["mine"]


def test_a_copy_that_was_killed_is_made_whole(volumes: Volumes, layers: tuple[Path, Path]):
    (layers[0] / "d").mkdir()
    for name in ("a", "b", "c"):
        (layers[0] / "d" / name).write_text(name)
    anyio.run(volumes.create, DATA, "shop")
    data = volumes.path(DATA.name)
    (data.parent / "_copy.partial").mkdir()
    (data.parent / "_copy.partial/half").write_text("")
    assert tree(fill(volumes, layers, "/d")) == ["a", "b", "c"]
    # Killed between two renames: some are there, the rest is staged.
    (data.parent / "_copy").mkdir()
    (data / "c").rename(data.parent / "_copy/c")
    assert tree(fill(volumes, layers, "/d")) == ["a", "b", "c"]
    assert not (data.parent / "_copy").exists()


def test_a_bind_is_the_hosts_directory(volumes: Volumes, tmp_path: Path):
    device = tmp_path / "device"
    options = {"type": "none", "o": "bind", "device": str(device)}
    spec = VolumeSpec(key="b", name="b", driver_options=options)
    anyio.run(volumes.create, spec, "shop")
    with pytest.raises(VolumeError, match="no directory"):
        volumes.path("b")
    device.mkdir()
    (device / "file").write_text("x")
    assert volumes.path("b") == device
    anyio.run(volumes.remove, "b")
    assert (device / "file").exists()


def test_a_tmpfs_is_shared_and_goes_with_the_volume(volumes: Volumes):
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=0700"}
    anyio.run(volumes.create, VolumeSpec(key="t", name="t", driver_options=options), "shop")
    data = volumes.path("t")
    (data / "file").write_text("x")
    assert (volumes.path("t") / "file").exists()
    (found,) = (mount for mount in host.mounts() if mount.mountpoint == str(data))
    assert (found.fstype, "size=1024k" in found.super_options) == ("tmpfs", True)
    anyio.run(volumes.remove, "t")
    assert str(data) not in {mount.mountpoint for mount in host.mounts()}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"driver": "rexray"}, 'driver "rexray"', id="driver"),
        pytest.param({"driver_options": {"foo": "1"}}, 'option "foo"', id="option"),
        pytest.param(
            {"driver_options": {"type": "nfs", "o": "addr=1", "device": ":/x"}},
            'type "nfs"',
            id="nfs",
        ),
        pytest.param(
            {"driver_options": {"type": "tmpfs", "o": "size=1m,exec"}}, '"exec"', id="tmpfs-option"
        ),
        pytest.param({"driver_options": {"o": "bind", "device": "x"}}, "absolute", id="device"),
        pytest.param({"name": "../x"}, "characters", id="name"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    volumes: Volumes, spec: dict[str, object], message: str
):
    with pytest.raises(VolumeError, match=message):
        anyio.run(volumes.create, VolumeSpec(**{"key": "x", "name": "x", **spec}), "shop")


def test_external_volumes_must_be_there_and_names_are_not_shared(volumes: Volumes):
    external = VolumeSpec(key="x", name="shop_data", external=True)
    with pytest.raises(VolumeError, match="external"):
        anyio.run(volumes.create, external, "other")
    anyio.run(volumes.create, DATA, "shop")
    anyio.run(volumes.create, external, "other")
    with pytest.raises(VolumeError, match='project "shop" has one'):
        anyio.run(volumes.create, DATA, "other")


def test_anonymous_volumes_come_and_go(volumes: Volumes):
    name = anyio.run(volumes.create_anonymous, "shop")
    (volumes.path(name) / "file").write_text("x")
    anyio.run(volumes.remove, name)
    anyio.run(volumes.remove, name)
    with pytest.raises(VolumeError, match="there is none"):
        volumes.path(name)
