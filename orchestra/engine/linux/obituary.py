"""How another's child ended, told by the kernel's process events connector (CONFIG_PROC_EVENTS).

Documentation/driver-api/connector.rst and linux/cn_proc.h. Before Linux 6.15 a pidfd does not tell
it, and who reaps the process need not be ours. The events are the whole machine's, so a filter in
the kernel lets pass those of one process alone. They come before the process is a zombie: once its
pidfd is readable, what there is to hear has been said.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from contextlib import suppress

_CONNECTOR = 11
_CN_IDX_PROC, _CN_VAL_PROC = 1, 1
_LISTEN, _IGNORE = 1, 2
_EVENT_EXIT = 0x80000000
_SO_ATTACH_FILTER = 26
_DONE = 3
_WHAT, _TGID, _CODE = 36, 56, 60
"""Offsets in a message: 16 bytes of netlink's head, 20 of the connector's, then the event."""
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_MESSAGE_BYTES = 4096
_KERNEL = 0


class Obituary:
    """Listens for the end of one process from when it is made; close it when it is done with."""

    def __init__(self, pid: int) -> None:
        """Begin to listen.

        :raises OSError: where the kernel has no such events, or tells us none: without
            CAP_NET_ADMIN, and outside of the first network, user and pid namespaces.
        """
        self._pid = pid
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _CONNECTOR)
        try:
            self._attach()
            self._socket.bind((0, _CN_IDX_PROC))
            self._say(_LISTEN)
        except BaseException:
            self._socket.close()
            raise

    def _attach(self) -> None:
        """Let ends of the process pass alone; a filter loads words as a network has them."""
        program = b"".join(
            struct.pack("=HBBI", *line)
            for line in (
                (_LOAD_WORD, 0, 0, _WHAT),
                (_JUMP_EQUAL, 0, 3, socket.htonl(_EVENT_EXIT)),
                (_LOAD_WORD, 0, 0, _TGID),
                (_JUMP_EQUAL, 0, 1, socket.htonl(self._pid)),
                (_RETURN, 0, 0, 0xFFFFFFFF),
                (_RETURN, 0, 0, 0),
            )
        )
        held = ctypes.create_string_buffer(program)
        described = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)

    def _say(self, operation: int) -> None:
        body = struct.pack("=I", operation)
        message = struct.pack("=IIIIHH", _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(body), 0) + body
        head = struct.pack("=IHHII", 16 + len(message), _DONE, 0, 0, os.getpid())
        self._socket.send(head + message)

    def status(self) -> int | None:
        """Return the wait status, of its last thread to end; None when nothing was heard."""
        found = None
        with suppress(OSError):
            while True:
                message, (sender, _) = self._socket.recvfrom(_MESSAGE_BYTES)
                if sender == _KERNEL and len(message) >= _CODE + 4:
                    found = int(struct.unpack_from("=I", message, _CODE)[0])
        return found

    def close(self) -> None:
        """Stop listening: the kernel counts who listens, and makes events while there is any."""
        with suppress(OSError):
            self._say(_IGNORE)
        self._socket.close()
