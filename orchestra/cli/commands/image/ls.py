"""``orchestra image ls``: the images of this machine."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    repository: Annotated[str | None, Argument(metavar="[REPOSITORY[:TAG]]")] = None,
    everything: Annotated[
        bool, Option("--all", "-a", help="Show all images (there are no intermediate ones here)")
    ] = False,
    digests: Annotated[bool, Option("--digests", help="Show digests")] = False,
    filters: Annotated[
        list[str] | None,
        Option(
            "--filter",
            "-f",
            help="Filter output: before, dangling, label, reference, since, until",
        ),
    ] = None,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "",
    no_trunc: Annotated[bool, Option("--no-trunc", help="Don't truncate output")] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only show image IDs")] = False,
    tree: Annotated[
        bool, Option("--tree", help="List the platforms of each image as a tree")
    ] = False,
) -> None:
    """Print one row a name, or a tree: each image with the platforms that its index has."""
    from orchestra.cli.filters import parse_filters
    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.render.image_tree import print_tree
    from orchestra.cli.render.images import header_of, image_row
    from orchestra.errors import UsageError

    del everything  # every image is one that somebody asked for
    if tree and (digests or no_trunc or quiet or output_format):
        raise UsageError("--tree goes with none of --digests, --format, --no-trunc and --quiet")
    wanted = parse_filters([*(filters or ()), *([f"reference={repository}"] if repository else ())])
    library = Session.of(ctx).machine.library
    users = library.containers()
    lines = library.catalogue().select(wanted)
    if tree:
        print_tree(library, lines, users)
        return
    rows = [
        image_row(
            line,
            sum(library.layer_sizes(line.image)),
            len(users.get(line.image.id, ())),
            whole=no_trunc,
        )
        for line in lines
    ]
    if quiet and not output_format:
        output_format = "{{.ID}}"
    print_formatted(output_format, header_of(digests=digests), rows)
