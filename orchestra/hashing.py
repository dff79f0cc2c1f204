"""SHA-256 of short texts by Python's own code: OpenSSL, behind hashlib, takes 3 ms to load.

For what is long, hashlib is the faster one. Where a Python has no code of its own, as with some
distributions, this is hashlib's.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # from 3.12 on
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

__all__ = ["Sha256", "sha256", "sha256_of"]

_LONG_BYTES = 1 << 19
"""What OpenSSL hashes so much faster that loading it pays."""


def sha256_of(data: bytes | memoryview) -> str:
    """Return the digest of something short or long, as hexadecimal digits."""
    if len(data) < _LONG_BYTES and "hashlib" not in sys.modules:
        return sha256(data).hexdigest()
    import hashlib  # noqa: PLC0415 - for what is long

    return hashlib.sha256(data).hexdigest()


class Sha256:
    """The digest of what comes piece by piece, short or long."""

    __slots__ = ("_hash", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = _LONG_BYTES if "hashlib" in sys.modules else 0
        self._hash = sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Take one more piece."""
        if self._size < _LONG_BYTES:
            self._parts.append(bytes(data))
            self._size += len(data)
            return
        if self._parts is not _TAKEN:
            import hashlib  # noqa: PLC0415 - for what is long

            self._hash, parts, self._parts = hashlib.sha256(), self._parts, _TAKEN
            self._hash.update(b"".join(parts))
        self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the digest of all that came so far, as hexadecimal digits."""
        if self._parts is _TAKEN:
            return self._hash.hexdigest()
        return sha256_of(b"".join(self._parts))


_TAKEN: list[bytes] = []
"""Stands for pieces that are hashed already."""
