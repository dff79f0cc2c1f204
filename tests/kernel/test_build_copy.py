"""What COPY and ADD put where, over real layers: needs root for owners and whiteouts."""

from __future__ import annotations

import io
import os
import stat
import sys
import tarfile
from pathlib import Path

import pytest
from support.builds import Ground

from orchestra.engine.build.context import open_context
from orchestra.engine.build.ops import do_copy, make_directory, prepare_copy
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.vertices import ContextSource, CopyVertex, MakeDirectoryVertex
from orchestra.errors import BuildError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.kernel


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def whiteout(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def test_a_file_goes_into_a_directory_that_is_there(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"dir": None})
    ground.copy("a", "/dir")
    assert ground.made() == {"dir": None, "dir/a": "1"}


def test_a_file_gets_a_new_name_where_nothing_is(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.copy("a", "/new/name")
    assert ground.made() == {"new": None, "new/name": "1"}


def test_several_sources_need_no_trailing_slash_where_a_directory_is(ground):
    ground.fill(ground.context, {"package.json": "1", "package-lock.json": "2", "x.json": "3"})
    ground.fill(ground.top, {"app": None})
    ground.copy("package*.json", "/app")
    assert ground.made() == {"app": None, "app/package-lock.json": "2", "app/package.json": "1"}


def test_a_directory_gives_its_contents(ground):
    ground.fill(ground.context, {"d/a": "1", "d/e/b": "2"})
    ground.copy("d", "/x")
    assert ground.made() == {"x": None, "x/a": "1", "x/e": None, "x/e/b": "2"}


def test_wildcards_that_match_nothing_copy_nothing(ground):
    assert ground.copy("*.none", "/x/") == ()
    assert ground.made() == {}


def test_wildcards_match_directories_too(ground):
    ground.fill(ground.context, {"d1/a": "1", "d2/b": "2", "other/c": "3"})
    ground.copy("d*", "/x/")
    assert ground.made() == {"x": None, "x/a": "1", "x/b": "2"}


@pytest.mark.parametrize("source", ["out", "up/passwd", "deep/up/etc/passwd", "../../etc/passwd"])
def test_nothing_outside_the_context_can_be_copied(ground, source):
    ground.fill(
        ground.context,
        {"out": ("/etc/passwd",), "up": ("/etc",), "deep/up": ("../../../../..",)},
    )
    with pytest.raises(BuildError, match="not there"):
        ground.copy(source, "/x")


def test_links_lead_to_the_context_and_stay_links_inside_directories(ground):
    ground.fill(
        ground.context, {"real": "1", "top": ("/real",), "d/l": ("../real",), "d/out": ("/etc",)}
    )
    ground.copy("top", "/x/")
    ground.copy("d", "/y")
    assert ground.made() == {
        "x": None,
        "x/top": "1",
        "y": None,
        "y/l": ("../real",),
        "y/out": ("/etc",),
    }


def test_the_ignore_file_hides_and_brings_back(ground):
    ground.fill(
        ground.context,
        {
            ".dockerignore": "node_modules\n*.md\n!keep.md\n!node_modules/mine/*\n",
            "node_modules/a": "1",
            "node_modules/mine/b": "2",
            "keep.md": "3",
            "no.md": "4",
            "link": ("no.md",),
        },
    )
    ground.copy(".", "/x")
    assert set(ground.made()) == {
        "x", "x/.dockerignore", "x/keep.md", "x/link", "x/node_modules", "x/node_modules/mine",
        "x/node_modules/mine/b",
    }  # fmt: skip
    for hidden in ("no.md", "node_modules/a", "link"):
        with pytest.raises(BuildError, match="not there"):
            ground.copy(hidden, "/y")


def test_the_dockerfiles_own_ignore_file_wins(ground):
    ground.fill(
        ground.context,
        {".dockerignore": "a", "web.Dockerfile.dockerignore": "b", "a": "1", "b": "2"},
    )
    tree = open_context(str(ground.context), str(ground.context / "web.Dockerfile"))
    ground.copy("[ab]", "/x/", tree=tree)
    assert set(ground.made()) == {"x", "x/a"}


def test_excludes_count_from_the_source(ground):
    ground.fill(
        ground.context, {"d/a.md": "1", "d/e/b.md": "2", "d/e/c": "3", "x.md": "4", "x.c": "5"}
    )
    ground.copy("d", "/d", excludes=("**/*.md",))
    ground.copy("x*", "/x/", excludes=("*.md",))
    assert set(ground.made()) == {"d", "d/e", "d/e/c", "x", "x/x.c"}


def test_destinations_follow_links_inside_the_root_only(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"srv/app": None, "opt": ("/srv",), "evil": ("/../../../../tmp/e",)})
    ground.copy("a", "/opt/app/")
    ground.copy("a", "/evil/x")
    assert ground.made() == {
        "srv": None,
        "srv/app": None,
        "srv/app/a": "1",
        "tmp": None,
        "tmp/e": None,
        "tmp/e/x": "1",
    }
    assert not Path("/tmp/e").exists()


