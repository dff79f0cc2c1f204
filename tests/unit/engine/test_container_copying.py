"""Where a copy goes, and that nothing on the way leads it elsewhere."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestra.engine.container.copying import (
    Arrangement,
    Destination,
    Side,
    archive_in,
    archive_out,
    arrange,
    cleaned,
    copy_in,
    copy_out,
    inside,
    open_source,
    split,
)
from orchestra.errors import ContainerError

ME = (os.getuid(), os.getgid())


@pytest.mark.parametrize(
    ("path", "result", "parts"),
    [
        ("a", "/a", ("/", "a")),
        ("/a/b", "/a/b", ("/a", "b")),
        ("/a/b/", "/a/b/", ("/a", "b")),
        ("/a/b/.", "/a/b/.", ("/a/b", ".")),
        ("//a//./b", "/a/b", ("/a", "b")),
        ("/a/../..", "/.", ("/", ".")),
        ("", "/.", ("/", ".")),
        ("/", "/.", ("/", ".")),
        (".", "/.", ("/", ".")),
    ],
)
def test_paths_are_cleaned_and_split(path: str, result: str, parts: tuple[str, str]) -> None:
    assert cleaned(path) == result
    assert split(result) == parts


def test_a_relative_path_of_this_machine_counts_from_the_working_directory() -> None:
    assert cleaned("../x/", "/home/me") == "/home/x/"
    assert cleaned(".", "/home/me") == "/home/me/."


DIRECTORY = Destination(path="/d", exists=True, is_directory=True)
FILE = Destination(path="/f", exists=True)


@pytest.mark.parametrize(
    ("name", "is_directory", "destination", "expected"),
    [
        ("file", False, DIRECTORY, Arrangement("/d", "file")),
        ("tree", True, DIRECTORY, Arrangement("/d", "tree")),
        (".", True, DIRECTORY, Arrangement("/d", ".")),
        ("file", False, FILE, Arrangement("/", "f")),
        ("file", False, Destination(path="/x/new"), Arrangement("/x", "new")),
        ("tree", True, Destination(path="/x/new"), Arrangement("/x", "new")),
        ("tree", True, Destination(path="/x/new/"), Arrangement("/x", "new")),
        (".", True, Destination(path="/x/new"), Arrangement("/x", "new")),
    ],
)
def test_arrangements_of_docker_cp(
    name: str, is_directory: bool, destination: Destination, expected: Arrangement
) -> None:
    assert arrange(name, is_directory=is_directory, destination=destination) == expected


def test_arrangements_that_docker_cp_refuses() -> None:
    with pytest.raises(ContainerError, match="it is a file"):
        arrange("tree", is_directory=True, destination=FILE)
    with pytest.raises(ContainerError, match="no such directory"):
        arrange("file", is_directory=False, destination=Destination(path="/new/"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's root."""
    made = tmp_path / "root"
    for name in ("etc", "tmp", "src/deep"):
        (made / name).mkdir(parents=True)
    (made / "src/file").write_text("one\n")
    (made / "src/deep/file").write_text("two\n")
    (made / "src/link").symlink_to("/etc")
    return made


@pytest.fixture
def side(root: Path) -> Iterator[Side]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield inside(fd, "web")
    os.close(fd)


def out(side: Side, source: str, target: Path, *, follow: bool = False) -> None:
    copy_out(side, source, str(target), follow=follow, owner=ME)


def into(side: Side, source: Path, target: str, *, follow: bool = False) -> None:
    copy_in(side, str(source), target, follow=follow, owner=ME)


def reader(pieces: Iterator[bytes]) -> Callable[[int], bytes]:
    """Return what reads piece by piece, as from a pipe."""
    return lambda _: next(pieces, b"")


def listing(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_tree_comes_under_its_own_name_or_a_new_one(side: Side, tmp_path: Path) -> None:
    out(side, "/src", tmp_path / "new")
    assert listing(tmp_path / "new") == {"file", "deep", "deep/file", "link"}
    assert str((tmp_path / "new/link").readlink()) == "/etc"
    out(side, "/src", tmp_path / "new")
    assert (tmp_path / "new/src/deep/file").read_text() == "two\n"
    (tmp_path / "flat").mkdir()
    out(side, "/src/.", tmp_path / "flat")
    assert listing(tmp_path / "flat") == {"file", "deep", "deep/file", "link"}


def test_a_directory_and_a_file_never_take_each_others_place(side: Side, tmp_path: Path) -> None:
    (tmp_path / "there/file/below").mkdir(parents=True)
    (tmp_path / "there/deep").write_text("mine")
    for source in ("/src/file", "/src/deep", "/src/."):
        with pytest.raises(ContainerError, match="cannot copy to"):
            out(side, source, tmp_path / "there")
    assert (tmp_path / "there/deep").read_text() == "mine"
    assert (tmp_path / "there/file/below").is_dir()


def test_a_link_of_this_machine_below_the_target_is_not_written_through(
    side: Side, tmp_path: Path
) -> None:
    (tmp_path / "there/src").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "there/src/deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ContainerError):
        out(side, "/src", tmp_path / "there")
    assert listing(tmp_path / "elsewhere") == set()


@pytest.mark.parametrize("place", ["/tmp/link", "/tmp/link/new", "/tmp/dots"])
def test_links_count_from_the_containers_root(
    side: Side, root: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "victim").mkdir()
    (root / "tmp/link").symlink_to(tmp_path / "victim")
    (root / "tmp/dots").symlink_to("../../../../../../../.." + str(tmp_path / "victim/new"))
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ContainerError):
        into(side, tmp_path / "mine", place)
    (root / str(tmp_path)[1:] / "victim").mkdir(parents=True)
    into(side, tmp_path / "mine", place)
    assert listing(tmp_path / "victim") == set()
    assert len(listing(root / str(tmp_path)[1:] / "victim")) == 1


