"""Join the streams of a running container to ours (`attach`), by its shim's attach.sock.

The protocol is told in shim/console.py. Leaving changes nothing for the container.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import nullcontext, suppress

import anyio
import anyio.abc
import anyio.to_thread

from orchestra.engine.container.failures import unknown_end
from orchestra.engine.container.places import Places
from orchestra.engine.container.spawning import dial_path
from orchestra.engine.container.streams import read_some
from orchestra.engine.container.terminal import raw_terminal
from orchestra.engine.linux import process
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ATTACH_PACKET_BYTES, ATTACH_SOCKET
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.values import dataclass

_PACKETS_BEHIND_MAX = 2048
_STREAMS = {b"o": 1, b"e": 2}


class DetachKeys:
    """Finds the keys that mean "leave it alone" in what somebody types."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on, and whether the keys are complete."""
        passed = bytearray()
        for byte in data:
            if self._seen and byte != self._keys[self._seen]:
                passed += self._keys[: self._seen]
                self._seen = 0
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    return bytes(passed), True
            else:
                passed.append(byte)
        return bytes(passed), False


async def attach(
    paths: Paths, record: ContainerRecord, *, stdin: int | None, detach_keys: bytes
) -> int | None:
    """Show a container's output until its end and return its exit code, None when detached.

    ``stdin``: what is read from it goes to the container. Only with a terminal do the keys count.

    :raises ContainerError: when its streams are not to be had, or nobody knows how it ended.
    """
    places = Places.of(paths, record)
    pidfd = _shim_of(places)
    if pidfd is None:
        raise _refused(record, "it does not run")
    try:
        try:
            sock = dial_path(places.run_directory, ATTACH_SOCKET)
        except OSError as err:
            raise _refused(record, "its streams are those of the command that runs it") from err
        with sock:
            sock.settimeout(0)
            raw = record.spec.tty and stdin is not None
            with raw_terminal(stdin) if raw and stdin is not None else nullcontext():
                joined = _Joined(sock, DetachKeys(detach_keys) if raw else None)
                if await joined.run(stdin, tty=record.spec.tty):
                    return None
        if places.init() is not None:
            raise ContainerError(
                f'lost the connection to container "{record.spec.name}", which goes on',
                hint="attach again",
            )
        await anyio.wait_readable(pidfd)
    finally:
        os.close(pidfd)
    ended = places.exit()
    if ended is None or places.shim() is not None:
        raise unknown_end()
    return ended["code"]


def _shim_of(places: Places) -> int | None:
    """Return a pidfd of the container's shim; None when it does not run."""
    shim = places.shim()
    try:
        return None if shim is None else process.pidfd_open(shim)
    except ProcessLookupError:
        return None


def _refused(record: ContainerRecord, why: str) -> ContainerError:
    return ContainerError(f'cannot attach to container "{record.spec.name}": {why}')


@dataclass(slots=True)
class _Joined:
    """One connection to a shim."""

    sock: socket.socket
    keys: DetachKeys | None
    detached: bool = False

    async def run(self, stdin: int | None, *, tty: bool) -> bool:
        """Carry everything until the end of the output; True when the user detached before."""
        send, receive = anyio.create_memory_object_stream[bytes](_PACKETS_BEHIND_MAX)
        async with anyio.create_task_group() as tasks, send, receive:
            if stdin is not None:
                tasks.start_soon(self._feed, stdin, tasks.cancel_scope)
            if tty:
                tasks.start_soon(self._follow_size)
            tasks.start_soon(self._receive, send.clone())
            send.close()
            async for packet in receive:
                target = _STREAMS.get(packet[:1])
                if target is not None:
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(write_all, target, packet[1:])
            tasks.cancel_scope.cancel()
        return self.detached

    async def _receive(self, send: anyio.abc.ObjectSendStream[bytes]) -> None:
        """Take output as fast as it comes: a shim drops whom it would have to wait for."""
        async with send:
            while packet := await self._packet():
                await send.send(packet)

    async def _packet(self) -> bytes:
        while True:
            try:
                return self.sock.recv(ATTACH_PACKET_BYTES + 1)
            except BlockingIOError:
                await anyio.wait_readable(self.sock)
            except OSError:
                return b""

    async def _feed(self, stdin: int, scope: anyio.CancelScope) -> None:
        """Pass on what is typed. Its end is not that of the container's input: others may come."""
        while data := await read_some(stdin):
            if self.keys:
                data, self.detached = self.keys.feed(data)
            for start in range(0, len(data), ATTACH_PACKET_BYTES):
                await self._send(b"i" + data[start : start + ATTACH_PACKET_BYTES])
            if self.detached:
                scope.cancel()
                return

    async def _send(self, packet: bytes) -> None:
        while True:
            try:
                self.sock.send(packet, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                await anyio.wait_writable(self.sock)
            except OSError:
                return
            else:
                return

    async def _follow_size(self) -> None:
        """Give the container's terminal our size; another one first, so that it is drawn anew."""
        with anyio.open_signal_receiver(signal.SIGWINCH) as changes:
            await self._resize(1)
            await self._resize(0)
            async for _ in changes:
                await self._resize(0)

    async def _resize(self, more: int) -> None:
        with suppress(OSError):
            columns, rows = os.get_terminal_size(1)
            await self._send(b"r%d %d" % (rows + more, columns + more))
