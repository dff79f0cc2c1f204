"""``orchestra attach``: join a running container's streams."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session, note
from orchestra.errors import UsageError

_DEFAULT_KEYS = "ctrl-p,ctrl-q"
_CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
_PASSED_ON = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
"""Beside SIGINT and SIGTERM, which the session has."""


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    detach_keys: Annotated[
        str, Option("--detach-keys", help=f"Keys for detaching (default {_DEFAULT_KEYS})")
    ] = "",
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several")
    ] = 0,
    no_stdin: Annotated[bool, Option("--no-stdin", help="Do not attach STDIN")] = False,
    sig_proxy: Annotated[
        bool,
        Option("--sig-proxy/--no-sig-proxy", help="Proxy all received signals to the process"),
    ] = True,
) -> None:
    """Show its output and pass on our input until it ends, and exit with its code."""
    from orchestra.cli.transact import check_not_paused, pick_running

    keys = parse_keys(detach_keys or _DEFAULT_KEYS)
    session = Session.of(ctx)

    async def main() -> int | None:
        observed = session.machine.containers(session.project_name)
        container = pick_running(observed, service, index)
        check_not_paused(container)
        access = session.machine.access
        terminal = access.has_terminal(observed.project, container.id)
        if terminal and not no_stdin and not sys.stdin.isatty():
            raise UsageError(
                "the container has a terminal, and the input device is none", hint="use --no-stdin"
            )

        async def attached() -> int | None:
            return await access.attach(
                observed.project, container.id, stdin=not no_stdin, detach_keys=keys
            )

        if not sig_proxy or terminal:
            return await attached()
        return await _proxied(session, observed.project, container.id, attached)

    code = session.run(main)
    if code is None:
        note("detached")
    raise Exit(code or 0)


async def _proxied(
    session: Session, project: str, container_id: str, act: Callable[[], Awaitable[int | None]]
) -> int | None:
    """Do something while every signal that comes goes to a container."""
    import anyio

    from orchestra.errors import ContainerError

    received, numbers = anyio.create_memory_object_stream[int](64)

    def forward(number: int) -> None:
        with suppress(anyio.WouldBlock):
            received.send_nowait(number)

    async def listen() -> None:
        with anyio.open_signal_receiver(*_PASSED_ON) as others:
            async for number in others:
                forward(number)

    async def deliver() -> None:
        async for number in numbers:
            with suppress(ContainerError):  # it has ended
                await session.machine.kill(project, container_id, signal.Signals(number).name)

    with received, numbers, session.forwarding(forward):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            tasks.start_soon(deliver)
            code = await act()
            tasks.cancel_scope.cancel()
    return code


def parse_keys(text: str) -> bytes:
    """Return the bytes of a sequence like ``ctrl-p,ctrl-q`` or ``a,b``.

    :raises UsageError: when a key is none.
    """
    found = bytearray()
    for key in text.split(","):
        control = key.removeprefix("ctrl-")
        if len(key) == 1 and key.isascii():
            found.append(ord(key))
        elif key == "DEL":
            found.append(127)
        elif key != control and len(control) == 1 and control in _CONTROLS:
            found.append(_CONTROLS.index(control))
        else:
            raise UsageError(
                f'"{key}" is no key of --detach-keys', hint="write keys as a,ctrl-b,DEL"
            )
    return bytes(found)
