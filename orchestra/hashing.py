"""SHA-256 of short texts by Python's own code: OpenSSL, behind hashlib, takes 3 ms to load.

For what is long, hashlib is the faster one. Where a Python has no code of its own, as with some
distributions, this is hashlib's.
"""

from __future__ import annotations

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

__all__ = ["sha256"]
