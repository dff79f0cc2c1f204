"""Fetching the remote sources of an ADD into a scratch directory."""

from __future__ import annotations

from pathlib import Path

from orchestra.engine.build.download import download
from orchestra.engine.build.git_fetch import Checkout, GitAccess, fetch_git
from orchestra.engine.build.remote import is_url, repository
from orchestra.engine.build.vertices import CopyVertex


async def fetch_sources(
    vertex: CopyVertex, scratch: Path, access: GitAccess
) -> dict[str, Path | Checkout]:
    """Fetch every source of a copy that is not a path.

    :raises BuildError: when one is not to be had, or its checksum does not fit.
    """
    fetched: dict[str, Path | Checkout] = {}
    for number, source in enumerate(vertex.sources):
        directory = scratch / f"fetched-{number}"
        found = repository(vertex, source)
        if found is not None:
            fetched[source] = await fetch_git(found, directory, access)
        elif is_url(source):
            directory.mkdir()
            fetched[source] = await download(source, directory, vertex.checksum)
    return fetched
