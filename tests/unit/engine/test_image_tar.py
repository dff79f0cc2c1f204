from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from support import images

from orchestra.engine.image.compression import PIECE_BYTES, decompress, gzip_compressor
from orchestra.engine.image.flavour import flavour_of
from orchestra.engine.image.layer import Limits, unpack
from orchestra.engine.image.tar import HEADER_BYTES_MAX, Member, TarReader, encode_member
from orchestra.errors import ImageError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import LAYER_GZIP, Descriptor, Layer

FLAVOUR = flavour_of(1000)


def read_all(data: bytes, step: int = 700) -> list[tuple[Member, bytes]]:
    """Read an archive whose bytes come in small pieces."""
    reader = TarReader(data[i : i + step] for i in range(0, len(data), step))
    return [(member, b"".join(map(bytes, reader.content()))) for member in reader.members()]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_the_standard_library_are_read(form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        long = "d/" * 40 + "f" if form == tarfile.USTAR_FORMAT else "d/" * 120 + "ü" * 60
        info = tarfile.TarInfo(long)
        info.size, info.mode, info.uid, info.mtime = 3, 0o4711, 1234, 1_600_000_000
        archive.addfile(info, io.BytesIO(b"abc"))
        other = tarfile.TarInfo("link")
        other.type, other.linkname = tarfile.SYMTYPE, long[:90]
        archive.addfile(other)
    (first, content), (second, _) = read_all(buffer.getvalue())
    assert (first.name, content) == (long, b"abc")
    assert (first.mode, first.uid, first.mtime_ns) == (0o4711, 1234, 1_600_000_000 * 10**9)
    assert (second.kind, second.link) == (b"2", long[:90])


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300
)
members = st.builds(
    Member,
    name=names,
    link=names,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 1 << 32),
    gid=st.integers(0, 1 << 32),
    mtime_ns=st.integers(-(1 << 34), 1 << 34).map(lambda seconds: seconds * 10**9),
    xattrs=st.dictionaries(
        st.text("abc.", min_size=1, max_size=5), st.binary(max_size=300), max_size=3
    ),
)


@given(members, st.integers(1, 2000))
def test_what_is_written_is_read(member: Member, step: int) -> None:
    data = encode_member(member) + bytes(1024)
    assert [found for found, _ in read_all(data, step)] == [member]


@given(members)
def test_what_is_written_is_read_by_the_standard_library(member: Member) -> None:
    data = encode_member(member) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (info,) = archive.getmembers()
    assert (info.mode, info.uid, info.gid) == (member.mode, member.uid, member.gid)
    assert info.mtime == member.mtime_ns // 10**9


@given(st.binary(max_size=4096))
def test_any_bytes_are_an_archive_or_refused(data: bytes) -> None:
    try:
        read_all(data)
    except ImageError:
        return


@given(st.integers(0, 2047), st.integers(0, 255))
def test_any_damage_is_read_or_refused(position: int, byte: int) -> None:
    data = bytearray(images.tar([images.file("x" * 120, b"abc", xattrs={"user.a": b"b"})]))
    data[position % len(data)] = byte
    try:
        read_all(bytes(data))
    except ImageError:
        return


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_headers_are_bounded(kind: bytes) -> None:
    data = encode_member(Member(name="h", kind=kind, size=HEADER_BYTES_MAX + 1))
    with pytest.raises(ImageError, match="header"):
        read_all(data + bytes(HEADER_BYTES_MAX * 2))


def test_headers_in_a_row_are_bounded() -> None:
    with pytest.raises(ImageError, match="too many headers"):
        read_all(encode_member(Member(name="h", kind=b"x", size=0)) * 100)


@pytest.mark.parametrize(
    "records",
    [b"99999999 path=x\n", b"5 =x\n", b"-1 path=x\n", b"11 path=a\0b\n", b"8 size=-1\n",
     b"27 size=99999999999999999999\n", b"20 GNU.sparse.major=1\n"[:25], b"x" * 40,
     b"%d path=" % (9000 + 11) + b"x" * 9000 + b"\n"],
)  # fmt: skip
def test_malformed_pax_records_are_refused(records: bytes) -> None:
    head = encode_member(Member(name="h", kind=b"x", size=len(records)))
    body = records + bytes(-len(records) % 512)
    with pytest.raises(ImageError):
        read_all(head + body + encode_member(Member(name="f")) + bytes(1024))


