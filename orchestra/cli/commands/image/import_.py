"""``orchestra image import``: an image of the archive of a root file system."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    source: Annotated[str, Argument(metavar="FILE|-")],
    reference: Annotated[str | None, Argument(metavar="[REPOSITORY[:TAG]]")] = None,
    changes: Annotated[
        list[str] | None,
        Option("--change", "-c", help="Apply Dockerfile instruction to the created image"),
    ] = None,
    message: Annotated[
        str, Option("--message", "-m", help="Set commit message for imported image")
    ] = "",
    platform: Annotated[
        str | None, Option("--platform", help="Set the platform of the image")
    ] = None,
) -> None:
    """Import, and print the image's id."""
    from orchestra.cli.reading import opened
    from orchestra.errors import UsageError

    if source.startswith(("http://", "https://")):
        raise UsageError(
            "an archive is imported from a file or stdin only",
            hint=f"curl -fL {source} | orchestra image import - {reference or ''}".rstrip(),
        )
    session = Session.of(ctx)
    traffic = session.machine.traffic
    with opened(source, option="a file's name") as file:
        print(
            session.run(
                lambda: traffic.import_root(
                    file.read,
                    reference,
                    changes=tuple(changes or ()),
                    message=message or f"Imported from {source}",
                    platform=platform,
                )
            )
        )
