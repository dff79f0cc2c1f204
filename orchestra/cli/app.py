"""The command line: global options, commands found by name, and the one place where errors end.

A command's module is imported only when that command is asked for; help texts of the list stand
here, so that ``--help`` imports none of them.
"""

from __future__ import annotations

import os
import sys

from orchestra.cli.declare import Annotated, Context, Exit, Option
from orchestra.cli.line import NotPlainError, Reader
from orchestra.cli.options import GlobalOptions
from orchestra.errors import OrchestraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = {
    "attach": "Attach local standard streams to a service's running container",
    "build": "Build or rebuild services",
    "builder": "Manage builds and what they remember",
    "buildx": "Manage builds and what they remember",
    "commit": "Create a new image from a service container's changes",
    "config": "Parse, resolve and render the Compose file in canonical format",
    "cp": "Copy files/folders between a service container and the local filesystem",
    "create": "Create containers for a service",
    "down": "Stop and remove containers, networks",
    "exec": "Execute a command in a running container",
    "export": "Export a service container's filesystem as a tar archive",
    "history": "Show the history of an image",
    "image": "Manage images",
    "images": "List images used by the created containers",
    "import": "Import the contents from a tarball to create a filesystem image",
    "kill": "Force stop service containers",
    "load": "Load an image from a tar archive or STDIN",
    "login": "Authenticate to a registry",
    "logout": "Log out from a registry",
    "logs": "View output from containers",
    "ls": "List projects",
    "pause": "Pause services",
    "plan": "Show what up would do, and why",
    "port": "Print the public port for a port binding",
    "ps": "List containers",
    "pull": "Pull service images",
    "push": "Push service images",
    "restart": "Restart service containers",
    "rm": "Remove stopped service containers",
    "rmi": "Remove one or more images",
    "run": "Run a one-off command on a service",
    "save": "Save one or more images to a tar archive (streamed to STDOUT by default)",
    "scale": "Scale services",
    "search": "Search a registry for images",
    "start": "Start services",
    "stats": "Display a live stream of containers' resource usage",
    "stop": "Stop services",
    "system": "Manage what Orchestra keeps on this machine",
    "tag": "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    "top": "Display the running processes",
    "unpause": "Unpause services",
    "up": "Create and start containers",
    "version": "Show the version information",
    "volumes": "List volumes",
    "wait": "Block until containers of all (or specified) services stop",
}
GROUPS = {
    "builder": {
        "build": "Build an image from a Dockerfile",
        "history": "Commands to work on build records",
        "prune": "Remove build cache",
    },
    "builder history": {
        "inspect": "Inspect a build record",
        "logs": "Print the logs of a build record",
        "ls": "List build records",
        "rm": "Remove build records",
    },
    "image": {
        "build": "Build an image from a Dockerfile",
        "history": "Show the history of an image",
        "import": "Import the contents from a tarball to create a filesystem image",
        "inspect": "Display detailed information on one or more images",
        "load": "Load an image from a tar archive or STDIN",
        "ls": "List images",
        "prune": "Remove unused images",
        "pull": "Download an image from a registry",
        "push": "Upload an image to a registry",
        "rm": "Remove one or more images",
        "save": "Save one or more images to a tar archive (streamed to STDOUT by default)",
        "search": "Search a registry for images",
        "tag": "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    },
    "system": {
        "df": "Show disk usage",
        "prune": "Remove unused data",
    },
}
"""Commands of several words, by those before the last one."""
OTHER_NAMES = {
    "builder build": "image build",
    "builder history list": "builder history ls",
    "builder history remove": "builder history rm",
    "buildx": "builder",
    "history": "image history",
    "image list": "image ls",
    "image remove": "image rm",
    "import": "image import",
    "load": "image load",
    "rmi": "image rm",
    "save": "image save",
    "search": "image search",
    "tag": "image tag",
}
"""Names of docker's that mean a command of another name."""


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


def every_command() -> dict[str, str]:
    """Return what each command is for, by all its words; no group."""
    alone = {name: text for name, text in COMMANDS.items() if OTHER_NAMES.get(name) not in GROUPS}
    several = {f"{group} {name}": GROUPS[group][name] for group in GROUPS for name in GROUPS[group]}
    return {name: text for name, text in (alone | several).items() if name not in GROUPS}


def body_of(name: str) -> Callable[..., object]:
    """Import a command, by all its words, and return its function."""
    module = f"orchestra.cli.commands.{module_of(name)}"
    __import__(module)  # importlib is one more module to import
    body: Callable[..., object] = sys.modules[module].command
    return body


def module_of(name: str) -> str:
    """Return the module of a command, below ``commands``."""
    module = OTHER_NAMES.get(name, name).replace(" ", ".")
    return f"{module}_" if module == "image.import" else module  # a word of Python's own


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
    name, length = _name(arguments[read:])
    body = body_of(name)
    reader = Reader(body, interspersed=interspersed(name))
    values, _ = reader.read(arguments[read + length :])
    context = Context()
    collect: Callable[..., object] = entry
    collect(context, **before)
    if reader.context is not None:
        values[reader.context] = context
    return lambda: body(**values)


def _name(words: list[str]) -> tuple[str, int]:
    """Return the command that a line begins with, and of how many words it is.

    :raises NotPlainError: when there is none.
    """
    name, length, known = "", 0, COMMANDS
    while not length or name in GROUPS:
        word = words[length] if length < len(words) else ""
        full = f"{name} {word}".lstrip()
        if word not in known and full not in OTHER_NAMES:
            raise NotPlainError
        other = OTHER_NAMES.get(full, "")
        name = other if other in GROUPS else full
        known, length = GROUPS.get(name, {}), length + 1
    return name, length


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