def test_sparse_members_are_refused() -> None:
    with pytest.raises(ImageError, match="sparse"):
        read_all(encode_member(Member(name="f", kind=b"S")) + bytes(1024))


@pytest.mark.parametrize("cut", [100, 600, 1500])
def test_archive_that_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(ImageError, match="ends early"):
        read_all(images.tar([images.file("f", b"x" * 1200)])[:cut])


PACKERS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "two-members": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "padded": lambda data: gzip.compress(data) + bytes(700),
    "own": lambda data: (packer := gzip_compressor()).compress(data) + packer.flush(),
    "zstd": zstd.compress,
    "two-frames": lambda data: zstd.compress(data[:1000]) + zstd.compress(data[1000:]),
}


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("step", [1, 4096])
def test_every_packing_is_unpacked(packing: str, step: int) -> None:
    data = images.tar([images.file("f", bytes(range(256)) * 30)])
    packed = io.BytesIO(PACKERS[packing](data))
    assert b"".join(decompress(lambda _: packed.read(step))) == data


@pytest.mark.parametrize("packing", ["gzip", "zstd", "two-members"])
def test_packed_stream_that_ends_early_is_refused(packing: str) -> None:
    packed = io.BytesIO(PACKERS[packing](images.tar([images.file("f", b"abc" * 1000)]))[:-9])
    with pytest.raises(ImageError, match="damaged"):
        b"".join(decompress(packed.read))


def test_other_packings_are_refused() -> None:
    with pytest.raises(ImageError, match="neither gzip, zstd nor plain"):
        decompress(io.BytesIO(b"\xfd7zXZ\0\0\0").read)


def endless_zeros() -> Iterator[bytes]:
    """A gzip stream of zeros without end: a thousandth of what it becomes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    while True:
        yield packer.compress(bytes(1 << 20))


def unpack_stream(pieces: Iterator[bytes], root: Path, limits: Limits) -> None:
    gathered = bytearray()

    def read(count: int) -> bytes:
        while len(gathered) < count:
            gathered.extend(next(pieces))
        data = bytes(gathered[:count])
        del gathered[:count]
        return data

    descriptor = Descriptor(media_type=LAYER_GZIP, digest=digest_of(b""), size=1000)
    layer = Layer(diff_id=digest_of(b""), descriptor=descriptor)
    unpack(read, str(root), layer, limits=limits, flavour=FLAVOUR)


def test_compression_bomb_stops_at_a_limit_in_bounded_memory(tmp_path: Path) -> None:
    limits = Limits(free_bytes=64 << 20, ratio=200)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="grows beyond 67108864 bytes"):
            unpack_stream(endless_zeros(), tmp_path, limits)
        assert tracemalloc.get_traced_memory()[1] < 16 * PIECE_BYTES
    finally:
        tracemalloc.stop()


def test_one_file_that_never_ends_stops_at_the_limit(tmp_path: Path) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    head = packer.compress(encode_member(Member(name="big", size=1 << 40)))

    def stream() -> Iterator[bytes]:
        yield head
        while True:
            yield packer.compress(bytes(1 << 20))

    with pytest.raises(ImageError, match="grows beyond"):
        unpack_stream(stream(), tmp_path, Limits(free_bytes=8 << 20))
    assert (tmp_path / "big").stat().st_size <= 8 << 20


def test_bomb_of_files_stops_at_a_limit(tmp_path: Path) -> None:
    blob = images.layer(images.directory(f"{number}/") for number in range(101))
    with pytest.raises(ImageError, match="more than 100 files"):
        unpack(
            io.BytesIO(blob.data).read,
            str(tmp_path),
            blob.layer,
            limits=Limits(members_max=100),
            flavour=FLAVOUR,
        )


def test_layer_of_another_diff_id_is_refused(tmp_path: Path) -> None:
    blob, other = images.layer([images.file("a")]), images.layer([images.file("b")])
    layer = Layer(diff_id=other.layer.diff_id, descriptor=blob.layer.descriptor)
    with pytest.raises(ImageError, match="the image's config names"):
        unpack(io.BytesIO(blob.data).read, str(tmp_path), layer, limits=Limits(), flavour=FLAVOUR)
