"""OCI hooks: programs run at points of a container's life, its state on their stdin."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Sequence

from orchestra.engine.linux.process import exit_of
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import Hook, RuntimeState


def run_hooks(hooks: Sequence[Hook], state: RuntimeState, kind: str) -> None:
    """Run hooks one after the other.

    :raises RuntimeFailure: when one cannot be run, fails, or takes too long.
    """
    for hook in hooks:
        _run(hook, json.dumps(state).encode(), kind)


def _run(hook: Hook, document: bytes, kind: str) -> None:
    reader, writer = os.pipe()
    try:
        environment = dict(item.partition("=")[::2] for item in hook.get("env") or [])
        arguments = hook.get("args") or [hook["path"]]
        pid = os.posix_spawn(
            hook["path"],
            arguments,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)],
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    except OSError as err:
        os.close(writer)
        raise failed(f'run the {kind} hook "{hook["path"]}"', err) from err
    finally:
        os.close(reader)
    try:
        os.write(writer, document)
    except BrokenPipeError:
        pass  # It need not read its stdin.
    finally:
        os.close(writer)
    code = _wait(pid, hook.get("timeout"))
    if code is None:
        raise RuntimeFailure(f'the {kind} hook "{hook["path"]}" took too long')
    if code:
        raise RuntimeFailure(f'the {kind} hook "{hook["path"]}" failed with exit code {code}')


def _wait(pid: int, timeout: int | None) -> int | None:
    """Return the exit code, or None when it had to be killed for its time."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = bool(poll.poll(None if timeout is None else timeout * 1000))
        if not in_time:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        code = exit_of(os.waitpid(pid, 0)[1])["code"]
        return code if in_time else None
    finally:
        os.close(pidfd)
