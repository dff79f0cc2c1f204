"""Nothing in a layer's archive leaves the layer's directory, and all of it arrives as it was."""

from __future__ import annotations

import io
import os
import stat
import struct
from pathlib import Path

import pytest
from support import images
from support.images import Entry, directory, file, link

from orchestra.engine.image.flavour import Flavour, flavour_of
from orchestra.engine.image.layer import Limits, Unpacked, unpack
from orchestra.engine.image.tar import CHARACTER, FIFO, HARD_LINK, Member
from orchestra.errors import ImageError

pytestmark = pytest.mark.kernel

SECRET = "outside"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that no layer may touch, with a file in it."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text(SECRET)
    (path / "secret").chmod(0o600)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    path.mkdir()
    return path


def apply(root: Path, *entries: Entry, flavour: Flavour | None = None) -> Unpacked:
    blob = images.layer(entries)
    return unpack(
        io.BytesIO(blob.data).read,
        str(root),
        blob.layer,
        limits=Limits(),
        flavour=flavour or flavour_of(0),
    )


def hard_link(name: str, target: str) -> Entry:
    return Entry(Member(name=name, kind=HARD_LINK, link=target))


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(file("../outside/secret", b"x"), id="file"),
        pytest.param(file("a/../../outside/secret", b"x"), id="inside-out"),
        pytest.param(directory("../outside/new"), id="directory"),
        pytest.param(link("../outside/new", "x"), id="symlink"),
        pytest.param(hard_link("mine", "../outside/secret"), id="hard-link-target"),
        pytest.param(hard_link("../outside/new", "a"), id="hard-link-name"),
        pytest.param(file("../outside/.wh.secret"), id="whiteout"),
        pytest.param(file("../.wh.outside"), id="whiteout-of-directory"),
        pytest.param(file("../outside/.wh..wh..opq"), id="opaque"),
        pytest.param(file(".wh.."), id="whiteout-of-dot"),
        pytest.param(file(".wh..."), id="whiteout-of-dot-dot"),
        pytest.param(file(".wh."), id="whiteout-of-nothing"),
    ],
)
def test_climbing_member_is_refused(root: Path, outside: Path, entry: Entry) -> None:
    with pytest.raises(ImageError):
        apply(root, file("a", b"x"), entry)
    assert names(outside) == ["secret"]
    assert (outside / "secret").read_text() == SECRET


def test_absolute_paths_count_from_the_root_of_the_layer(root: Path, outside: Path) -> None:
    apply(root, file(f"{outside}/secret", b"mine"), file("/etc/x", b"y"))
    assert (outside / "secret").read_text() == SECRET
    assert (root / str(outside)[1:] / "secret").read_bytes() == b"mine"
    assert (root / "etc/x").read_bytes() == b"y"


@pytest.mark.parametrize("way", ["../outside", "{outside}", "../../../../../..{outside}"])
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(file("door/secret", b"x"), id="file"),
        pytest.param(directory("door/new/"), id="directory"),
        pytest.param(link("door/new", "x"), id="symlink"),
        pytest.param(file("door/.wh.secret"), id="whiteout"),
        pytest.param(file("door/.wh..wh..opq"), id="opaque"),
        pytest.param(hard_link("door/new", "a"), id="hard-link-name"),
    ],
)
def test_symlink_out_of_the_root_leads_nowhere(
    root: Path, outside: Path, way: str, entry: Entry
) -> None:
    target = way.format(outside=outside)
    apply(root, file("a", b"x"), link("door", target), entry)
    assert names(outside) == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    assert os.listxattr(outside) == []
    assert (outside / "secret").stat().st_nlink == 1


def test_hard_link_through_a_symlink_reaches_nothing_outside(root: Path, outside: Path) -> None:
    with pytest.raises(ImageError, match="mine"):
        apply(root, link("door", str(outside)), hard_link("mine", "door/secret"))
    assert (outside / "secret").stat().st_nlink == 1