def test_a_removed_directory_of_a_lower_layer_is_not_there(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"gone/x": "old", "dead": ("/srv",)})
    whiteout(ground.top / "gone")
    whiteout(ground.top / "dead")
    ground.copy("a", "/gone")
    ground.copy("a", "/dead/b")
    assert ground.made() == {"dead": None, "dead/b": "1", "gone": "1"}


def test_an_opaque_directory_hides_what_is_below(ground):
    ground.fill(ground.bottom, {"d/old": "1", "d/l": ("/x",)})
    ground.fill(ground.top, {"d/new": "2"})
    os.setxattr(ground.top / "d", "trusted.overlay.opaque", b"y")
    tree = Tree(ground.lower)
    with tree.directory(("d",)) as directory:
        assert [item.name for item in directory.entries()] == ["new"]
    assert not tree.locate("/d/old").exists
    assert tree.read("/d/new", 10) == b"2"


def test_layers_are_merged_for_reading(ground):
    ground.fill(ground.bottom, {"d/a": "bottom", "d/b": "bottom", "d/c": "bottom"})
    ground.fill(ground.top, {"d/b": "top", "d/e/f": "top"})
    whiteout(ground.top / "d" / "c")
    ground.copy("/d", "/copy", tree=Tree(ground.lower), owners=True)
    assert ground.made() == {
        "copy": None,
        "copy/a": "bottom",
        "copy/b": "top",
        "copy/e": None,
        "copy/e/f": "top",
    }


def test_directories_on_the_way_keep_mode_owner_and_time(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"d/e": None})
    os.chown(ground.bottom / "d", 7, 8)
    (ground.bottom / "d").chmod(0o1711)
    os.utime(ground.bottom / "d", (1000, 1000))
    os.utime(ground.bottom / "d/e", (1000, 1000))
    ground.copy("a", "/d/e/f/a", chown="5:6", chmod="600")
    assert (ground.upper / "d/e").stat().st_mtime > 1000
    status = (ground.upper / "d").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o1711)
    assert status.st_mtime == 1000
    new = (ground.upper / "d/e/f").stat()
    assert (new.st_uid, new.st_gid, stat.S_IMODE(new.st_mode)) == (5, 6, 0o600)


def test_a_destination_takes_the_time_of_the_directory_that_is_copied(ground):
    ground.fill(ground.context, {"d/s/a": "1"})
    ground.fill(ground.bottom, {"there/old": "1"})
    os.utime(ground.context / "d", (1000, 1000))
    ground.copy("d", "/new")
    ground.copy("d", "/there")
    ground.copy(".", "/whole")
    times = {name: (ground.upper / name).stat().st_mtime for name in ("new", "there", "whole/d")}
    assert set(times.values()) == {1000}
    assert (ground.upper / "whole").stat().st_mtime > 1000


def test_owners_are_root_from_a_context_and_kept_from_a_stage(ground):
    ground.fill(ground.context, {"a": "1"})
    os.chown(ground.context / "a", 12, 13)
    ground.fill(ground.bottom, {"b": "1"})
    os.chown(ground.bottom / "b", 12, 13)
    ground.copy("a", "/x/a")
    ground.copy("/b", "/x/b", tree=Tree(ground.lower), owners=True)
    owners = [(path.stat().st_uid, path.stat().st_gid) for path in sorted(ground.upper.glob("x/*"))]
    assert owners == [(0, 0), (12, 13)]


