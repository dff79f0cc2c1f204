"""``orchestra image rm``: remove images."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session, note


def command(
    ctx: Context,
    images: Annotated[list[str], Argument(metavar="IMAGE...")],
    force: Annotated[bool, Option("--force", "-f", help="Force removal of the image")] = False,
    no_prune: Annotated[
        bool, Option("--no-prune", help="Keep layers on disk until the next prune")
    ] = False,
    platforms: Annotated[
        list[str] | None,
        Option("--platform", help="Remove only this platform variant: OS/ARCH or OS/ARCH/VARIANT"),
    ] = None,
) -> None:
    """Remove names, and images without names; what cannot go is told, and the rest removed."""
    from orchestra.cli.render.errors import lines_of
    from orchestra.errors import ImageError, StepErrors
    from orchestra.oci.platform import parse_platform

    wanted = [parse_platform(each) for text in platforms or () for each in text.split(",")]
    session = Session.of(ctx)
    library = session.machine.library
    failures: list[ImageError] = []

    async def main() -> None:
        for text in images:
            try:
                if wanted:
                    lines = await library.remove_platforms(text, wanted)
                else:
                    lines = await library.remove(text, force=force, prune=not no_prune)
                print("\n".join(lines))
            except ImageError as err:
                failures.append(err)

    session.run(main)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        for line in lines_of(StepErrors(tuple(failures))):
            note(line)
        raise Exit(ImageError.exit_code)
