"""Where Python's allocator puts small objects, for a process that is forked again and again.

CPython takes blocks of up to 512 bytes from pools of 16 KiB, one size each, and the next one from
wherever such a pool has one free: a child that makes thirty objects writes to thirty pages that it
shared until then (Objects/obmalloc.c). From pools that nothing lies in they come side by side.
"""

from __future__ import annotations

_POOL_BYTES = 16384
_HEADER_BYTES = 48
_STEP, _LARGEST = 16, 512
_TRIED_BYTES = 4 * _POOL_BYTES
"""So much of one size at most: another allocator has no such pools."""
_BYTES_OVERHEAD = b"".__sizeof__()
_kept: list[object] = []


def fill() -> None:
    """Take every free block of the pools in use, for good: some 300 KB.

    Call it when all that the process itself needs is there, and its garbage collected.
    """
    for size in range(_STEP, _LARGEST + 1, _STEP):
        for _ in range(_TRIED_BYTES // size):
            block = _block(size)
            _kept.append(block)
            if id(block) % _POOL_BYTES == _HEADER_BYTES:  # the first one of a pool
                break


def _block(size: int) -> object:
    """Return an object of that size in memory."""
    if size == _STEP:
        return object()
    if size == 2 * _STEP:
        return size / 3  # a float: 24 bytes
    return bytes(size - _BYTES_OVERHEAD)