@pytest.mark.parametrize(
    ("chown", "owner"),
    [
        ("55", (55, 55)),
        ("55:66", (55, 66)),
        ("node", (1000, 1001)),
        ("node:staff", (1000, 50)),
        ("7:staff", (7, 50)),
        ("root", (0, 0)),
    ],
)
def test_chown_by_name_is_the_images(ground, chown, owner):
    ground.fill(ground.context, {"a": "1"})
    passwd = "broken\nnode:x:1000:1001::/home/node:/bin/sh\n"
    ground.fill(ground.bottom, {"usr/etc/passwd": passwd, "usr/etc/group": "staff:x:50:\n"})
    ground.fill(ground.bottom, {"etc": ("usr/etc",)})
    ground.copy("a", "/a", chown=chown)
    status = (ground.upper / "a").stat()
    assert (status.st_uid, status.st_gid) == owner


@pytest.mark.parametrize("chown", ["nobody-here", "0:nogroup", "-1", "4294967295"])
def test_unknown_owners_are_refused(ground, chown):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"etc/passwd": ("/proc/self/root/etc/passwd",)})
    with pytest.raises(BuildError, match="in the image"):
        ground.copy("a", "/a", chown=chown)


@pytest.mark.parametrize(
    ("chmod", "file", "directory"),
    [
        ("755", 0o755, 0o755),
        ("4711", 0o4711, 0o4711),
        ("go-rwx,u+X", 0o600, 0o700),
        ("a=rX", 0o444, 0o555),
        ("g=u,o+t", 0o664, 0o775),
        ("u-o,a+t", 0o1244, 0o1255),
    ],
)
def test_chmod(ground, chmod, file, directory):
    ground.fill(ground.context, {"d/a": "1"})
    ground.fill(ground.context, {"d/s/b": "1"})
    (ground.context / "d" / "s").chmod(0o755)
    (ground.context / "d" / "a").chmod(0o644)
    ground.copy("d", "/d", chmod=chmod)
    assert stat.S_IMODE((ground.upper / "d/a").stat().st_mode) == file
    assert stat.S_IMODE((ground.upper / "d/s").stat().st_mode) == directory
    new = directory if chmod.isdecimal() else 0o755
    assert stat.S_IMODE((ground.upper / "d").stat().st_mode) == new


CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def test_capabilities_are_those_of_stages_and_not_of_contexts(ground):
    ground.fill(ground.context, {"a": "1"})
    os.setxattr(ground.context / "a", "security.capability", CAPABILITY)
    ground.copy("a", "/a")
    assert os.listxattr(ground.upper / "a") == []
    ground.copy("a", "/b", tree=Tree((str(ground.context),)), owners=True)
    assert os.getxattr(ground.upper / "b", "security.capability") == CAPABILITY


def test_setuid_times_and_hard_links_survive(ground):
    ground.fill(ground.context, {"d/a": "x" * 100_000})
    source = ground.context / "d" / "a"
    source.chmod(0o4755)
    os.setxattr(source, "security.capability", CAPABILITY)
    os.link(source, ground.context / "d" / "b")
    os.utime(source, ns=(10**18, 10**18 + 1))
    ground.copy("d", "/d")
    made = ground.upper / "d" / "a"
    assert stat.S_IMODE(made.stat().st_mode) == 0o4755
    assert made.stat().st_mtime_ns == 10**18 + 1
    assert made.stat().st_ino == (ground.upper / "d" / "b").stat().st_ino
    assert made.read_text() == source.read_text()


