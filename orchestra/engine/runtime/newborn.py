"""A container's first process, where a maker furnishes the container: what it has to do itself.

See attended.py. It is told what it is to become by the maker, in two messages.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Sequence
from typing import NoReturn, cast

from orchestra.engine.linux import forks, syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.linux.process import close_all_but
from orchestra.engine.runtime import become, reaper
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.departure import leave_session, take_stdio
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.labels import Label
from orchestra.engine.runtime.mounts import new_superblock
from orchestra.engine.runtime.resolve import Root
from orchestra.engine.runtime.rootfs import pivot
from orchestra.engine.runtime.sync import Channel, receive_with, send_with
from orchestra.oci.runtime import Process

NET = CloneFlag.NEWNET
_USUAL = b"%d" % int(CloneFlag.NEWPID)
_READY = b'{"kind":"ready"}'
_fork_as_usual = forks.forker(CloneFlag.NEWPID)
Program = tuple[
    dict[str, object],
    dict[str, str],
    bytes | None,
    int,
    str,
    list[tuple[str, tuple[str, ...], str]],
    bool,
    str,
    int,
    str,
]
"""A become.Person, whether it has an init of ours, the container's id, the namespaces that are
still to be made, the cgroup to join: as what marshal takes."""
Data = list[tuple[str, str | None]]


def is_apart(orders: bytes) -> bool:
    """Tell whether the container has pids of its own, and an init that orphans go to."""
    return orders.startswith(_USUAL)


def fork(orders: bytes, fds: Sequence[int]) -> tuple[int, bytes]:
    """Fork a container's first process by ``Attended.orders``' orders; 0 in the child.

    Closes the cgroup's descriptor. Second: what the child needs for ``run``.

    :raises OSError: EAGAIN, ENOSPC, EPERM.
    """
    flags, _, rest = orders.partition(b" ")
    if flags == _USUAL and len(fds) == 1:
        return _fork_as_usual(), rest
    born_in = fds[1] if len(fds) > 1 else -1
    try:
        return forks.clone3(int(flags), cgroup_fd=born_in), rest
    finally:
        if born_in >= 0:
            os.close(born_in)


def run(orders: bytes, channel: int, stdio: Callable[[], tuple[int, int, int]]) -> NoReturn:
    """Be a container's first process, from its birth to its program."""
    line = Channel(channel)
    try:
        try:
            _live(orders, line, stdio())
        except RuntimeFailure as failure:
            line.send_failure(failure)
        except OSError as err:
            line.send_failure(failed("make the container's first process", err))
        except BaseException as err:  # noqa: BLE001 - a process entry point: nothing above us but fork
            what = f"cannot make the container's first process: {type(err).__name__}: {err}"
            line.send_failure(RuntimeFailure(what))
    finally:
        os._exit(1)


def _live(orders: bytes, line: Channel, stdio: tuple[int, int, int]) -> None:
    flags, procfs, cgroup, bounding = marshal.loads(orders)  # noqa: S302 - our own
    leave_session()
    (line.fd,) = take_stdio(stdio, (line.fd,))
    if cgroup:
        Cgroup.at(cgroup).join()
    syscalls.unshare(flags)
    become.drop_bounding(bounding)
    send_with(line.fd, _READY, () if procfs is None else (_make_procfs(procfs),))
    told, (*network,) = receive_with(line.fd)
    if not told:
        os._exit(1)
    program: Program = marshal.loads(told)  # noqa: S302 - our own
    person, own_init = _person(program)
    container_id, later, cgroup = program[-3:]
    syscalls.join_session_keyring(f"_ses.{container_id}")
    syscalls.setns(network[0], NET)
    if cgroup:
        Cgroup.at(cgroup).join()
    syscalls.unshare(later)
    user = person.process.get("user") or {"uid": 0, "gid": 0}
    become.own_pipes((1, 2), user["uid"], user["gid"])
    send_with(line.fd, _READY, ())
    told, (*root,) = receive_with(line.fd)
    if not told:
        os._exit(1)
    person = become.with_environment(person, "HOME", marshal.loads(told))  # noqa: S302 - our own
    pivot(Root(root[0]))
    close_all_but((line.fd,))
    become.take_user(person, at_root=True)
    send_with(line.fd, _READY, ())
    candidates = become.find_program(person)
    become.close_walls(person)
    if own_init:
        reaper.fork_program()
    become.execute(person, candidates)


def _make_procfs(data: Data) -> int:
    """Return a superblock of this pid namespace."""
    try:
        return new_superblock("proc", "proc", data)
    except OSError as err:
        raise failed('mount proc at "/proc"', err) from err


def _person(told: Program) -> tuple[become.Person, bool]:
    process, environment, program, flags, optional, labels, own_init, *_ = told
    person = become.Person(
        process=cast("Process", process),
        environment=environment,
        filter=program,
        filter_flags=flags,
        optional_rlimits=optional,
        labels=tuple(Label(*label) for label in labels),
    )
    return person, own_init
