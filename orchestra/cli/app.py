"""The command line: global options, commands found by name, and the one place where errors end.

A command's module is imported only when that command is asked for; help texts of the list stand
here, so that ``--help`` imports none of them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

from orchestra.cli.declare import Context, Exit, Option
from orchestra.cli.line import NotPlainError, Reader
from orchestra.cli.options import GlobalOptions
from orchestra.errors import OrchestraError

COMMANDS = {
    "attach": "Attach local standard streams to a service's running container",
    "build": "Build or rebuild services",
    "commit": "Create a new image from a service container's changes",
    "config": "Parse, resolve and render the Compose file in canonical format",
    "cp": "Copy files/folders between a service container and the local filesystem",
    "down": "Stop and remove containers, networks",
    "exec": "Execute a command in a running container",
    "export": "Export a service container's filesystem as a tar archive",
    "images": "List images used by the created containers",
    "kill": "Force stop service containers",
    "logs": "View output from containers",
    "ls": "List projects",
    "pause": "Pause services",
    "plan": "Show what up would do, and why",
    "port": "Print the public port for a port binding",
    "ps": "List containers",
    "pull": "Pull service images",
    "restart": "Restart service containers",
    "rm": "Remove stopped service containers",
    "run": "Run a one-off command on a service",
    "start": "Start services",
    "stats": "Display a live stream of containers' resource usage",
    "stop": "Stop services",
    "top": "Display the running processes",
    "unpause": "Unpause services",
    "up": "Create and start containers",
    "version": "Show the version information",
}


def entry(
    ctx: Context,
    files: Annotated[
        list[str] | None, Option("--file", "-f", help="Compose configuration files")
    ] = None,
    project_name: Annotated[str | None, Option("--project-name", "-p", help="Project name")] = None,
    project_directory: Annotated[
        str | None,
        Option(
            "--project-directory",
            help="Alternate working directory (default: the path of the first Compose file)",
        ),
    ] = None,
    env_files: Annotated[
        list[str] | None, Option("--env-file", help="Alternate environment files")
    ] = None,
    profiles: Annotated[list[str] | None, Option("--profile", help="Profiles to enable")] = None,
    ansi: Annotated[str, Option("--ansi", help="Control characters: never, always, auto")] = "auto",
    progress: Annotated[
        str, Option("--progress", help="Progress output: auto, tty, plain, json, quiet")
    ] = "auto",
    runtime: Annotated[
        str | None,
        Option(
            "--runtime",
            help="OCI runtime of services that name none: native, crun, runc or a path "
            "(default: runtime in config.toml, else native)",
        ),
    ] = None,
    debug: Annotated[bool, Option("--debug", help="Show the causes of errors")] = False,
) -> None:
    """Collect the global options."""
    ctx.obj = GlobalOptions(
        files=tuple(files or ()),
        project_name=project_name,
        project_directory=project_directory,
        env_files=tuple(env_files or ()),
        profiles=tuple(profiles or ()),
        ansi=ansi,
        progress=progress,
        runtime=runtime,
        debug=debug,
    )


def body_of(name: str) -> Callable[..., object]:
    """Import a command and return its function."""
    body: Callable[..., object] = importlib.import_module(f"orchestra.cli.commands.{name}").command
    return body


def interspersed(name: str) -> bool:
    """Tell whether a command's options may follow its arguments.

    ``exec`` and ``run`` pass on everything after the service, options included.
    """
    return name not in {"exec", "run"}


def _read(arguments: list[str]) -> Callable[[], object]:
    """Return what a plain command line means.

    :raises NotPlainError: when typer has to look at it.
    """
    before, read = Reader(entry).read(arguments, command_follows=True)
    if read == len(arguments) or arguments[read] not in COMMANDS:
        raise NotPlainError
    name = arguments[read]
    body = body_of(name)
    reader = Reader(body, interspersed=interspersed(name))
    values, _ = reader.read(arguments[read + 1 :])
    context = Context()
    collect: Callable[..., object] = entry
    collect(context, **before)
    if reader.context is not None:
        values[reader.context] = context
    return partial(body, **values)


def _answer(arguments: list[str]) -> int:
    try:
        act = _read(arguments)
    except NotPlainError:
        from orchestra.cli.typed import answer

        return answer(arguments)
    act()
    return 0


def run(arguments: list[str]) -> int:
    """Run one command line and return the exit code. Every error ends here."""
    debug = "--debug" in arguments or bool(os.environ.get("ORCHESTRA_DEBUG"))
    try:
        return _answer(arguments)
    except Exit as err:
        return err.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OrchestraError as err:
        from orchestra.cli.render.errors import show

        return show(err, debug=debug)
    except Exception as err:  # noqa: BLE001 - the program's entry point
        from orchestra.cli.render.errors import show_bug

        return show_bug(err, debug=debug)
