"""A `run` that a supervisor makes for a command: what is asked of it, and the conversation.

The command sends one line with the descriptors that its container shall have. It gets a line that
the container runs, with the launcher's conversation (and the terminal), on which the exit code
comes, and goes on with that alone: neither needs the other meanwhile. When the command has done
its part, or is dead, there is nothing more to read from it, and the container is done away with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

import anyio
from anyio.abc import UNIXSocketStream

from orchestra.engine.shim.wire import close_all
from orchestra.engine.state.codec import DecodeError, decode
from orchestra.engine.supervisor.protocol import LINE_BYTES_MAX
from orchestra.engine.target import Begun, RunRequest
from orchestra.errors import OrchestraError

_END_SECONDS = 120.0


class Runs(Protocol):
    """One project's one-off containers, as the supervisor makes them."""

    async def begin(self, request: RunRequest, stdio: Sequence[int]) -> Begun | None:
        """Make and start one; None when nothing was done, for the command to do it.

        :raises OrchestraError: when nobody else should try again.
        """
        ...

    async def end(self, container_id: str, *, remove: bool) -> None:
        """Wait until a container has ended, and take back what it was given, or remove it.

        :raises OrchestraError: when that cannot be.
        """
        ...


async def converse(
    stream: UNIXSocketStream, text: str, descriptors: Sequence[int], runs: Runs
) -> None:
    """Answer a request to run, whose text this is; the descriptors are closed.

    :raises anyio.BrokenResourceError: when the command is gone before it hears how it went.
    """
    try:
        request = _read(text)
        begun = await runs.begin(request, descriptors) if request else None
    except (OrchestraError, OSError) as err:
        await stream.send(_failed(err))
        return
    finally:
        close_all(descriptors)
    if request is None or begun is None:
        await stream.send(b'{"refused":true}\n')
        return
    answer = b"{}\n"
    try:
        await _stay(stream, begun)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_END_SECONDS):
            try:
                await runs.end(begun.container_id, remove=request.remove)
            except (OrchestraError, OSError) as err:
                answer = _failed(err)
    await stream.send(answer)


def _read(text: str) -> RunRequest | None:
    """Return a request; None for what another version of this program may mean."""
    try:
        return decode(RunRequest, json.loads(text))
    except (ValueError, DecodeError):
        return None


async def _stay(stream: UNIXSocketStream, begun: Begun) -> None:
    """Hand the container over, and wait until the command has no more to say."""
    line = json.dumps({"id": begun.container_id}).encode() + b"\n"
    try:
        try:
            await stream.send_fds(line, begun.descriptors)
        finally:
            close_all(begun.descriptors)
        while True:
            await stream.receive(LINE_BYTES_MAX)
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return


def _failed(error: OrchestraError | OSError) -> bytes:
    """Return an error as a line; one of the disk's is no reason to watch over nothing any more."""
    if isinstance(error, OrchestraError):
        told = {"error": error.message, "hint": error.hint}
    else:
        told = {"error": f"cannot run a container: {error}", "hint": None}
    return json.dumps(told).encode() + b"\n"