def test_times_are_clamped_to_the_epoch(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.copy("a", "/n/a", epoch=1000 * 10**9)
    assert {path.stat().st_mtime for path in ground.upper.rglob("*")} == {1000}


@pytest.mark.parametrize(
    ("files", "lower", "words"),
    [
        ({"a": "1"}, {"d/a/x": ""}, ("a", "/d/")),
        ({"d/a": "1"}, {"x": ""}, ("d", "/x")),
        ({"d/e/a": "1"}, {"x/e": ""}, ("d", "/x")),
        ({"a": "1"}, {"x": ""}, ("a", "/x/")),
        ({"a": "1"}, {"x": ""}, ("a", "/x/y")),
    ],
)
def test_files_and_directories_do_not_replace_each_other(ground, files, lower, words):
    ground.fill(ground.context, files)
    ground.fill(ground.bottom, lower)
    with pytest.raises(BuildError):
        ground.copy(*words)


def test_a_file_replaces_files_and_links(ground):
    ground.fill(ground.context, {"d/a": "new", "d/b": "new"})
    ground.fill(ground.bottom, {"x/a": "old", "x/b": ("/elsewhere",)})
    ground.copy("d", "/x")
    ground.copy("d", "/x")
    assert ground.made() == {"x": None, "x/a": "new", "x/b": "new"}


def test_a_source_that_changes_meanwhile_is_told(ground):
    ground.fill(ground.context, {"a": "1"})
    vertex = CopyVertex(
        add=False, sources=("a",), documents=(), source=ContextSource(), destination="/a"
    )
    tree = open_context(str(ground.context), "Dockerfile")
    plan = prepare_copy(vertex, tree, owners=False, fetched={}, scratch=ground.path)
    (ground.context / "a").write_text("22")
    with pytest.raises(BuildError, match="changed while"):
        do_copy(vertex, plan, str(ground.upper), ground.lower, None)


def test_a_directory_swapped_for_a_link_leads_nowhere(ground):
    ground.fill(ground.context, {"d/passwd": "1"})
    vertex = CopyVertex(
        add=False, sources=("d",), documents=(), source=ContextSource(), destination="/a"
    )
    tree = open_context(str(ground.context), "Dockerfile")
    plan = prepare_copy(vertex, tree, owners=False, fetched={}, scratch=ground.path)
    (ground.context / "d").rename(ground.context / "old")
    (ground.context / "d").symlink_to("/etc")
    with pytest.raises(BuildError):
        do_copy(vertex, plan, str(ground.upper), ground.lower, None)
    assert "a/passwd" not in ground.made()


def test_fifos_do_not_hang_and_sockets_are_left_out(ground):
    (ground.context / "d").mkdir()
    os.mkfifo(ground.context / "d" / "fifo")
    os.mknod(ground.context / "d" / "sock", stat.S_IFSOCK | 0o600)
    ground.copy("d", "/d")
    assert stat.S_ISFIFO((ground.upper / "d/fifo").stat().st_mode)
    assert not (ground.upper / "d/sock").exists()


def test_devices_are_copied(ground):
    (ground.context / "d").mkdir()
    os.mknod(ground.context / "d" / "mem", stat.S_IFCHR | 0o640, os.makedev(1, 1))
    os.mknod(ground.context / "d" / "loop", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    archive(
        ground.context / "x.tar", {"fifo": (tarfile.FIFOTYPE, ""), "dev": (tarfile.CHRTYPE, "")}
    )
    ground.copy("d", "/d")
    ground.copy("x.tar", "/x", add=True)
    found = {path.name: path.stat() for path in ground.upper.glob("[dx]/*")}
    assert stat.S_ISFIFO(found["fifo"].st_mode)
    assert stat.S_ISCHR(found["dev"].st_mode)
    assert found["mem"].st_rdev == os.makedev(1, 1)
    assert found["mem"].st_mode == stat.S_IFCHR | 0o640
    assert found["loop"].st_rdev == os.makedev(7, 0)
    assert stat.S_ISBLK(found["loop"].st_mode)


def test_digests_tell_contents_modes_and_names_not_times(ground):
    ground.fill(ground.context, {"d/a": "1", "d/b": "2"})
    first = ground.copy("d", "/d")
    os.utime(ground.context / "d" / "a", (1, 1))
    os.chown(ground.context / "d" / "a", 5, 5)
    assert ground.copy("d", "/d") == first
    seen = {first}
    (ground.context / "d" / "a").chmod(0o755)
    seen.add(ground.copy("d", "/d"))
    (ground.context / "d" / "a").write_text("3")
    seen.add(ground.copy("d", "/d"))
    (ground.context / "d" / "b").rename(ground.context / "d" / "c")
    seen.add(ground.copy("d", "/d"))
    (ground.context / "d" / "c").unlink()
    seen.add(ground.copy("d", "/d"))
    assert len(seen) == 5


def test_documents_become_files(ground):
    ground.copy("/x/", documents=(("a.conf", "1\n"), ("b", "2")))
    assert ground.made() == {"x": None, "x/a.conf": "1\n", "x/b": "2"}
    with pytest.raises(BuildError, match="no name"):
        ground.copy("/x/", documents=(("../a", "1"),))


def archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.mtime, info.uid, info.gid = 1000, 3, 4
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o750
                tar.addfile(info)
            elif isinstance(content, tuple):
                info.type, info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content.encode()))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_add_unpacks_an_archive(ground, mode):
    members = {"d/": None, "d/a": "1", "l": (tarfile.SYMTYPE, "d/a"), "h": (tarfile.LNKTYPE, "d/a")}
    archive(ground.context / "x.tar", members, mode)
    ground.copy("x.tar", "/x", add=True)
    assert ground.made() == {"x": None, "x/d": None, "x/d/a": "1", "x/h": "1", "x/l": ("d/a",)}
    status = (ground.upper / "x/d").stat()
    assert (status.st_uid, status.st_gid, status.st_mtime) == (3, 4, 1000)
    ground.copy("x.tar", "/y/", add=False)
    assert (ground.upper / "y/x.tar").is_file()


