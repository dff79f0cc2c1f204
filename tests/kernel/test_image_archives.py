"""Archives of images, in and out: our own, those of skopeo and podman, and hostile ones."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from support import images
from support.storecheck import check_store, leftovers

from orchestra.engine.image.layer import Limits
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.loading import Loaded, load
from orchestra.engine.image.save import archive_of, saved_of
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths, paths_of
from orchestra.errors import ImageError, OrchestraError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import INDEX_OCI, MANIFEST_OCI

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.kernel
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return paths_of({"ORCHESTRA_DATA": str(tmp_path / "data")}, uid=0)


@pytest.fixture
def other(tmp_path: Path) -> ImageStore:
    """The store of another machine."""
    return ImageStore(paths_of({"ORCHESTRA_DATA": str(tmp_path / "other")}, uid=0))


@pytest.fixture
def made() -> images.MadeImage:
    low = images.layer([images.directory("d/"), images.file("d/a", b"a" * 9000)])
    return images.image([low, images.layer([images.file("d/b", b"b")])], cmd=("sh",))


def put(
    store: ImageStore, paths: Paths, data: bytes, limits: Limits | None = None
) -> tuple[Loaded, ...]:
    snapshotter = open_snapshotter(paths, store)
    read = io.BytesIO(data).read
    return anyio.run(
        lambda: load(
            read,
            store=store,
            snapshotter=snapshotter,
            limits=limits or Limits(),
            platform=images.AMD64,
        )
    )


def saved(store: ImageStore, *names: str) -> bytes:
    return b"".join(archive_of(store, saved_of(store, names)))


def archive(members: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """Write an archive with the standard library's tarfile, an independent writer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
        for member in extra:
            file.addfile(member)
    return buffer.getvalue()


def docker_members(made: images.MadeImage, *tags: str) -> dict[str, bytes]:
    """What docker save wrote before version 25: layers plain, each in a directory of its own."""
    layers = {f"{n}/layer.tar": gzip.decompress(blob.data) for n, blob in enumerate(made.layers)}
    listed = [{"Config": "config.json", "RepoTags": list(tags), "Layers": list(layers)}]
    return {**layers, "config.json": made.config, "manifest.json": json.dumps(listed).encode()}


def layout_members(made: images.MadeImage, **annotations: str) -> dict[str, bytes]:
    blobs = [made.manifest, made.config, *(blob.data for blob in made.layers)]
    entry = {
        "mediaType": MANIFEST_OCI,
        "digest": digest_of(made.manifest),
        "size": len(made.manifest),
        "annotations": annotations,
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": [entry]}
    members = {f"blobs/sha256/{images.sha256(blob)}": blob for blob in blobs}
    return {**members, "index.json": json.dumps(index).encode(), "oci-layout": LAYOUT}


NAME = {"org.opencontainers.image.ref.name": "x:1"}


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, lzma.compress, bz2.compress, zstd.compress],
    ids=["plain", "gzip", "xz", "bzip2", "zstd"],
)
def test_what_is_saved_is_loaded_the_same(
    store: ImageStore,
    other: ImageStore,
    paths: Paths,
    made: images.MadeImage,
    pack: Callable[[bytes], bytes],
) -> None:
    image = images.store_image(other, "x:1", made)
    other.tag(image.manifest, "team/x:2")
    images.store_image(other, "y:1", images.image([made.layers[0]]))
    loaded = put(store, paths, pack(saved(other, "x:1", "team/x:2", "y")))
    assert [one.reference.familiar if one.reference else "" for one in loaded] == [
        "x:1",
        "team/x:2",
        "y:1",
    ]
    assert store.get("x:1") == image
    assert store.get("team/x:2") == image
    assert leftovers(paths) == []
    assert check_store(paths) == []


def test_same_images_give_the_same_archive(other: ImageStore, made: images.MadeImage) -> None:
    images.store_image(other, "x:1", made)
    assert saved(other, "x:1") == saved(other, "x:1")


def test_image_saved_by_its_id_has_no_name(
    store: ImageStore, other: ImageStore, paths: Paths, made: images.MadeImage
) -> None:
    image = images.store_image(other, "x:1", made)
    [loaded] = put(store, paths, saved(other, image.id[7:19]))
    assert (loaded.reference, loaded.id) == (None, image.id)
    assert [line.reference for line in store.list()] == [""]


def test_repository_without_a_tag_means_all_of_its_tags(
    other: ImageStore, made: images.MadeImage
) -> None:
    image = images.store_image(other, "x:1", made)
    other.tag(image.manifest, "x:2")
    [found] = saved_of(other, ["x"])
    assert [name.tag for name in found.names] == ["1", "2"]


def test_old_docker_archive_is_loaded(
    store: ImageStore, paths: Paths, made: images.MadeImage
) -> None:
    [one, two] = put(store, paths, archive(docker_members(made, "x:1", "y:2")))
    image = store.get("x:1")
    assert image is not None
    assert (one.id, two.id) == (image.id, image.id)
    assert image.id == digest_of(made.config)
    layers = open_snapshotter(paths, store).layers(image)
    assert layers is not None
    assert Path(layers[-1], "d/a").read_bytes() == b"a" * 9000


