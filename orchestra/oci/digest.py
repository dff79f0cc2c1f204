"""Content digests of the OCI image spec (descriptor.md, "Digests"); sha256 only is accepted."""

from __future__ import annotations

import re
from typing import NewType

from orchestra.errors import ImageError

Digest = NewType("Digest", str)
"""``sha256:`` and 64 lower-case hex digits; made by :func:`parse_digest` or :func:`digest_of`."""

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def parse_digest(text: str) -> Digest:
    """Check the syntax of a digest.

    :raises ImageError: when it is not a sha256 digest.
    """
    if not _SHA256.fullmatch(text):
        raise ImageError(f'"{text[:100]}" is not a sha256 digest')
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    """Return the digest of some bytes."""
    from orchestra.hashing import sha256_of  # noqa: PLC0415 - seldom asked for

    return Digest("sha256:" + sha256_of(data))


def hex_of(digest: Digest) -> str:
    """Return the 64 hex digits: safe as a file name."""
    return digest.partition(":")[2]