def test_add_unpacks_zstandard(ground):
    archive(ground.context / "plain", {"a": "1"}, "w")
    packed = zstd.compress((ground.context / "plain").read_bytes())
    (ground.context / "x.tar.zst").write_bytes(packed)
    ground.copy("x.tar.zst", "/x", add=True)
    assert ground.made() == {"x": None, "x/a": "1"}


def test_add_of_what_is_no_archive_copies(ground):
    ground.fill(ground.context, {"a": "text", "empty": ""})
    ground.copy("a", "empty", "/x/", add=True)
    assert ground.made() == {"x": None, "x/a": "text", "x/empty": ""}


@pytest.mark.parametrize(
    "members",
    [
        {"../a": "1"},
        {"a/../../b": "1"},
        {"h": (tarfile.LNKTYPE, "../../../etc/passwd")},
        {"h": (tarfile.LNKTYPE, "nothing")},
    ],
)
def test_add_refuses_members_that_lead_out(ground, members):
    archive(ground.context / "x.tar", members)
    with pytest.raises(BuildError, match="cannot unpack"):
        ground.copy("x.tar", "/x", add=True)


def test_add_follows_links_of_the_archive_inside_the_root_only(ground):
    victim = ground.path / "victim"
    victim.mkdir()
    archive(ground.context / "x.tar", {"l": (tarfile.SYMTYPE, str(victim)), "l/f": "1"})
    ground.copy("x.tar", "/", add=True)
    assert list(victim.iterdir()) == []
    assert (ground.upper / str(victim).lstrip("/") / "f").read_text() == "1"


def test_workdir_makes_what_is_missing_for_its_user(ground):
    ground.fill(ground.bottom, {"a": None, "etc/passwd": "u:x:9:8::/:/\n", "f": "1"})
    make_directory(
        MakeDirectoryVertex(path="/a/b/c", user="u"), str(ground.upper), ground.lower, None
    )
    owners = {n: (ground.upper / n).stat().st_uid for n in ("a", "a/b", "a/b/c")}
    assert owners == {"a": 0, "a/b": 9, "a/b/c": 9}
    with pytest.raises(BuildError, match="not a directory"):
        make_directory(
            MakeDirectoryVertex(path="/f", user=""), str(ground.upper), ground.lower, None
        )
    other = ground.path / "other"
    other.mkdir()
    make_directory(MakeDirectoryVertex(path="/a", user=""), str(other), ground.lower, None)
    assert list(other.iterdir()) == []


def test_descriptors_are_closed(ground):
    ground.fill(ground.context, {"d/a": "1", "d/e/b": "2", "l": ("d/a",)})
    ground.fill(ground.bottom, {"x/y": None})
    before = len(list(Path("/proc/self/fd").iterdir()))
    ground.copy("d", "l", "/x/y/")
    with pytest.raises(BuildError):
        ground.copy("none", "/x/y/")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