def test_layer_that_is_a_link_to_another_is_found(
    store: ImageStore, paths: Paths, made: images.MadeImage
) -> None:
    twice = images.image([made.layers[1], made.layers[1]])
    members = docker_members(twice, "x:1")
    del members["1/layer.tar"]
    link = tarfile.TarInfo("1/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../0/layer.tar"
    put(store, paths, archive(members, link))
    assert store.get("x:1") is not None


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        (NAME, "x:1"),
        ({"org.opencontainers.image.ref.name": "1"}, None),
        ({"io.containerd.image.name": "docker.io/library/y:2"}, "y:2"),
        ({}, None),
    ],
)
def test_layout_is_loaded_under_the_name_that_it_tells(
    store: ImageStore,
    paths: Paths,
    made: images.MadeImage,
    annotations: dict[str, str],
    name: str | None,
) -> None:
    [loaded] = put(store, paths, archive(layout_members(made, **annotations)))
    assert (loaded.reference.familiar if loaded.reference else None) == name
    assert [line.image.manifest for line in store.list()] == [digest_of(made.manifest)]


# -- other programs -----------------------------------------------------------------------------


def skopeo(*words: str) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(
        ["skopeo", *words], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_skopeo_reads_what_is_saved_and_its_archives_are_loaded(
    store: ImageStore,
    other: ImageStore,
    paths: Paths,
    made: images.MadeImage,
    tmp_path: Path,
    kind: str,
) -> None:
    image = images.store_image(other, "x:1", made)
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    ours.write_bytes(saved(other, "x:1"))
    source = "x:1" if kind == "docker-archive" else "1"
    skopeo("copy", f"{kind}:{ours}:{source}", f"{kind}:{theirs}:docker.io/library/z:3")
    [loaded] = put(store, paths, theirs.read_bytes())
    assert loaded.reference is not None
    assert loaded.reference.familiar == "z:3"
    again = store.get("z:3")
    assert again is not None
    assert again.config.diff_ids == image.config.diff_ids
    assert again.config.cmd == ("sh",)


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a name of less than the 50 characters that podman bears."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield directory


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_what_is_saved_and_saves_what_is_loaded(
    store: ImageStore,
    other: ImageStore,
    paths: Paths,
    made: images.MadeImage,
    tmp_path: Path,
    short: str,
    form: str,
) -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    podman = ["podman", "--root", f"{short}/root", "--runroot", f"{short}/run"]
    podman += ["--storage-driver", "vfs"]
    image = images.store_image(other, "x:1", made)
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    ours.write_bytes(saved(other, "x:1"))
    for words in (
        ["load", "-i", str(ours)],
        ["save", "--format", form, "-o", str(theirs), "docker.io/library/x:1"],
    ):
        done = subprocess.run(
            [*podman, *words], check=False, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    [loaded] = put(store, paths, theirs.read_bytes())
    assert loaded.reference is not None
    assert loaded.reference.familiar == "x:1"
    found = store.get("x:1")
    assert found is not None
    assert found.config.diff_ids == image.config.diff_ids


# -- hostile archives ---------------------------------------------------------------------------


def refused(store: ImageStore, paths: Paths, data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        put(store, paths, data, limits)
    assert store.list() == ()
    assert leftovers(paths) == []
    assert check_store(paths) == []
    return str(caught.value)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/../evil", "blobs/sha256/../../../e"])
def test_member_that_climbs_is_refused(
    store: ImageStore, paths: Paths, made: images.MadeImage, name: str, tmp_path: Path
) -> None:
    members = {**layout_members(made, **NAME), name: b"evil"}
    before = sorted(path.name for path in tmp_path.iterdir())
    if name == "/../evil":  # counts from the archive's root, as with any absolute name
        assert "leaves it" in refused(store, paths, archive(members))
    else:
        assert "leaves it" in refused(store, paths, archive(members))
    assert {path.name for path in tmp_path.iterdir()} - set(before) <= {"data"}


def test_link_out_of_the_archive_leads_to_nothing(
    store: ImageStore, paths: Paths, made: images.MadeImage, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(made.config)
    members = docker_members(made, "x:1")
    del members["config.json"]
    for target in (str(tmp_path / "secret"), "../../secret", "/etc/passwd"):
        link = tarfile.TarInfo("config.json")
        link.type, link.linkname = tarfile.SYMTYPE, target
        text = refused(store, paths, archive(members, link))
        assert 'no "config.json" in it' in text or "leaves it" in text


def test_links_in_circles_end(store: ImageStore, paths: Paths, made: images.MadeImage) -> None:
    members = docker_members(made, "x:1")
    del members["config.json"]
    pair = []
    for name, target in (("config.json", "b"), ("b", "config.json")):
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, target
        pair.append(link)
    assert 'no "config.json" in it' in refused(store, paths, archive(members, *pair))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_device_in_an_archive_is_refused(
    store: ImageStore, paths: Paths, made: images.MadeImage, kind: bytes
) -> None:
    node = tarfile.TarInfo("node")
    node.type = kind
    data = archive(layout_members(made, **NAME), node)
    assert "a device or a fifo" in refused(store, paths, data)


def test_blob_that_is_not_what_its_name_says_is_refused(
    store: ImageStore, paths: Paths, made: images.MadeImage
) -> None:
    members = layout_members(made, **NAME)
    members[f"blobs/sha256/{images.sha256(made.config)}"] = made.config + b" "
    assert "nothing in it has digest" in refused(store, paths, archive(members))


def test_layer_of_another_content_is_refused(
    store: ImageStore, paths: Paths, made: images.MadeImage
) -> None:
    members = docker_members(made, "x:1")
    members["0/layer.tar"] = images.tar([images.file("evil")])
    assert "the image's config names" in refused(store, paths, archive(members))
    packed = gzip.compress(images.tar([images.file("evil")]))
    assert "the image's config names" in refused(
        store, paths, archive({**members, "0/layer.tar": packed})
    )


def test_layer_that_escapes_is_refused(store: ImageStore, paths: Paths, tmp_path: Path) -> None:
    evil = images.image([images.layer([images.file("../../../evil")])])
    assert '".."' in refused(store, paths, archive(layout_members(evil, **NAME)))
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("pack", [lzma.compress, bz2.compress], ids=["xz", "bzip2"])
def test_packed_archive_that_is_damaged_is_refused(
    store: ImageStore,
    paths: Paths,
    made: images.MadeImage,
    pack: Callable[[bytes], bytes],
) -> None:
    data = pack(archive(layout_members(made, **NAME)))
    middle = len(data) // 2
    assert "damaged" in refused(store, paths, data[:middle])
    assert "damaged" in refused(store, paths, data[:middle] + b"x" * 9 + data[middle + 9 :])


def test_bomb_is_stopped(store: ImageStore, paths: Paths) -> None:
    big = images.tar([images.file("big", bytes(64 << 20))])
    for bomb in (gzip.compress(big), lzma.compress(big, preset=0), bz2.compress(big)):
        assert len(bomb) < 1 << 20
        assert "grows beyond" in refused(store, paths, bomb, Limits(bytes_max=1 << 20))
    members = archive({"a": bytes(4 << 20)})
    assert "grows beyond" in refused(store, paths, members, Limits(bytes_max=1 << 20))


def test_bomb_of_members_is_stopped(store: ImageStore, paths: Paths) -> None:
    data = archive({str(n): b"" for n in range(50)})
    assert "too many members" in refused(store, paths, data, Limits(members_max=20))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"x": b"y"},
        {"manifest.json": b"{}"},
        {"manifest.json": b'[{"Config": 1}]'},
        {"manifest.json": b'[{"Config": "nope", "Layers": []}]'},
        {"manifest.json": b"[" * 100_000},
        {"manifest.json": b" " * (5 << 20)},
        {"index.json": b"[]", "oci-layout": LAYOUT},
        {"index.json": b'{"schemaVersion":2,"manifests":[{}]}', "oci-layout": LAYOUT},
    ],
    ids=range(9),
)
def test_archive_that_makes_no_sense_is_one_clear_error(
    store: ImageStore, paths: Paths, members: dict[str, bytes]
) -> None:
    assert refused(store, paths, archive(members))


@pytest.mark.parametrize("cut", [1, 511, 1000, 4000])
def test_archive_that_ends_early_is_refused(
    store: ImageStore, paths: Paths, made: images.MadeImage, cut: int
) -> None:
    data = archive(layout_members(made, **NAME))
    assert refused(store, paths, data[:cut])


def test_index_that_leads_to_itself_ends(store: ImageStore, paths: Paths) -> None:
    # no document can hold its own digest; deep nesting is what is left
    members: dict[str, bytes] = {}
    inner = b'{"schemaVersion":2,"manifests":[]}'
    for _ in range(8):
        entry = {"mediaType": INDEX_OCI, "digest": digest_of(inner), "size": len(inner)}
        members[f"blobs/sha256/{images.sha256(inner)}"] = inner
        inner = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    members |= {"index.json": inner, "oci-layout": LAYOUT}
    assert "nested too deeply" in refused(store, paths, archive(members))


def test_any_damage_is_an_image_or_one_error(
    store: ImageStore, paths: Paths, made: images.MadeImage
) -> None:
    data = bytearray(archive(layout_members(made, **NAME)))
    for place in range(0, len(data), 777):
        changed = bytes(data[:place]) + bytes([data[place] ^ 0x41]) + bytes(data[place + 1 :])
        with contextlib.suppress(OrchestraError):
            put(store, paths, changed)
        assert check_store(paths) == []
