"""Project quotas: how much all files of one number may take of their file system.

A directory that has a number gives it to what is made in it. xfs(5), ext4(5), quotactl_fd(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import struct

from orchestra.engine.linux import syscalls

_GET_XATTR, _SET_XATTR = 0x801C581F, 0x401C5820
_ATTRIBUTES = struct.Struct("=IIIII8x")
"""linux/fs.h, struct fsxattr: flags, extent size, extents, project, copy-on-write extent size."""
_INHERIT = 0x200
_PROJECT = 2
_GET, _SET = 0x800007 << 8 | _PROJECT, 0x800008 << 8 | _PROJECT
_GET_STATE = 0x5805 << 8 | _PROJECT
_ENFORCED = 1 << 5
_BLOCK_BYTES = 1024
_LIMITS_VALID = 1
_QUOTA = struct.Struct("=8QI4x")
"""linux/quota.h, struct if_dqblk: hard and soft blocks, bytes used, ..., what of it is set."""


def is_enforced(fd: int) -> bool:
    """Tell whether the file system that ``fd`` lies on holds files to the limits of projects."""
    state = ctypes.create_string_buffer(256)
    try:
        syscalls.quotactl_fd(fd, _GET_STATE, 0, state)
    except OSError:
        return False
    return bool(int.from_bytes(state.raw[2:4], "little") & _ENFORCED)


def project_of(fd: int) -> int:
    """Return the number of a directory's project, 0 for none.

    :raises OSError: ENOTTY on a file system without projects.
    """
    return _attributes(fd)[3]


def _attributes(fd: int) -> tuple[int, ...]:
    found = bytearray(_ATTRIBUTES.size)
    fcntl.ioctl(fd, _GET_XATTR, found)
    return tuple(_ATTRIBUTES.unpack(found))


def set_project(fd: int, number: int) -> None:
    """Give an empty directory, and what will be made in it, to a project.

    :raises OSError: EOPNOTSUPP, ENOTTY on a file system without projects.
    """
    flags, extent, count, _, cow = _attributes(fd)
    fcntl.ioctl(fd, _SET_XATTR, _ATTRIBUTES.pack(flags | _INHERIT, extent, count, number, cow))


def is_free(fd: int, number: int) -> bool:
    """Tell whether a project has neither a limit nor files."""
    data = ctypes.create_string_buffer(_QUOTA.size)
    try:
        syscalls.quotactl_fd(fd, _GET, number, data)
    except FileNotFoundError:  # xfs: nobody has asked for it yet
        return True
    hard, soft, used = _QUOTA.unpack(data.raw)[:3]
    return not (hard or soft or used)


def set_limit(fd: int, number: int, size: int) -> None:
    """Let a project take ``size`` bytes; 0 lifts the limit.

    :raises OSError: ESRCH where quotas are off, EPERM.
    """
    blocks = -(-size // _BLOCK_BYTES)
    data = ctypes.create_string_buffer(
        _QUOTA.pack(blocks, blocks, 0, 0, 0, 0, 0, 0, _LIMITS_VALID), _QUOTA.size
    )
    syscalls.quotactl_fd(fd, _SET, number, data)
