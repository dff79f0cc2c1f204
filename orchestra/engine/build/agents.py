"""The ssh agents of one build: the user's own, another one by its socket, or one made of keys.

A key is never read here: an ssh-agent of the build's own holds it, started for the build and
stopped with it.
"""

from __future__ import annotations

import secrets
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path, PurePosixPath

import anyio
from anyio.abc import Process

from orchestra.engine.build.workspace import make_private
from orchestra.engine.process import run_command
from orchestra.errors import BuildError, CommandError

_START_SECONDS = 10.0


@asynccontextmanager
async def agents(
    wanted: Mapping[str, str], variables: Mapping[str, str], run: PurePosixPath
) -> AsyncIterator[dict[str, str]]:
    """Yield the socket of each agent by its id; several keys of one have commas between.

    :raises BuildError: when there is no agent to forward, or a key cannot be had.
    """
    found: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for identity, path in sorted(wanted.items()):
            source = path or variables.get("SSH_AUTH_SOCK", "")
            if not source:
                raise BuildError(
                    f'there is no ssh agent to forward as "{identity}"',
                    hint="start one (eval $(ssh-agent); ssh-add), or name its socket or a key",
                )
            paths = [source] if Path(source).exists() else source.split(",")
            sockets = [path for path in paths if _is_socket(path, identity)]
            if len(paths) > 1 and sockets:
                raise BuildError(
                    f'cannot forward "{source}" as the ssh agent "{identity}": '
                    "a socket stands alone",
                    hint="name one socket, or keys with commas between",
                )
            if sockets:
                found[identity] = source
            else:
                own = _own_agent(tuple(map(Path, paths)), identity, Path(run))
                found[identity] = await stack.enter_async_context(own)
        yield found


def _is_socket(path: str, identity: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError as error:
        raise BuildError(
            f'cannot forward "{path}" as the ssh agent "{identity}": {error.strerror}'
        ) from error


@asynccontextmanager
async def _own_agent(keys: tuple[Path, ...], identity: str, run: Path) -> AsyncIterator[str]:
    directory = run / "build-ssh" / secrets.token_hex(4)
    make_private(directory)
    path = directory / "own"
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            await _start_agent(stack, keys, path)
        except (FileNotFoundError, TimeoutError, CommandError, anyio.EndOfStream) as error:
            why = error.message if isinstance(error, CommandError) else "ssh-agent does not start"
            raise BuildError(
                f'cannot use "{",".join(map(str, keys))}" as the ssh agent "{identity}": {why}',
                hint="it must be a private key without a passphrase, for its owner only",
            ) from error
        yield str(path)


async def _start_agent(stack: AsyncExitStack, keys: tuple[Path, ...], path: Path) -> None:
    with anyio.CancelScope(shield=True):  # broken off here, nobody would end it
        process = await anyio.open_process(
            ["ssh-agent", "-D", "-a", str(path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    stack.push_async_callback(_end, process)
    with anyio.fail_after(_START_SECONDS):
        if process.stdout is not None:  # it says where it listens once it does
            await process.stdout.receive()
    environment = {"SSH_AUTH_SOCK": str(path), "SSH_ASKPASS_REQUIRE": "never"}
    argv = ["ssh-add", "-q", *map(str, keys)]
    await run_command(argv, env=environment, timeout=timedelta(seconds=30))


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
        await process.aclose()
