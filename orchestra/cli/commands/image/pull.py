"""``orchestra image pull``: fetch an image by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from orchestra.cli.declare import Argument, Context, Option
from orchestra.cli.session import Session

if TYPE_CHECKING:
    from orchestra.engine.local.library import ImageLibrary


def command(
    ctx: Context,
    name: Annotated[str, Argument(metavar="NAME[:TAG|@DIGEST]")],
    all_tags: Annotated[
        bool, Option("--all-tags", "-a", help="Download all tagged images in the repository")
    ] = False,
    platform: Annotated[
        str | None, Option("--platform", help="Choose the platform, as linux/arm64")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Suppress verbose output")] = False,
) -> None:
    """Pull, and print the name in full."""
    from orchestra.cli.render.transfers import transfers

    session = Session.of(ctx)
    library, traffic = session.machine.library, session.machine.traffic
    platform = platform or session.environment.get("DOCKER_DEFAULT_PLATFORM")

    async def main() -> tuple[str, ...]:
        async with transfers(session.options, quiet=quiet) as report:
            references = await traffic.references(name, all_tags=all_tags)
            for reference in references:
                before = library.id_of(reference)
                await traffic.pull(reference, platform, report)
                if not quiet:
                    _tell(library, reference, fresh=before != library.id_of(reference))
            return references

    for reference in session.run(main):
        print(library.canonical(reference))


def _tell(library: ImageLibrary, reference: str, *, fresh: bool) -> None:
    status = "Downloaded newer image" if fresh else "Image is up to date"
    print(f"Digest: {library.digest_of(reference)}")
    print(f"Status: {status} for {library.familiar(reference)}")