def test_hard_link_to_a_symlink_links_the_symlink(root: Path, outside: Path) -> None:
    door = link("door", f"{outside}/secret")
    apply(root, door, hard_link("mine", "door"))
    assert (root / "mine").is_symlink()
    assert (outside / "secret").stat().st_nlink == 1
    apply(root, door, hard_link("mine", "door"), file("mine", b"x"))
    assert (outside / "secret").read_text() == SECRET
    assert (root / "mine").read_bytes() == b"x"
    assert (root / "door").is_symlink()


def test_file_over_a_symlink_replaces_the_symlink(root: Path, outside: Path) -> None:
    apply(root, link("door", f"{outside}/secret"), file("door", b"mine", mode=0o644))
    assert (outside / "secret").read_text() == SECRET
    assert stat.S_IMODE((outside / "secret").stat().st_mode) == 0o600
    assert (root / "door").read_bytes() == b"mine"
    assert not (root / "door").is_symlink()


def test_directory_over_a_symlink_replaces_the_symlink(root: Path, outside: Path) -> None:
    apply(root, link("door", str(outside)), directory("door/", 0o700), file("door/x", b"y"))
    assert names(outside) == ["secret"]
    assert (root / "door/x").read_bytes() == b"y"


def test_symlink_over_a_known_directory_leads_later_members_nowhere(
    root: Path, outside: Path
) -> None:
    """The descriptor of a parent is cached: it must not outlive the name."""
    apply(
        root,
        directory("d/"),
        file("d/x", b"1"),
        link("d", str(outside)),
        file("d/secret", b"2"),
    )
    assert (outside / "secret").read_text() == SECRET


def test_magic_links_are_not_walked(root: Path) -> None:
    with pytest.raises(ImageError):
        apply(root, link("door", "/proc/self/cwd/x/y"), file("door", b"ok"), file("door/z", b""))


def test_setuid_owner_mode_times_and_attributes_arrive(root: Path) -> None:
    capability = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    xattrs = {"user.color": b"blue\0\xff", "security.capability": capability}
    member = {"uid": 70000, "gid": 3_000_000_000, "mtime_ns": 1_600_000_000_000_000_000}
    apply(
        root,
        directory("d/", 0o1777, **member),
        file("d/su", b"x", mode=0o4755, **member),
        file("d/cap", b"x", xattrs=xattrs),
        Entry(Member(name="d/link", kind=b"2", link="su", **member)),
    )
    for name in ("d", "d/su", "d/link"):
        status = (root / name).lstat()
        assert (status.st_uid, status.st_gid) == (70000, 3_000_000_000), name
        assert status.st_mtime == 1_600_000_000, name
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o1777
    assert stat.S_IMODE((root / "d/su").stat().st_mode) == 0o4755
    assert os.getxattr(root / "d/cap", "user.color") == b"blue\0\xff"
    assert os.getxattr(root / "d/cap", "security.capability") == capability


def test_marks_of_the_overlay_are_no_images_to_set(root: Path) -> None:
    """trusted.overlay.redirect would show files of other layers, or hide them."""
    forged = {
        "trusted.overlay.redirect": b"/etc",
        "trusted.overlay.opaque": b"y",
        "user.overlay.opaque": b"y",
        "security.selinux": b"x",
        "trusted.other": b"x",
    }
    apply(root, directory("d/", xattrs=forged), file("f", b"", xattrs=forged))
    assert os.listxattr(root / "d") == []
    assert os.listxattr(root / "f") == []


