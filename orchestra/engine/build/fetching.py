"""Fetching the remote sources of an ADD into a scratch directory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestra.engine.build.git_access import Checkout, GitAccess
from orchestra.engine.build.git_source import without_password
from orchestra.engine.build.remote import is_url, repository
from orchestra.engine.build.vertices import CopyVertex


def material_of(source: str, fetched: Path | Checkout) -> dict[str, tuple[str, str]]:
    """Return what provenance tells of a source: its URL -> algorithm and digest. Blocks."""
    if isinstance(fetched, Checkout):
        algorithm = "sha256" if len(fetched.commit) == 64 else "sha1"
        return {without_password(source): (algorithm, fetched.commit)}
    with fetched.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {without_password(source): ("sha256", digest.hexdigest())}


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
            from orchestra.engine.build.git_fetch import fetch_git  # noqa: PLC0415 - rare

            fetched[source] = await fetch_git(found, directory, access)
        elif is_url(source):
            from orchestra.engine.build.download import download  # noqa: PLC0415 - rare

            directory.mkdir()
            fetched[source] = await download(source, directory, vertex.checksum)
    return fetched
