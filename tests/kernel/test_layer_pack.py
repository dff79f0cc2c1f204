"""What a container wrote in its overlay becomes a layer, and a layer becomes the same again."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from support import images

from orchestra.engine.image.compression import decompress
from orchestra.engine.image.flavour import flavour_of
from orchestra.engine.image.layer import Limits, pack, unpack
from orchestra.engine.image.tar import HARD_LINK, Member, TarReader
from orchestra.errors import ImageError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import Layer

pytestmark = pytest.mark.kernel

FLAVOUR = flavour_of(0)


def members(blob: Path) -> dict[str, Member]:
    with blob.open("rb") as file:
        reader = TarReader(decompress(file.read))
        return {member.name: member for member in reader.members()}


def pack_to(directory: Path, blob: Path, mtime_max: int | None = None) -> Layer:
    return pack(str(directory), blob, mtime_max=mtime_max, flavour=FLAVOUR)


def everything(root: Path) -> dict[str, tuple[object, ...]]:
    """Describe a tree: kind, mode, owner, times, links, content, attributes."""
    described = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = path.readlink() if path.is_symlink() else None
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else content
        attributes = (
            {} if path.is_symlink() else {x: os.getxattr(path, x) for x in os.listxattr(path)}
        )
        whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
        mtime = 0 if whiteout else int(status.st_mtime)  # an archive says not when that was made
        described[str(path.relative_to(root))] = (
            status.st_mode, status.st_uid, status.st_gid, mtime, status.st_rdev,
            status.st_nlink, content, tuple(attributes.items()),
        )  # fmt: skip
    return described


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with one of everything that a layer can say."""
    blob = images.layer(
        [
            images.directory("d/", 0o1777, uid=5, gid=6, mtime_ns=1_600_000_000 * 10**9),
            images.file("d/" + "long" * 60, b"x" * 1500, mode=0o4711, uid=3_000_000_000),
            images.file("d/attr", b"", xattrs={"user.a": b"\0\xff\n"}),
            images.Entry(Member(name="d/again", kind=HARD_LINK, link="d/attr")),
            images.link("d/link", "/over/there"),
            images.Entry(Member(name="d/null", kind=b"3", device=(1, 3), mode=0o666)),
            images.Entry(Member(name="d/fifo", kind=b"6")),
            images.file("d/.wh.gone"),
            images.directory("o/"),
            images.file("o/.wh..wh..opq"),
            images.file("o/ü\udcff", b"name that is no text"),
        ]
    )
    root = tmp_path / "tree"
    root.mkdir()
    unpack(io.BytesIO(blob.data).read, str(root), blob.layer, limits=Limits(), flavour=FLAVOUR)
    return root


def test_packed_tree_comes_out_the_same(tree: Path, tmp_path: Path) -> None:
    blob, other = tmp_path / "blob", tmp_path / "other"
    layer = pack_to(tree, blob)
    assert blob.stat().st_size == layer.descriptor.size
    other.mkdir()
    with blob.open("rb") as file:
        unpack(file.read, str(other), layer, limits=Limits(), flavour=FLAVOUR)
    assert everything(other) == everything(tree)
    found = members(blob)
    assert {"d/.wh.gone", "o/.wh..wh..opq"} <= found.keys()
    assert list(found) == sorted(found, key=lambda name: name.replace(".wh.g", "g"))


def test_same_content_packs_alike(tree: Path, tmp_path: Path) -> None:
    os.utime(tree / "d/attr", (1_650_000_000, 1_650_000_000))
    first = pack_to(tree, tmp_path / "a", mtime_max=1_000_000_000)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", tree, copy], check=True)
    os.utime(copy / "d/attr", (1_700_000_000, 1_700_000_000))
    assert pack_to(copy, tmp_path / "b", mtime_max=1_000_000_000) == first
    times = {member.mtime_ns for member in members(tmp_path / "b").values()}
    assert max(times) <= 1_000_000_000 * 10**9


def test_tar_reads_it_too(tree: Path, tmp_path: Path) -> None:
    pack_to(tree, tmp_path / "blob")
    listing = subprocess.run(
        ["tar", "-tzf", tmp_path / "blob"], capture_output=True, check=True
    ).stdout.splitlines()
    assert b"d/attr" in listing
    assert len(listing) == len(members(tmp_path / "blob"))


def test_links_are_packed_as_links_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "door").symlink_to(tmp_path)
    pack_to(root, tmp_path / "blob")
    found = members(tmp_path / "blob")
    assert {name: member.link for name, member in found.items()} == {
        "door": str(tmp_path),
        "link": str(tmp_path / "secret"),
    }
    assert all(member.size == 0 for member in found.values())


def test_what_a_layer_cannot_say_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "moved").mkdir(parents=True)
    os.setxattr(root / "moved", "trusted.overlay.redirect", b"/old")
    with pytest.raises(ImageError, match="redirects"):
        pack_to(root, tmp_path / "blob")
    os.removexattr(root / "moved", "trusted.overlay.redirect")
    (root / ".wh.file").touch()
    with pytest.raises(ImageError, match="mark deletions"):
        pack_to(root, tmp_path / "blob")


def test_very_deep_tree_is_refused_and_not_stumbled_over(tmp_path: Path) -> None:
    (tmp_path / "root" / "/".join("d" * 300)).mkdir(parents=True)
    with pytest.raises(ImageError, match="more than 256 directories deep"):
        pack_to(tmp_path / "root", tmp_path / "blob")


def test_sockets_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    os.mknod(root / "socket", 0o140600)
    (root / "file").touch()
    pack_to(root, tmp_path / "blob")
    assert list(members(tmp_path / "blob")) == ["file"]


def test_a_large_layer_is_packed_as_it_is_written(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for number in range(40):
        (source / f"file{number}").write_bytes(os.urandom(1 << 17) + bytes(number << 12))
    blob = tmp_path / "blob"
    layer = pack_to(source, blob)
    data = blob.read_bytes()
    assert (len(data), digest_of(data)) == (layer.descriptor.size, layer.descriptor.digest)
    with blob.open("rb") as file:
        plain = b"".join(decompress(file.read))
    assert digest_of(plain) == layer.diff_id
    assert pack_to(source, blob) == layer
    with blob.open("rb") as file:
        unpack(file.read, str(target), layer, limits=Limits(), flavour=FLAVOUR)
    assert everything(target) == everything(source)


@pytest.mark.parametrize("count", [1, 40])
def test_a_full_disk_is_told(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"file{number}").write_bytes(os.urandom(1 << 18))
    with pytest.raises(OSError, match="No space left"):
        pack_to(tmp_path, Path("/dev/full"))
