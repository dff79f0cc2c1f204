"""Layers stacked by overlayfs, laid over one another by copies, and committed by the builder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support import images

from orchestra.engine.image.index import Entry
from orchestra.engine.image.layers import StoredLayers, open_snapshotter
from orchestra.engine.image.prune import Roots, sweep
from orchestra.engine.image.store import ImageStore
from orchestra.engine.linux.flags import UmountFlag
from orchestra.engine.linux.host import features
from orchestra.engine.linux.syscalls import mount, umount2
from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.shim.protocol import Rootfs
from orchestra.engine.snapshot.copying import CopyingSnapshotter
from orchestra.engine.snapshot.locking import try_lock
from orchestra.engine.snapshot.overlay import OverlaySnapshotter
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import HostError, ImageError
from orchestra.oci.image import Image, Layer

pytestmark = pytest.mark.kernel

LOW = [
    images.directory("./", 0o750, uid=7),
    images.directory("etc/", 0o711, uid=9),
    images.file("etc/keep", b"low"),
    images.file("etc/gone", b"low"),
    images.directory("opaque/"),
    images.file("opaque/old", b"low"),
    images.directory("dir/sub/"),
    images.file("file", b"low"),
    images.file("twin", b"same"),
    images.Entry(images.Member(name="twin2", kind=b"1", link="twin")),
]
HIGH = [
    images.file("etc/.wh.gone"),
    images.file("etc/new", b"high"),
    images.file("opaque/.wh..wh..opq"),
    images.file("opaque/new", b"high"),
    images.file("dir", b"a file now"),
    images.directory("file/"),
    images.file("file/x", b"high"),
]
MERGED = {
    "dir": b"a file now",
    "etc/keep": b"low",
    "etc/new": b"high",
    "file/x": b"high",
    "opaque/new": b"high",
    "twin": b"same",
    "twin2": b"same",
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    data, run = tmp_path / "data", tmp_path / "run"
    return paths_of({"ORCHESTRA_DATA": str(data), "ORCHESTRA_RUN": str(run)}, uid=0)


@pytest.fixture
def image(store: ImageStore) -> Image:
    return images.store_image(store, "x", images.image([images.layer(LOW), images.layer(HIGH)]))


def ensure(snapshotter: Snapshotter, image: Image) -> tuple[str, ...]:
    return anyio.run(snapshotter.ensure_layers, image)


@contextmanager
def mounted(rootfs: Rootfs, target: Path) -> Iterator[Path]:
    target.mkdir()
    lower = ":".join(rootfs["lower"])
    options = f"lowerdir={lower},upperdir={rootfs['upper']},workdir={rootfs['work']}"
    mount("overlay", str(target), "overlay", 0, f"{options},redirect_dir=off,metacopy=off")
    try:
        yield target
    finally:
        umount2(str(target), UmountFlag.DETACH)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def attributes(path: Path) -> tuple[int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid


def test_overlay_shows_what_the_image_means(
    paths: Paths, store: ImageStore, image: Image, tmp_path: Path
) -> None:
    snapshotter = OverlaySnapshotter(paths, StoredLayers(store))
    rootfs = snapshotter.rootfs(ensure(snapshotter, image), str(tmp_path / "rw"))
    with mounted(rootfs, tmp_path / "root") as root:
        assert files(root) == MERGED
        assert attributes(root) == (0o750, 7)
        assert attributes(root / "etc") == (0o711, 9)


def test_copies_show_the_same(
    paths: Paths, store: ImageStore, image: Image, tmp_path: Path
) -> None:
    snapshotter = CopyingSnapshotter(paths, StoredLayers(store))
    rootfs = snapshotter.rootfs(ensure(snapshotter, image), str(tmp_path / "rw"))
    assert (rootfs["upper"], len(rootfs["lower"])) == ("", 1)
    root = Path(rootfs["lower"][0])
    assert files(root) == MERGED
    assert attributes(root) == (0o750, 7)
    assert attributes(root / "etc") == (0o711, 9)
    assert (root / "twin").stat().st_ino == (root / "twin2").stat().st_ino
    (root / "etc/keep").write_bytes(b"changed")
    assert (Path(ensure(snapshotter, image)[1]) / "etc/keep").read_bytes() == b"low"


def test_overlay_is_chosen_where_it_is_to_be_had(paths: Paths, store: ImageStore) -> None:
    host = features()
    with_it = replace(host, overlayfs=True)
    without = replace(host, overlayfs=False)
    assert isinstance(open_snapshotter(paths, store, host=with_it), OverlaySnapshotter)
    assert isinstance(open_snapshotter(paths, store, host=without), CopyingSnapshotter)


def test_snapshots_are_made_once_and_for_nobody_else(
    paths: Paths, store: ImageStore, image: Image
) -> None:
    snapshotter = open_snapshotter(paths, store)
    assert snapshotter.layers(image) is None
    first = ensure(snapshotter, image)
    inodes = [Path(path).stat().st_ino for path in first]
    assert ensure(open_snapshotter(paths, store), image) == first
    assert [Path(path).stat().st_ino for path in first] == inodes
    assert snapshotter.layers(image) == first
    assert stat.S_IMODE(Path(paths.snapshots).stat().st_mode) == 0o700


def test_leftover_of_a_killed_pull_is_replaced(
    paths: Paths, store: ImageStore, image: Image
) -> None:
    name = image.chain_ids[0].removeprefix("sha256:")
    leftover = Path(paths.snapshots) / f".new-{name}" / "junk" / "deep"
    leftover.mkdir(parents=True)
    layers = ensure(open_snapshotter(paths, store), image)
    assert not (Path(layers[-1]) / "junk").exists()
    assert not [path for path in Path(paths.snapshots).iterdir() if path.name.startswith(".")]


async def commit_layer(snapshotter: Snapshotter, rootfs: Rootfs, image: Image) -> tuple[Layer, str]:
    done = await snapshotter.commit_layer(rootfs, parents=image.config.diff_ids)
    return done.layer, done.directory


def commit(
    paths: Paths, store: ImageStore, parents: Sequence[str], image: Image, tmp_path: Path
) -> tuple[OverlaySnapshotter, Image]:
    """Write something in a root as a build step does, and commit it."""
    snapshotter = OverlaySnapshotter(paths, StoredLayers(store))
    rootfs = snapshotter.rootfs(parents, str(tmp_path / "step"))
    with mounted(rootfs, tmp_path / "merged") as root:
        (root / "etc/keep").unlink()
        (root / "etc/built").write_bytes(b"built")
        remove_tree(str(root / "opaque"))
        (root / "opaque").mkdir()
        (root / "opaque/fresh").touch()
    layer, directory = anyio.run(commit_layer, snapshotter, rootfs, image)
    assert not Path(rootfs["upper"]).exists()
    config = replace(image.config, diff_ids=(*image.config.diff_ids, layer.diff_id))
    encoded = images.encode_config(config)
    store.put_blob(encoded)
    manifest = images.encode_manifest(encoded, [*image.layers, layer])
    built = store.add_image(manifest, reference="built")
    assert snapshotter.layers(built) == (directory, *parents)
    return snapshotter, built


def test_committed_layer_is_the_same_from_its_blob(
    paths: Paths, store: ImageStore, image: Image, tmp_path: Path
) -> None:
    layers = ensure(open_snapshotter(paths, store), image)
    snapshotter, built = commit(paths, store, layers, image, tmp_path)
    for number in range(2):
        rootfs = snapshotter.rootfs(ensure(snapshotter, built), str(tmp_path / f"rw{number}"))
        with mounted(rootfs, tmp_path / f"root{number}") as root:
            found = files(root)
            assert found["etc/built"] == b"built"
            assert found["opaque/fresh"] == b""
            assert {"etc/keep", "opaque/new"}.isdisjoint(found)
        directory = (snapshotter.layers(built) or ("",))[0]
        anyio.run(snapshotter.remove, directory)  # the second round unpacks the blob


def test_build_without_overlay_is_refused_with_a_way_out(
    paths: Paths, store: ImageStore, image: Image, tmp_path: Path
) -> None:
    snapshotter = CopyingSnapshotter(paths, StoredLayers(store))
    rootfs = snapshotter.rootfs(ensure(snapshotter, image), str(tmp_path / "rw"))
    with pytest.raises(HostError, match="no overlayfs"):
        anyio.run(lambda: snapshotter.commit_layer(rootfs, parents=()))


def test_sweep_removes_what_nothing_uses(paths: Paths, store: ImageStore, image: Image) -> None:
    snapshotter = open_snapshotter(paths, store)
    layers = ensure(snapshotter, image)
    other = images.image([images.layer(LOW), images.layer([images.file("other")])])
    kept = ensure(snapshotter, images.store_image(store, "y", other))
    store.untag("x")
    freed = anyio.run(lambda: sweep(store, snapshotter, Roots))
    assert not Path(layers[0]).exists()
    assert [Path(path).exists() for path in kept] == [True, True]
    assert store.get("y") is not None
    assert not store.has_blob(image.id)
    assert freed


def nameless_but_used(store: ImageStore) -> Callable[[Roots], Callable[[Entry], bool]]:
    """Let the images without a name go, but those of containers."""
    return lambda used: lambda entry: not entry.reference and not store.ids_of(entry) & used.images


def test_sweep_spares_what_containers_use(paths: Paths, store: ImageStore, image: Image) -> None:
    snapshotter = open_snapshotter(paths, store)
    layers = ensure(snapshotter, image)
    images.store_image(store, "x", images.image([]))  # takes the name away
    roots = Roots(directories=frozenset(layers), images=frozenset({image.id}))
    forget = nameless_but_used(store)
    anyio.run(lambda: sweep(store, snapshotter, lambda: roots, forget=forget))
    assert all(Path(path).exists() for path in layers)
    assert store.by_id(image.id) == image


def test_sweep_spares_layers_of_a_container_whose_image_is_gone(
    paths: Paths, store: ImageStore, image: Image
) -> None:
    snapshotter = open_snapshotter(paths, store)
    layers = ensure(snapshotter, image)
    store.untag("x")
    roots = Roots(directories=frozenset(layers))
    anyio.run(lambda: sweep(store, snapshotter, lambda: roots))
    assert all(Path(path).exists() for path in layers)
    assert not store.has_blob(image.id)


def test_sweep_removes_leftovers_but_not_of_the_living(paths: Paths, store: ImageStore) -> None:
    root = Path(paths.snapshots)
    for name in (".new-dead/d", ".gone-dead/d", ".new-living/d"):
        (root / name).mkdir(parents=True)
    (root / ".lock-dead").touch()
    held = try_lock(root / ".lock-living")
    assert held is not None
    try:
        anyio.run(open_snapshotter(paths, store).remove_leftovers)
    finally:
        os.close(held)
    assert {path.name for path in root.iterdir()} == {".new-living", ".lock-living"}


def test_sweep_waits_for_no_writer(paths: Paths, store: ImageStore) -> None:
    with store.writing():
        result = anyio.run(lambda: sweep(store, open_snapshotter(paths, store), Roots))
    assert result is None


def test_full_disk_leaves_nothing_half_made(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount("tmpfs", str(small), "tmpfs", 0, "size=1m")
    try:
        environment = {"ORCHESTRA_DATA": str(small / "d"), "ORCHESTRA_RUN": str(tmp_path / "run")}
        paths = paths_of(environment, uid=0)
        store = ImageStore(paths)
        blob = images.layer([images.file("big", bytes(4 << 20))])
        image = images.store_image(store, "x", images.image([blob]))
        with pytest.raises(ImageError, match="No space left"):
            ensure(open_snapshotter(paths, store), image)
        assert list(Path(paths.snapshots).iterdir()) == []
        assert store.get("x") == image
    finally:
        umount2(str(small), UmountFlag.DETACH)


def test_tree_is_removed_at_any_depth_and_no_link_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").touch()
    root = tmp_path / "root"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.symlink(outside, "door", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    (root / ".removed.1").touch()
    remove_tree(str(root))
    assert not root.exists()
    assert (outside / "f").exists()
    remove_tree(str(root))
