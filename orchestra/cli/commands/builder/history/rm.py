"""``orchestra builder history rm``: remove records of builds."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    references: Annotated[list[str] | None, Argument(metavar="[REF|^N]...")] = None,
    everything: Annotated[bool, Option("--all", help="Remove all build records")] = False,
) -> None:
    """Remove those that are named, or all but those of builds that run."""
    from orchestra.cli.render.errors import lines_of
    from orchestra.cli.session import note
    from orchestra.errors import BuildError, UsageError

    if bool(references) == everything:
        raise UsageError("name builds, or all of them with --all", hint="REF is an id, or ^N")
    history = Session.of(ctx).machine.build_history
    if everything:
        history.clear()
        return
    found, failures = [], []
    for reference in references or ():  # ^1 and ^2 are told apart before one of them is gone
        try:
            found.append(history.find(reference).id)
        except BuildError as err:
            failures.append(err)
    for identity in dict.fromkeys(found):
        try:
            history.remove(identity)
        except BuildError as err:
            failures.append(err)
    for failure in failures:
        for line in lines_of(failure):
            note(line)
    if failures:
        raise Exit(BuildError.exit_code)
