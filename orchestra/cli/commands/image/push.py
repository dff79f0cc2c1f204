"""``orchestra image push``: give an image to its registry."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session, note


def command(
    ctx: Context,
    name: Annotated[str, Argument(metavar="NAME[:TAG]")],
    all_tags: Annotated[
        bool, Option("--all-tags", "-a", help="Push all tags of an image to the repository")
    ] = False,
    platform: Annotated[
        str | None, Option("--platform", help="Push the image of this platform alone")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Suppress verbose output")] = False,
) -> None:
    """Push, and print the digest that the registry knows the image by."""
    from orchestra.cli.render.transfers import transfers

    session = Session.of(ctx)
    traffic = session.machine.traffic

    async def main() -> None:
        async with transfers(session.options, quiet=quiet) as report:
            for reference in traffic.tags_here(name, all_tags=all_tags):
                pushed = await traffic.push(reference, report, platform)
                if quiet:
                    print(session.machine.library.canonical(reference))
                else:
                    print(f"{pushed.tag}: digest: {pushed.digest} size: {pushed.size}")
                if pushed.whole:
                    note(
                        "not every platform of it is here, and only one image was pushed: "
                        f"{pushed.whole} -> {pushed.digest}"
                    )

    session.run(main)
