"""The tar format: a bounded streaming reader, and headers for a deterministic writer.

ustar, pax and GNU (tar(5)); names and link targets are decoded as file names of this machine.
Nothing here touches a file system.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Final

from orchestra.errors import ImageError
from orchestra.values import dataclass, field

BLOCK = 512
PATH_BYTES_MAX = 4096
HEADER_BYTES_MAX = 1 << 20
"""Bound of one pax or GNU long-name header; Go's reader has the same."""
_MEMBER_BYTES_MAX = 1 << 43
_HEADERS_IN_A_ROW = 16
_XATTR = "SCHILY.xattr."

REGULAR: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER: Final = b"3"
BLOCK_DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
KINDS: Final[Mapping[int, bytes]] = {
    stat.S_IFREG: REGULAR,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
"""Of a file, by the type in its mode (S_IFMT)."""
_REGULAR_KINDS = (b"0", b"\0", b"7")
_ZERO = bytes(BLOCK)


@dataclass(slots=True, kw_only=True)
class Member:
    """One entry of an archive; ``size`` bytes of content follow it in the stream."""

    name: str
    kind: bytes = REGULAR
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


def _damaged(why: str) -> ImageError:
    return ImageError(f"cannot unpack a layer: its archive is damaged ({why})")


class TarReader:
    """Members of a stream of bytes, one after the other, in bounded memory."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._piece = memoryview(b"")
        self._left = 0
        self._padding = 0
        self._global: dict[str, bytes] = {}

    def members(self) -> Iterator[Member]:
        """Yield each member; its content must be taken before the next one, or it is skipped.

        The stream is read to its very end, so that a hash over it is complete.

        :raises ImageError: when the archive is damaged or a header exceeds its bounds.
        """
        while (member := self._next()) is not None:
            yield member
            self._skip_content()
        self._piece = memoryview(b"")
        for _ in self._stream:
            continue

    def content(self) -> Iterator[memoryview]:
        """Yield the current member's content, in pieces that live until the next is asked for.

        :raises ImageError: when the archive ends early.
        """
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece

    def _some(self, at_most: int) -> memoryview:
        while not self._piece:
            try:
                self._piece = memoryview(next(self._stream))
            except StopIteration:
                raise _damaged("it ends early") from None
        piece = self._piece[:at_most]
        self._piece = self._piece[at_most:]
        return piece

    def _take(self, count: int) -> bytes:
        piece = self._some(count)
        if len(piece) == count:
            return bytes(piece)
        parts = [bytes(piece)]
        missing = count - len(piece)
        while missing:
            parts.append(bytes(self._some(missing)))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _skip_content(self) -> None:
        for _ in self.content():
            continue
        if self._padding:
            self._take(self._padding)
            self._padding = 0

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def _header(self, size: int) -> bytes:
        """Return the content of a header member."""
        if size > HEADER_BYTES_MAX:
            raise _damaged(f"a header of {size} bytes")
        self._begin(size)
        data = self._take(size) if size else b""
        self._left = 0
        self._skip_content()
        return data

    def _next(self) -> Member | None:
        pax: dict[str, bytes] = {}
        long_name = long_link = None
        for _ in range(_HEADERS_IN_A_ROW):
            block = self._first_block()
            if block is None:
                return None
            kind, size = block[156:157], _number(block[124:136])
            if kind == b"x":
                pax = _pax_records(self._header(size))
            elif kind == b"g":
                self._global = _pax_records(self._header(size))
            elif kind == b"L":
                long_name = self._header(size).rstrip(b"\0")
            elif kind == b"K":
                long_link = self._header(size).rstrip(b"\0")
            else:
                return self._member(block, {**self._global, **pax}, long_name, long_link)
        raise _damaged("too many headers before a member")

    def _first_block(self) -> bytes | None:
        """Return the next header block; None at the end, which is a zero block or nothing more."""
        if not self._piece:
            self._piece = memoryview(next(self._stream, b""))
            while not self._piece:
                following = next(self._stream, None)
                if following is None:
                    return None
                self._piece = memoryview(following)
        block = self._take(BLOCK)
        if block == _ZERO:
            return None
        _check_sum(block)
        return block

    def _member(
        self, block: bytes, pax: Mapping[str, bytes], name: bytes | None, link: bytes | None
    ) -> Member:
        kind = block[156:157]
        if kind == b"S" or any(key.startswith("GNU.sparse.") for key in pax):
            raise ImageError("cannot unpack a layer: sparse members are not supported")
        raw_name = pax.get("path", name if name is not None else _ustar_name(block))
        raw_link = pax.get("linkpath", link if link is not None else _text(block[157:257]))
        size = _decimal(pax["size"]) if "size" in pax else _number(block[124:136])
        regular = kind in _REGULAR_KINDS
        if not 0 <= size <= _MEMBER_BYTES_MAX:
            raise _damaged("a member's size")
        self._begin(size if regular or kind > b"7" else 0)
        if kind in b"\0" and raw_name.endswith(b"/"):
            kind, regular = DIRECTORY, False
        return Member(
            name=_path(raw_name),
            kind=REGULAR if regular else kind,
            mode=_number(block[100:108]) & 0o7777,
            uid=_decimal(pax["uid"]) if "uid" in pax else _number(block[108:116]),
            gid=_decimal(pax["gid"]) if "gid" in pax else _number(block[116:124]),
            size=self._left,
            mtime_ns=_time(pax["mtime"])
            if "mtime" in pax
            else _number(block[136:148]) * 1_000_000_000,
            link=_path(raw_link),
            device=_device(block) if kind in b"34" else (0, 0),
            xattrs={
                key.removeprefix(_XATTR): value
                for key, value in pax.items()
                if key.startswith(_XATTR)
            },
        )


def encode_member(member: Member) -> bytes:
    """Return the header blocks of a member: ustar, with a pax header where that is too narrow."""
    name, link = os.fsencode(member.name), os.fsencode(member.link)
    seconds = member.mtime_ns // 1_000_000_000
    pax: dict[str, bytes] = {_XATTR + key: value for key, value in member.xattrs.items()}
    if len(name) > 100:
        pax["path"] = name
    if len(link) > 100:
        pax["linkpath"] = link
    numbers = {"uid": member.uid, "gid": member.gid}
    narrow = {key: number if number < 1 << 21 else 0 for key, number in numbers.items()}
    pax |= {key: b"%d" % numbers[key] for key in numbers if narrow[key] != numbers[key]}
    if member.size >= 1 << 33:
        pax["size"] = b"%d" % member.size
    if not 0 <= seconds < 1 << 33:
        pax["mtime"] = b"%d" % seconds
    main = _block(
        name[:100],
        member.kind,
        mode=member.mode,
        owner=(narrow["uid"], narrow["gid"]),
        size=0 if "size" in pax else member.size,
        seconds=0 if "mtime" in pax else seconds,
        link=link[:100],
        device=member.device,
    )
    if not pax:
        return main
    records = b"".join(_pax_record(key, pax[key]) for key in sorted(pax))
    head = _block(b"././@PaxHeader", b"x", mode=0o644, size=len(records))
    return head + records + bytes(-len(records) % BLOCK) + main


def _block(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    size: int,
    owner: tuple[int, int] = (0, 0),
    seconds: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    fields = (
        name.ljust(100, b"\0"),
        b"%07o\0%07o\0%07o\0" % (mode, *owner),
        b"%011o\0%011o\0" % (size, seconds),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        b"ustar\00000",
        bytes(64),
        b"%07o\0%07o\0" % device,
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_record(key: str, value: bytes) -> bytes:
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body) + 1
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def _pax_records(data: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        length = _decimal(data[position:space]) if space > 0 else 0
        end = position + length
        if length < 5 or end > len(data) or data[end - 1 : end] != b"\n":
            raise _damaged("a pax record")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not key or not equals:
            raise _damaged("a pax record")
        name = key.decode("utf-8", "surrogateescape")
        if value or name.startswith(_XATTR):
            records[name] = value
        else:
            records.pop(name, None)
        position = end
    return records


def _check_sum(block: bytes) -> None:
    """Compare the sum of the header's bytes, the field itself as spaces; signed sums existed."""
    told = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    if told != sum(rest) and told != sum(byte - 256 if byte > 127 else byte for byte in rest):
        raise _damaged("a header's checksum")


def _number(text: bytes) -> int:
    """Return an octal field, or GNU's binary one."""
    if text[0] & 0x80:
        if text[0] & 0x40:
            return int.from_bytes(text, "big", signed=True)
        return int.from_bytes(bytes([text[0] & 0x7F]) + text[1:], "big")
    digits = text.strip(b" \0").partition(b"\0")[0].strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise _damaged("a number")
    return int(digits, 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise _damaged("a number in a pax record")
    return int(text)


def _time(text: bytes) -> int:
    """Return nanoseconds of a decimal number of seconds."""
    whole, _, fraction = text.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    seconds = _decimal(whole.removeprefix(b"-") or b"0")
    nanoseconds = _decimal(fraction[:9].ljust(9, b"0")) if fraction else 0
    return sign * (seconds * 1_000_000_000 + nanoseconds)


def _text(field_bytes: bytes) -> bytes:
    return field_bytes.partition(b"\0")[0]


def _ustar_name(block: bytes) -> bytes:
    name, prefix = _text(block[:100]), _text(block[345:500])
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _path(raw: bytes) -> str:
    if len(raw) > PATH_BYTES_MAX or b"\0" in raw:
        raise _damaged("a name")
    return os.fsdecode(raw)


def _device(block: bytes) -> tuple[int, int]:
    return _number(block[329:337]), _number(block[337:345])
