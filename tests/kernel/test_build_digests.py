"""What is remembered of a context's files: what is unchanged is not read, what changed always is."""

import hashlib
import os
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

from orchestra.engine.build.context import choose, open_context
from orchestra.engine.build.digests import FileDigests
from orchestra.engine.build.hashing import Hashing
from orchestra.engine.build.ignore import Matcher
from orchestra.engine.build.tree import Tree

pytestmark = pytest.mark.kernel

COPY_ALL = "FROM scratch\nCOPY . /all/\n"
SECOND = 1_000_000_000
_listening: list[list[str]] = []


def _hear(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        for heard in _listening:
            heard.append(arguments[0])


sys.addaudithook(_hear)


class Opened:
    """The names of all files that this process opens while the block lasts."""

    def __enter__(self):
        _listening.append([])
        return _listening[-1]

    def __exit__(self, *_):
        _listening.pop()


def settle(*paths):
    """Wait until the files' last change is surely in the past."""
    newest = max(path.lstat().st_ctime_ns for path in paths)
    while time.time_ns() < newest + SECOND // 4:
        time.sleep(0.01)


def digests(directory, context="/context"):
    return FileDigests(PurePosixPath(directory), context)


def fill(directory, count=12):
    paths = [directory / f"deep{number % 3}" / f"file{number}" for number in range(count)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content {number}")
    return paths


def test_a_build_reads_no_file_that_has_not_changed(builder):
    paths = fill(builder.context)
    names = {path.name for path in paths}
    settle(*paths)
    first = builder.build(COPY_ALL)
    with Opened() as opened:
        second = builder.build(COPY_ALL)
    assert not names & set(opened)
    assert second.id == first.id
    assert builder.done() == []
    paths[5].write_text("other")
    with Opened() as opened:
        third = builder.build(COPY_ALL)
    # it is read once more than the others, which are only copied and packed
    counts = [opened.count(path.name) for path in paths]
    assert counts == [counts[0] + (number == 5) for number in range(12)]
    assert builder.layer_files(third)["all/deep2/file5"] == b"other"


def test_content_of_the_same_size_and_time_is_seen(builder):
    (path, *_) = fill(builder.context)
    settle(path)
    builder.build(COPY_ALL)
    before = path.stat()
    path.write_text("CONTENT 0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    image = builder.build(COPY_ALL)
    assert builder.layer_files(image)["all/deep0/file0"] == b"CONTENT 0"


def test_a_file_in_the_place_of_another_is_seen(builder):
    (path, *_) = fill(builder.context)
    other = builder.root / "other"
    other.write_text("CONTENT 0")
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    settle(path, other)
    builder.build(COPY_ALL)
    other.rename(path)
    image = builder.build(COPY_ALL)
    assert builder.layer_files(image)["all/deep0/file0"] == b"CONTENT 0"


def test_a_new_mode_is_seen_though_the_content_is_known(builder):
    (path, *_) = fill(builder.context)
    settle(path)
    builder.build(COPY_ALL)
    path.chmod(0o4755)
    builder.build(COPY_ALL)
    assert builder.done() == ["COPY . /all/"]


@pytest.mark.parametrize(("age_ms", "known"), [(-5, False), (0, False), (99, False), (100, True)])
def test_nothing_is_remembered_of_a_file_that_has_just_changed(tmp_path, age_ms, known):
    path = tmp_path / "file"
    path.write_text("content")
    remembered = digests(tmp_path / "files")
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        begun = status.st_ctime_ns + age_ms * 1_000_000
        remembered.learn(file.fileno(), status, bytes(32), begun)
    assert (remembered.known(status) is not None) == known


def test_nothing_is_remembered_where_times_are_not_this_machines(tmp_path):
    remembered = digests(tmp_path / "files")
    with Path("/proc/self/status").open("rb") as file:
        status = os.fstat(file.fileno())
        remembered.learn(file.fileno(), status, bytes(32), time.time_ns() + SECOND)
    assert remembered.known(status) is None


@pytest.fixture
def learned(tmp_path):
    """A remembered file: its status, and where that is written down."""
    path = tmp_path / "file"
    path.write_text("content")
    remembered = digests(tmp_path / "files")
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        remembered.learn(file.fileno(), status, b"d" * 32, status.st_ctime_ns + SECOND)
    remembered.save()
    (written,) = (tmp_path / "files").iterdir()
    return status, written


def test_what_is_known_is_the_owners_alone(learned, tmp_path):
    status, written = learned
    assert digests(tmp_path / "files").known(status) == (b"d" * 32).hex()
    assert digests(tmp_path / "files", "/another").known(status) is None
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-72]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"dd", b"dD", 1)),
        lambda path: path.write_bytes(b""),
        lambda path: path.chmod(0o660),
        lambda path: os.chown(path, 4242, 0),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
    ],
    ids=["torn", "short", "flipped", "empty", "writable", "foreign", "fifo", "link"],
)
def test_what_cannot_be_trusted_is_not_used(learned, tmp_path, damage):
    status, written = learned
    damage(written)
    assert digests(tmp_path / "files").known(status) is None


def test_contexts_are_bounded_the_oldest_goes(tmp_path):
    path = tmp_path / "file"
    path.write_text("content")
    place = tmp_path / "files"
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        for number in range(70):
            remembered = digests(place, f"/{number}")
            remembered.learn(file.fileno(), status, bytes(32), status.st_ctime_ns + SECOND)
            remembered.save()
            written = max(place.iterdir(), key=lambda found: found.stat().st_ctime_ns)
            os.utime(written, (number, number))
    assert len(list(place.iterdir())) <= 64
    assert digests(place, "/69").known(status)
    assert digests(place, "/0").known(status) is None


def test_what_was_not_seen_of_late_makes_room(tmp_path):
    path = tmp_path / "file"
    place = tmp_path / "files"
    path.write_text("content")
    for number in range(4):
        remembered = digests(place)
        for turn in range(2000):
            os.utime(path, (number, turn))
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                remembered.learn(file.fileno(), status, bytes(32), status.st_ctime_ns + SECOND)
        remembered.save()
    (written,) = place.iterdir()
    assert written.stat().st_size <= 4001 * 72
    assert digests(place).known(status)


def test_many_files_are_read_side_by_side_and_right(tmp_path):
    context = tmp_path / "context"
    expected = {}
    for number in range(500):
        path = context / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = os.urandom(3 << 20 if number % 100 == 0 else number)
        path.write_bytes(data)
        expected[str(path.relative_to(context))] = hashlib.sha256(data).hexdigest()
    settle(*context.glob("*/*"))
    for _ in range(2):
        tree = open_context(str(context), "", digests(tmp_path / "files"))
        (chosen,) = choose(tree, ".", Matcher())
        tree.digests.save()
        assert {
            f"{directory.name}/{entry.name}": entry.digest
            for directory in chosen.entry.children
            for entry in directory.children
        } == expected


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_file_that_is_gone_before_it_is_read_is_an_error(tmp_path, size):
    for number in range(3):
        (tmp_path / f"file{number}").write_bytes(bytes(size))
    tree = Tree((str(tmp_path),), overlay=False)

    def read():
        with tree.root() as root, Hashing(tree) as hashing:
            entries = list(root.entries())
            (tmp_path / "file1").unlink()  # a moment later its reader may have it open
            for item in entries:
                hashing.file(root, item)

    with pytest.raises(FileNotFoundError):
        read()