@pytest.mark.parametrize("device", [(0, 0), (-1, 3), (1 << 20, 0)])
def test_device_that_no_image_may_have_is_refused(root: Path, device: tuple[int, int]) -> None:
    number = b"%07o\0%07o\0" % device if min(device) >= 0 else b"\xff" * 16
    header = bytearray(images.encode_member(Member(name="x", kind=CHARACTER)))
    header[329:345] = number[:16].ljust(16, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    blob = images.layer_of(bytes(header) + bytes(1024))
    with pytest.raises(ImageError):
        unpack(
            io.BytesIO(blob.data).read,
            str(root),
            blob.layer,
            limits=Limits(),
            flavour=flavour_of(0),
        )
    assert names(root) == []


def test_devices_and_fifos_of_images_are_made(root: Path) -> None:
    null = Entry(Member(name="dev/null", kind=CHARACTER, mode=0o666, device=(1, 3)))
    apply(root, null, Entry(Member(name="run/fifo", kind=FIFO, mode=0o620)))
    status = (root / "dev/null").stat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE(status.st_mode) == 0o666
    assert stat.S_ISFIFO((root / "run/fifo").stat().st_mode)


def test_whiteouts_take_the_form_of_the_overlay(root: Path) -> None:
    apply(root, file("etc/.wh.gone"), file("var/.wh..wh..opq"), file("var/new", b"x"))
    assert is_whiteout(root / "etc/gone")
    assert os.getxattr(root / "var", "trusted.overlay.opaque") == b"y"
    assert (root / "var/new").exists()


def test_rootless_marks_are_user_attributes(root: Path) -> None:
    apply(root, file("var/.wh..wh..opq"), flavour=flavour_of(1000))
    assert os.getxattr(root / "var", "user.overlay.opaque") == b"y"


@pytest.mark.parametrize("order", ["first", "last"])
def test_whiteout_hides_lower_layers_only(root: Path, order: str) -> None:
    marks = [file(".wh.f"), file(".wh.d")]
    own = [file("f", b"new"), directory("d/"), file("d/x", b"new")]
    apply(root, *(marks + own if order == "first" else own + marks))
    assert (root / "f").read_bytes() == b"new"
    assert (root / "d/x").read_bytes() == b"new"
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"


def test_whiteout_of_a_parent_that_no_member_names(root: Path) -> None:
    apply(root, file(".wh.d"), file("d/x", b"new"))
    assert (root / "d/x").read_bytes() == b"new"
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"


def test_last_of_two_members_wins(root: Path) -> None:
    apply(
        root,
        file("a", b"1"),
        file("a", b"2"),
        directory("b/"),
        file("b/x", b""),
        file("b", b"3"),
        file("c", b""),
        directory("c/"),
        hard_link("a", "a"),
    )
    assert (root / "a").read_bytes() == b"2"
    assert (root / "b").read_bytes() == b"3"
    assert (root / "c").is_dir()


def test_implied_directories_are_told(root: Path) -> None:
    result = apply(root, file("a/b/c", b""), directory("a/"), file("./d/e", b""))
    assert result.implied == (".", "a/b", "d")
    assert apply(root, directory("./", 0o750)).implied == ()
    assert stat.S_IMODE(root.stat().st_mode) == 0o750


def test_directory_times_survive_their_content(root: Path) -> None:
    when = 1_500_000_000
    apply(root, directory("d/", mtime_ns=when * 10**9), file("d/x", b""), file("d/y", b""))
    assert (root / "d").stat().st_mtime == when


def test_links_between_directories_of_the_layer_work(root: Path) -> None:
    apply(
        root,
        link("lib", "usr/lib"),
        file("lib/x", b"1"),
        link("abs", "/usr/share"),
        file("abs/y", b"2"),
        hard_link("z", "lib/x"),
    )
    assert (root / "usr/lib/x").read_bytes() == b"1"
    assert (root / "usr/share/y").read_bytes() == b"2"
    assert (root / "z").stat().st_ino == (root / "usr/lib/x").stat().st_ino


def test_links_in_circles_end(root: Path) -> None:
    with pytest.raises(ImageError):
        apply(root, link("a", "b"), link("b", "a"), file("a/x", b""))


def test_very_deep_tree_is_made_and_replaced(root: Path) -> None:
    deep = "/".join("d" * 2000)
    apply(root, file(f"{deep}/f", b"x"), file("d", b"flat"))
    assert (root / "d").read_bytes() == b"flat"
