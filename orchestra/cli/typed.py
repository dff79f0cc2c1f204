"""The command line as typer has it: help, and what is wrong with a line that ``line.py`` left."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, get_args, get_type_hints

import typer
from typer.core import TyperGroup

from orchestra.cli.app import COMMANDS, GROUPS, OTHER_NAMES, body_of, entry, interspersed
from orchestra.cli.declare import Argument, Context, Option
from orchestra.errors import UsageError

if TYPE_CHECKING:
    from typer._click import (
        Command,
        HelpFormatter,
    )  # typer carries its own click, and names no other
    from typer._click import (
        Context as ClickContext,
    )

_HELP = {"help_option_names": ["--help", "-h"]}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called."""

    prefix = ""
    helps: Mapping[str, str] = COMMANDS

    def list_commands(self, ctx: ClickContext) -> list[str]:  # noqa: ARG002
        """Return every command's name."""
        return sorted(self.helps)

    def get_command(self, ctx: ClickContext, cmd_name: str) -> Command | None:  # noqa: ARG002
        """Import a command."""
        name = self.prefix + cmd_name
        full = OTHER_NAMES.get(name, name)
        if full in GROUPS:
            return _group(full, cmd_name)
        cmd_name = full.removeprefix(self.prefix)
        help_text = self.helps.get(cmd_name) or self.helps.get(name)
        if help_text is None:
            return None
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        settings = {**_HELP, "allow_interspersed_args": interspersed(name)}
        app.command(name=name.rpartition(" ")[2], help=help_text, context_settings=settings)(
            typed(body_of(name))
        )
        return typer.main.get_command(app)

    def format_commands(self, ctx: ClickContext, formatter: HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self.helps.items()))

    def resolve_command(
        self, ctx: ClickContext, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        name = self.prefix + args[0] if args else ""
        if args and args[0] not in self.helps and name not in OTHER_NAMES and args[0][:1] != "-":
            import difflib

            near = difflib.get_close_matches(args[0], self.helps, 1)
            program = f"orchestra {self.prefix}".rstrip()
            hint = f"did you mean {near[0]}?" if near else f"see `{program} --help`"
            raise UsageError(f'unknown command "{name}"', hint=hint)
        return super().resolve_command(ctx, args)


def _group(name: str, last: str) -> Command:
    """Return the group of the commands that begin with these words, called by the last one."""

    class Group(LazyGroup):
        prefix = f"{name} "
        helps = GROUPS[name]

    def nothing() -> None:
        return

    group = typer.Typer(
        name=last,
        cls=Group,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=_HELP,
    )
    above, _, word = name.rpartition(" ")
    group.callback(help=GROUPS[above][word] if above else COMMANDS[word])(nothing)
    return typer.main.get_command(group)


def typed(function: Callable[..., object]) -> Callable[..., object]:
    """Return the same function, declared in typer's words."""

    @wraps(function)
    def call(*args: object, **values: object) -> object:
        return function(*args, **values)

    signature = inspect.signature(function)
    hints = {
        name: _typed_hint(hint)
        for name, hint in get_type_hints(
            function, localns={"Annotated": Annotated}, include_extras=True
        ).items()
    }
    parameters = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    call.__annotations__ = hints
    setattr(call, "__signature__", signature.replace(parameters=parameters))  # noqa: B010
    return call


def _typed_hint(hint: object) -> object:
    if hint is Context:
        return typer.Context
    base, *declared = get_args(hint) or (hint,)
    told = declared[0] if declared else None
    if isinstance(told, Option):
        return Annotated[base, typer.Option(*told.names, help=told.help, metavar=told.metavar)]
    if isinstance(told, Argument):
        return Annotated[base, typer.Argument(metavar=told.metavar, min=told.min, max=told.max)]
    return hint


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    context_settings=_HELP,
)
app.callback(help="Run Compose projects on Linux with no daemon.")(typed(entry))


def _with_help(arguments: list[str]) -> list[str]:
    """Ask for the help of what cannot stand alone."""
    groups = [name.split() for name in GROUPS]
    groups += [name.split() for name, other in OTHER_NAMES.items() if other in GROUPS]
    alone = not arguments or arguments in groups
    return [*arguments, "--help"] if alone else arguments


def answer(arguments: list[str]) -> int:
    """Run one command line and return the exit code.

    :raises OrchestraError: of the command.
    """
    try:
        result = typer.main.get_command(app).main(
            _with_help(arguments), prog_name="orchestra", standalone_mode=False
        )
    except typer.Exit as err:
        return err.exit_code
    except typer.Abort:
        return 130
    except SystemExit:  # typer's own answer to a closed pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except typer.TyperException as err:
        from orchestra.cli.render.errors import show_usage

        return show_usage(err)
    return result if isinstance(result, int) else 0
