"""rpm's database where it is SQLite: headers of packages -> their names and versions.

A header is a count of entries and of bytes, the entries (tag, type, offset, count), and the bytes
that they point into (rpm's manual, "Package Format"). Anything may be in the file: what does not
fit is passed over.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator

from orchestra.values import dataclass

_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH = 1000, 1001, 1002, 1003, 1014, 1022
_INT32, _STRING, _STRINGS, _I18N = 4, 6, 8, 9
_ENTRY = struct.Struct(">iIiI")
_ENTRIES_MAX = 100_000
_MAGIC = b"SQLite format 3\0"
_TURN, _TURNS_MAX = 100_000, 1000
"""Instructions of SQLite's machine between two looks, and how many looks there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmHeader:
    """What a package of rpm says of itself; ``version`` with epoch and release."""

    name: str
    version: str
    architecture: str
    license: str


def rpm_headers(database: bytes) -> Iterator[RpmHeader]:
    """Yield the packages of a database, but for the keys that rpm keeps among them."""
    if not database.startswith(_MAGIC):
        return
    connection = sqlite3.connect(":memory:")
    turns = iter(range(_TURNS_MAX))
    # "Packages" may be anything that whoever made the image wrote: a view that never ends, too.
    connection.set_progress_handler(lambda: next(turns, None) is None, _TURN)
    try:
        connection.deserialize(database)
        connection.execute("PRAGMA trusted_schema = OFF")
        rows = connection.execute("SELECT blob FROM Packages ORDER BY hnum").fetchall()
    except (sqlite3.Error, OverflowError):
        return
    finally:
        connection.close()
    for (blob,) in rows:
        header = _header(blob) if isinstance(blob, bytes) else None
        if header is not None and header.name != "gpg-pubkey":
            yield header


def _header(blob: bytes) -> RpmHeader | None:
    fields = _fields(blob)
    name, version = fields.get(_NAME), fields.get(_VERSION)
    if not name or not version:
        return None
    release, epoch = fields.get(_RELEASE, ""), fields.get(_EPOCH, "")
    full = f"{version}-{release}" if release else version
    return RpmHeader(
        name=name,
        version=f"{epoch}:{full}" if epoch and epoch != "0" else full,
        architecture=fields.get(_ARCH, ""),
        license=fields.get(_LICENSE, ""),
    )


def _fields(blob: bytes) -> dict[int, str]:
    if len(blob) < 8:
        return {}
    count, _ = struct.unpack_from(">II", blob)
    start = 8 + count * _ENTRY.size
    if count > _ENTRIES_MAX or start > len(blob):
        return {}
    found: dict[int, str] = {}
    for number in range(count):
        tag, kind, offset, _ = _ENTRY.unpack_from(blob, 8 + number * _ENTRY.size)
        at = start + offset
        if tag not in {_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH} or at < start:
            continue
        if kind in {_STRING, _STRINGS, _I18N}:
            end = blob.find(b"\0", at)
            if end >= 0:
                found[tag] = blob[at:end].decode("utf-8", "replace")
        elif kind == _INT32 and at + 4 <= len(blob):
            found[tag] = str(struct.unpack_from(">I", blob, at)[0])
    return found