def test_an_archive_cannot_leave_its_directory(side: Side, root: Path, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        link = tarfile.TarInfo("escape")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("escape/planted"))
    with pytest.raises(ContainerError, match="escape/planted"):
        archive_in(side, reader(iter([packed.getvalue()])), "/tmp", owner=ME)
    assert not (tmp_path / "planted").exists()

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../planted"))
    with pytest.raises(ContainerError, match="leaves the directory"):
        archive_in(side, reader(iter([packed.getvalue()])), "/tmp", owner=ME)


def test_what_an_image_would_call_a_whiteout_is_a_file_like_any_other(
    side: Side, root: Path, tmp_path: Path
) -> None:
    (tmp_path / ".wh.etc").write_text("x")
    into(side, tmp_path / ".wh.etc", "/")
    assert (root / ".wh.etc").read_text() == "x"
    assert (root / "etc").is_dir()


def test_a_damaged_archive_is_told(side: Side) -> None:
    with pytest.raises(ContainerError, match="cannot unpack the archive"):
        archive_in(side, reader(iter([b"x" * 1024])), "/tmp", owner=ME)
    with pytest.raises(ContainerError, match="is no directory"):
        archive_in(side, reader(iter([b""])), "/src/file", owner=ME)


def test_the_archive_is_what_tar_reads(side: Side, root: Path) -> None:
    os.link(root / "src/file", root / "src/hard")
    pieces: list[bytes] = []
    archive_out(side, "/src", lambda data: pieces.append(bytes(data)), follow=False)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        assert archive.getnames() == [
            "src",
            "src/deep",
            "src/deep/file",
            "src/file",
            "src/hard",
            "src/link",
        ]
        assert archive.getmember("src/hard").linkname == "src/file"
        content = archive.extractfile("src/deep/file")
        assert content is not None
        assert content.read() == b"two\n"


def packed(*members: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for member in members:
            archive.addfile(member)
    return made.getvalue()


def swap_for_link(directory: Path, target: Path) -> None:
    """Put a link where a directory was, as a process in the container might at any moment."""
    directory.rename(directory.with_name("moved"))
    directory.symlink_to(target)


def test_a_directory_that_turns_into_a_link_is_not_written_through(
    side: Side, root: Path, tmp_path: Path
) -> None:
    """CVE-2018-15664: between two members, and between the directory's own and its first file's."""
    (tmp_path / "victim").mkdir()
    directory = tarfile.TarInfo("sub")
    directory.type, directory.mode = tarfile.DIRTYPE, 0o755
    whole = packed(directory, tarfile.TarInfo("sub/planted"))

    def pieces() -> Iterator[bytes]:
        yield whole[:512]
        swap_for_link(root / "tmp/sub", tmp_path / "victim")
        yield whole[512:]

    with pytest.raises(ContainerError, match="no such file"):
        archive_in(side, reader(pieces()), "/tmp", owner=ME)
    assert listing(tmp_path / "victim") == set()
    assert listing(root / "tmp") == {"sub", "moved"}


def test_a_directory_that_turns_into_a_link_is_not_read_through(
    side: Side, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/secret").write_text("of the host")
    with open_source(side, "/src", follow=False) as tree:
        names = []
        for member, _ in tree.entries():
            names.append(member.name)
            if member.name == "src/deep/":
                swap_for_link(root / "src/deep", tmp_path / "victim")
    assert names == ["src/", "src/deep/", "src/deep/file", "src/file", "src/link"]


def test_a_file_that_turns_into_a_fifo_is_read_as_what_it_was(
    side: Side, root: Path, tmp_path: Path
) -> None:
    with open_source(side, "/src/file", follow=False) as tree:
        (root / "src/file").unlink()
        os.mkfifo(root / "src/file")
        ((member, content),) = ((each, b"".join(pieces)) for each, pieces in tree.entries())
    assert (member.kind, content) == (b"0", b"one\n")


def test_packed_archives_are_unpacked(side: Side, root: Path) -> None:
    data = gzip.compress(packed(tarfile.TarInfo("inside")))
    archive_in(side, reader(iter([data[:10], data[10:]])), "/tmp", owner=ME)
    assert listing(root / "tmp") == {"inside"}
    with pytest.raises(ContainerError, match="neither gzip"):
        archive_in(side, reader(iter([b"BZh91AY"])), "/tmp", owner=ME)
    with pytest.raises(ContainerError, match="compressed data is damaged"):
        archive_in(side, reader(iter([data[:20]])), "/tmp", owner=ME)


@pytest.mark.parametrize(("owner", "mode"), [(ME, 0o755), (None, 0o6755)], ids=["plain", "archive"])
def test_what_comes_out_runs_as_its_owner_only_with_its_owner(
    tmp_path: Path, owner: tuple[int, int] | None, mode: int
) -> None:
    (tmp_path / "root").mkdir()
    program = tmp_path / "root/program"
    program.write_text("")
    program.chmod(0o6755)
    root = os.open(tmp_path / "root", os.O_PATH)
    try:
        copy_out(inside(root, "c"), "/program", str(tmp_path / "here"), follow=False, owner=owner)
    finally:
        os.close(root)
    assert (tmp_path / "here").stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.getuid() != 0, reason="makes a device")
def test_no_device_comes_out(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    os.mknod(tmp_path / "root/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    root = os.open(tmp_path / "root", os.O_PATH)
    try:
        with pytest.raises(ContainerError, match="devices are not brought out of containers"):
            copy_out(inside(root, "c"), "/null", str(tmp_path / "here"), follow=False, owner=None)
    finally:
        os.close(root)
    assert not (tmp_path / "here").exists()
