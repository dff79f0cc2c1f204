"""Pipes between this process and one that the launcher starts for it.

A container never gets a descriptor of the user's terminal or files: only pipes, read and written
here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.abc
import anyio.to_thread

from orchestra.engine.container.failures import unknown_end
from orchestra.engine.container.launching import ExecSession
from orchestra.engine.shim.protocol import Exited

_READ_BYTES = 64 * 1024
_STREAMS = ("stdout", "stderr")
Take = Callable[[str, bytes], None]


class Pipes:
    """stdin, stdout and stderr of a process to be; ``given`` are its ends, closed once passed.

    ``stdin``: there will be input; otherwise it is /dev/null.
    """

    def __init__(self, *, stdin: bool = False) -> None:
        self._readers: list[int] = []
        writers: list[int] = []
        for _ in _STREAMS:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(reader, False)
            self._readers.append(reader)
            writers.append(writer)
        self._input = -1
        if stdin:
            source, self._input = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._input, False)
        else:
            source = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.given = (source, writers[0], writers[1])
        self._given_open = True

    def passed(self) -> None:
        """Close the process's ends: it has them now, or never will."""
        if self._given_open:
            self._given_open = False
            for fd in self.given:
                os.close(fd)

    def close(self) -> None:
        """Close everything."""
        self.passed()
        self.end_input()
        while self._readers:
            os.close(self._readers.pop())

    def end_input(self) -> None:
        """Let the process see the end of its input."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    async def pump(self, take: Take) -> None:
        """Hand on output as it comes, until both streams end."""
        async with anyio.create_task_group() as tasks:
            for name, reader in zip(_STREAMS, self._readers, strict=True):
                tasks.start_soon(_pump_one, name, reader, take)

    async def accompany(
        self, session: ExecSession, take: Take, *, source: int | None = None
    ) -> Exited:
        """Close the passed ends, carry output and input until the process ends; return its end.

        :raises ContainerError: when nobody can tell the end.
        """
        self.passed()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.pump, take)
            if source is not None:
                tasks.start_soon(self.feed, source)
            ended = await session.ended()
            tasks.cancel_scope.cancel()
        self.drain(take)
        if ended is None:
            raise unknown_end()
        return ended

    def drain(self, take: Take) -> None:
        """Hand on what is there now, once the process has ended; what it left running may go on."""
        for name, reader in zip(_STREAMS, self._readers, strict=True):
            with suppress(BlockingIOError):
                while data := os.read(reader, _READ_BYTES):
                    take(name, data)

    async def feed(self, source: int) -> None:
        """Pass on what can be read from ``source`` until its end."""
        try:
            while data := await read_some(source):
                await self._write(data)
        finally:
            self.end_input()

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._input >= 0:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._input)
            except BrokenPipeError:
                return


async def read_some(fd: int) -> bytes:
    """Wait for data on a descriptor of any kind and read it; b"" at its end."""
    try:
        await anyio.wait_readable(fd)
    except OSError:
        # epoll(7) takes no regular files: those are always ready.
        return await anyio.to_thread.run_sync(os.read, fd, _READ_BYTES)
    try:
        return os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return await read_some(fd)
    except OSError:
        return b""  # EIO: nobody has the terminal open any more


async def _pump_one(name: str, reader: int, take: Take) -> None:
    while True:
        await anyio.wait_readable(reader)
        try:
            data = os.read(reader, _READ_BYTES)
        except BlockingIOError:
            continue
        if not data:
            return
        take(name, data)
