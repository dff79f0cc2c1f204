"""The command line: global options, commands found by name, and the one place where errors end.

A command's module is imported only when that command is asked for; help texts of the list stand
here, so that ``--help`` imports none of them.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from orchestra.cli.options import GlobalOptions
from orchestra.errors import OrchestraError, UsageError

if TYPE_CHECKING:
    from typer._click import (
        Command,
        Context,
        HelpFormatter,
    )  # typer carries its own click, and names no other

COMMANDS = {
    "build": "Build or rebuild services",
    "config": "Parse, resolve and render the Compose file in canonical format",
    "down": "Stop and remove containers, networks",
    "exec": "Execute a command in a running container",
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


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """Return every command's name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orchestra.cli.commands.{cmd_name}")
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name=cmd_name, help=COMMANDS[cmd_name], context_settings=_settings(cmd_name))(
            module.command
        )
        return typer.main.get_command(app)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "see `orchestra --help`"
            raise UsageError(f'unknown command "{args[0]}"', hint=hint)
        return super().resolve_command(ctx, args)


def _settings(name: str) -> dict[str, object]:
    """``exec`` and ``run`` pass on everything after the service, options included."""
    settings: dict[str, object] = {"help_option_names": ["--help", "-h"]}
    if name in {"exec", "run"}:
        settings |= {"ignore_unknown_options": False, "allow_interspersed_args": False}
    return settings


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(help="Run Compose projects on Linux with no daemon.")
def entry(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None, typer.Option("--file", "-f", help="Compose configuration files")
    ] = None,
    project_name: Annotated[
        str | None, typer.Option("--project-name", "-p", help="Project name")
    ] = None,
    project_directory: Annotated[
        str | None,
        typer.Option(
            "--project-directory",
            help="Alternate working directory (default: the path of the first Compose file)",
        ),
    ] = None,
    env_files: Annotated[
        list[str] | None, typer.Option("--env-file", help="Alternate environment files")
    ] = None,
    profiles: Annotated[
        list[str] | None, typer.Option("--profile", help="Profiles to enable")
    ] = None,
    ansi: Annotated[
        str, typer.Option("--ansi", help="Control characters: never, always, auto")
    ] = "auto",
    progress: Annotated[
        str, typer.Option("--progress", help="Progress output: auto, tty, plain, json, quiet")
    ] = "auto",
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="OCI runtime: native, crun, runc or a path")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the causes of errors")] = False,
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


def run(arguments: list[str]) -> int:
    """Run one command line and return the exit code. Every error ends here."""
    debug = "--debug" in arguments or bool(os.environ.get("ORCHESTRA_DEBUG"))
    try:
        result = typer.main.get_command(app).main(
            arguments or ["--help"], prog_name="orchestra", standalone_mode=False
        )
    except typer.Exit as err:
        return err.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except SystemExit:  # typer's own answer to a closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OrchestraError as err:
        from orchestra.cli.render.errors import show

        return show(err, debug=debug)
    except typer.TyperException as err:
        from orchestra.cli.render.errors import show_usage

        return show_usage(err)
    except Exception as err:  # noqa: BLE001 - the program's entry point
        from orchestra.cli.render.errors import show_bug

        return show_bug(err, debug=debug)
    return result if isinstance(result, int) else 0
