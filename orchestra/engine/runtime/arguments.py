"""The command line of the runtime: runc's verbs and flags, read into a namespace.

Only the parser of the verb at hand is filled: each start pays for what it reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import NoReturn

from orchestra.engine.runtime.failure import RuntimeFailure

_DEFAULT_ROOT = "/run/orchestra/runtime"
USAGE = 2
"""The exit code of a command line that cannot be read."""


class _Parser(argparse.ArgumentParser):
    """A parser that fails as the runtime does: in one clause, by an exception."""

    def error(self, message: str) -> NoReturn:
        """Fail."""
        raise RuntimeFailure(f"{self.prog}: {message}", exit_code=USAGE)


def parse(arguments: Sequence[str], options: argparse.Namespace) -> None:
    """Read a command line into ``options``, as far as it can be read.

    :raises RuntimeFailure: with the exit code USAGE, or naming a verb of runc's that is refused.
    """
    parser = _Parser(prog="orchestra-runtime", allow_abbrev=False)
    parser.add_argument("--root", default=_DEFAULT_ROOT)
    parser.add_argument("--log", default="")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--systemd-cgroup", action="store_true")
    parser.add_argument("--rootless", choices=("true", "false", "auto"), default="auto")
    parser.add_argument("--version", "-v", action="store_true")
    if {"--version", "-v"} & set(takewhile(lambda word: word not in _VERBS, arguments)):
        options.verb = "version"
        return
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for name, fill in _VERBS.items():
        sub = verbs.add_parser(name, allow_abbrev=False, help=_HELP[name])
        if name in arguments:
            fill(sub)
    for name in _REFUSED.keys() & set(arguments):
        verbs.add_parser(name, allow_abbrev=False, add_help=False)
    _, unknown = parser.parse_known_args(arguments, options)
    if why := _REFUSED.get(options.verb):
        raise RuntimeFailure(f'the verb "{options.verb}" is not supported: {why}')
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.systemd_cgroup:
        raise RuntimeFailure(
            "--systemd-cgroup is not supported: cgroups are made by the file system alone",
            exit_code=USAGE,
        )


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f'"{text}" is no number')
    return int(text)


def _whole(text: str) -> int:
    return -_natural(text[1:]) if text.startswith("-") else _natural(text)


def _bytes(text: str) -> int:
    """Read a size: bytes, or with the unit b, k, m, g or t; -1 is unlimited."""
    unit = text.lower().removesuffix("b").removesuffix("i")
    shift = {"k": 10, "m": 20, "g": 30, "t": 40}.get(unit[-1:], 0)
    try:
        return _whole(unit[:-1] if shift else unit) << shift
    except argparse.ArgumentTypeError as err:
        raise argparse.ArgumentTypeError(f'"{text}" is no size') from err


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id")


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", "-f", choices=("table", "json"), default="table")


def _terminal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pid-file", default="")
    parser.add_argument("--console-socket", default="")
    parser.add_argument("--detach", "-d", action="store_true")
    parser.add_argument("--preserve-fds", type=_natural, default=0, metavar="N")


def _starting(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("--bundle", "-b", default=".")
    _terminal(parser)
    parser.add_argument("--no-new-keyring", action="store_true")


def _kill(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("signal", nargs="?", default="TERM")
    parser.add_argument("--all", "-a", action="store_true")


def _delete(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("--force", "-f", action="store_true")


def _exec(parser: argparse.ArgumentParser) -> None:
    _terminal(parser)
    parser.add_argument("--process", "-p", default="")
    parser.add_argument("--tty", "-t", action="store_true")
    parser.add_argument("--env", "-e", action="append", default=[])
    parser.add_argument("--cwd", default="")
    parser.add_argument("--user", "-u", default="")
    parser.add_argument("--additional-gids", "-g", type=_natural, action="append", default=[])
    parser.add_argument("--cap", "-c", action="append", default=[])
    parser.add_argument("--no-new-privs", action="store_true")
    parser.add_argument("--process-label", default="")
    parser.add_argument("--apparmor", default="")
    parser.add_argument("--ignore-paused", action="store_true")
    parser.add_argument("--cgroup", action="append", default=[], metavar="[CONTROLLER:]PATH")
    _id(parser)
    parser.add_argument("args", nargs=argparse.REMAINDER)


def _list(parser: argparse.ArgumentParser) -> None:
    _format(parser)
    parser.add_argument("--quiet", "-q", action="store_true")


def _ps(parser: argparse.ArgumentParser) -> None:
    _format(parser)
    _id(parser)
    parser.add_argument("args", nargs=argparse.REMAINDER)


def _spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", "-b", default=".")
    parser.add_argument("--rootless", action="store_true", dest="rootless_container")


def _events(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("--stats", action="store_true")
    parser.add_argument("--interval", default="5s")


def _update(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("--resources", "-r", default="", metavar="FILE|-")
    for flags in (["--memory"], ["--memory-swap"], ["--memory-reservation"]):
        parser.add_argument(*flags, type=_bytes)
    parser.add_argument("--cpu-shares", "--cpu-share", type=_natural)
    parser.add_argument("--cpu-quota", type=_whole)
    for flag in ("--cpu-period", "--cpu-burst", "--cpu-idle", "--cpu-rt-period"):
        parser.add_argument(flag, type=_natural)
    parser.add_argument("--cpu-rt-runtime", type=_whole)
    parser.add_argument("--cpuset-cpus")
    parser.add_argument("--cpuset-mems")
    parser.add_argument("--pids-limit", type=_whole)
    parser.add_argument("--blkio-weight", type=_natural)


def _nothing(_parser: argparse.ArgumentParser) -> None:
    return


_VERBS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "create": _starting,
    "delete": _delete,
    "events": _events,
    "exec": _exec,
    "features": _nothing,
    "kill": _kill,
    "list": _list,
    "pause": _id,
    "ps": _ps,
    "resume": _id,
    "run": _starting,
    "spec": _spec,
    "start": _id,
    "state": _id,
    "update": _update,
}
_HELP: Mapping[str, str] = {
    "create": "create a container from a bundle",
    "delete": "remove an ended container, with --force a running one",
    "events": "print usage and out-of-memory events as lines of JSON",
    "exec": "run a further process in a container",
    "features": "print what this runtime can do as JSON",
    "kill": "send a signal to a container's init, with --all to every process",
    "list": "list containers",
    "pause": "stop every process of a container",
    "ps": "list the processes of a container",
    "resume": "let the processes of a paused container go on",
    "run": "create and start a container",
    "spec": "write a config.json to begin with",
    "start": "start a created container",
    "state": "print a container's state as JSON",
    "update": "change a running container's limits",
}
_REFUSED: Mapping[str, str] = {
    "checkpoint": "the state of running processes is not written to disk (CRIU)",
    "restore": "processes are not brought back from a checkpoint (CRIU)",
}
