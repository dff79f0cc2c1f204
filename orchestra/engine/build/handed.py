"""What a build step is handed for its time, and no longer: secrets and ssh agents.

A secret is a file on the volatile directory, an agent a socket of ours there that passes on what
lists keys and signs with them, and nothing else: a step cannot take, add or remove a key. Both are
shown by a mount and are gone with the step.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.mounts import RunMount
from orchestra.engine.build.workspace import make_private
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.waiting import in_thread
from orchestra.errors import BuildError
from orchestra.planner.building import FileRights
from orchestra.values import dataclass

if TYPE_CHECKING:
    from anyio.abc import SocketStream
    from anyio.streams.buffered import BufferedByteReceiveStream

_SECRET_MODE = 0o400
_SECRET_BYTES_MAX = 512 * 1024
_SOCKET_MODE = 0o600
_FRAME_BYTES_MAX = 256 * 1024
_REQUEST_IDENTITIES, _SIGN_REQUEST = 11, 13
_FAILURE = b"\0\0\0\1\5"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """Where a secret comes from: a file, or a value. ``rights`` count where a step says none."""

    path: str = ""
    content: str | None = None
    rights: FileRights = FileRights()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A secret as a step gets it: a file to show, a variable to set, or both."""

    path: Path | None = None
    variable: str = ""


def read_secret(source: SecretSource, identity: str) -> bytes:
    """Read a secret.

    :raises BuildError: when it cannot be read, or is larger than a secret may be.
    """
    if source.content is not None:
        data = source.content.encode("utf-8", "surrogateescape")
    else:
        try:
            with open(source.path, "rb") as file:  # noqa: PTH123
                data = file.read(_SECRET_BYTES_MAX + 1)
        except OSError as error:
            raise BuildError(
                f'cannot read the secret "{identity}" from "{source.path}": {error.strerror}'
            ) from error
    if len(data) > _SECRET_BYTES_MAX:
        raise BuildError(f'the secret "{identity}" is larger than 512 KiB')
    return data


async def hand_secret(
    stack: AsyncExitStack, mount: RunMount, known: Mapping[str, SecretSource], run: Path
) -> Handed:
    """Lay out a secret below ``run``; it is removed when ``stack`` ends.

    :raises BuildError: when it is required and not given, or cannot be read.
    """
    source = known.get(mount.id)
    if source is None:
        if mount.required:
            raise BuildError(
                f'the secret "{mount.id}" is not given',
                hint=f"list it under build.secrets (known: {sorted(known)})",
            )
        return Handed()
    data = await in_thread(read_secret, source, mount.id)
    variable = ""
    if mount.env is not None:
        variable = f"{mount.env or mount.id}={data.decode('utf-8', 'surrogateescape')}"
    path = None
    if mount.target:
        directory = run / "build-secrets" / os.urandom(8).hex()
        make_private(directory)
        stack.callback(_remove, directory)
        path = _write_secret(directory / "secret", data, mount, source.rights)
    return Handed(path=path, variable=variable)


def _remove(directory: Path) -> None:
    with suppress(OSError):
        remove_tree(str(directory))


def _write_secret(path: Path, data: bytes, mount: RunMount, rights: FileRights) -> Path:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        os.fchown(fd, _first(mount.uid, rights.uid, 0), _first(mount.gid, rights.gid, 0))
        os.fchmod(fd, _first(mount.mode, rights.mode, _SECRET_MODE))
    return path


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


async def hand_agent(
    stack: AsyncExitStack, mount: RunMount, known: Mapping[str, str], run: Path
) -> Path | None:
    """Open a socket below ``run`` that leads to an agent, until ``stack`` ends.

    :raises BuildError: when it is required and not given.
    """
    upstream = known.get(mount.id)
    if upstream is None:
        if mount.required:
            raise BuildError(
                f'the ssh agent "{mount.id}" is not given',
                hint=f"build.ssh: [{mount.id}], or build --ssh {mount.id} (known: {sorted(known)})",
            )
        return None
    return await stack.enter_async_context(_forwarded(upstream, mount, run))


@asynccontextmanager
async def _forwarded(upstream: str, mount: RunMount, run: Path) -> AsyncIterator[Path]:
    directory = run / "build-ssh" / os.urandom(4).hex()
    make_private(directory)
    import anyio  # noqa: PLC0415 - what runs has a loop

    path = directory / "agent"
    try:
        listener = await anyio.create_unix_listener(
            path, mode=_SOCKET_MODE if mount.mode is None else mount.mode
        )
        os.chown(path, mount.uid or 0, mount.gid or 0)

        async def serve(client: SocketStream) -> None:
            async with client:
                await _pass_on(client, upstream)

        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            yield path
            tasks.cancel_scope.cancel()
    finally:
        _remove(directory)


async def _pass_on(client: SocketStream, upstream: str) -> None:
    """Answer one client's requests until it, or the agent, goes."""
    import anyio  # noqa: PLC0415 - what runs has a loop
    from anyio.streams.buffered import BufferedByteReceiveStream  # noqa: PLC0415

    try:
        async with await anyio.connect_unix(upstream) as agent:
            asked, answered = BufferedByteReceiveStream(client), BufferedByteReceiveStream(agent)
            while True:
                frame = await _frame(asked)
                if frame[4] not in (_REQUEST_IDENTITIES, _SIGN_REQUEST):
                    await client.send(_FAILURE)
                    continue
                await agent.send(frame)
                await client.send(await _frame(answered))
    except (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
        return


async def _frame(stream: BufferedByteReceiveStream) -> bytes:
    head = await stream.receive_exactly(4)
    size = int.from_bytes(head, "big")
    if not 0 < size <= _FRAME_BYTES_MAX:
        raise ConnectionError("an agent's message is too long")
    return head + await stream.receive_exactly(size)
