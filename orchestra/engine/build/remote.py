"""What of a COPY's or ADD's sources comes from elsewhere: URLs and git repositories.

Pure.
"""

from __future__ import annotations

from orchestra.engine.build.git_source import GitSource, read_git_source, with_flags
from orchestra.engine.build.vertices import CopyVertex
from orchestra.errors import BuildError


def git_source(source: str) -> GitSource | None:
    """Read a source as a git repository; None when it is none.

    :raises BuildError: when it is one that makes no sense.
    """
    return read_git_source(source)


def is_url(source: str) -> bool:
    """Tell whether a source is a URL of a file."""
    return source.startswith(("http://", "https://")) and git_source(source) is None


def is_remote(source: str) -> bool:
    """Tell whether a source is fetched."""
    return is_url(source) or git_source(source) is not None


def repository(vertex: CopyVertex, source: str) -> GitSource | None:
    """Return the repository that a source is, with what the flags say of it.

    :raises BuildError: when flags and source do not agree.
    """
    found = git_source(source)
    if found is None:
        return None
    return with_flags(found, checksum=vertex.checksum, keep_git_dir=vertex.keep_git_dir)


def check_sources(vertex: CopyVertex) -> None:
    """Refuse sources that this instruction cannot have.

    :raises BuildError: for what is remote in COPY, or flags that fit no source.
    """
    for source in vertex.sources:
        kind = "a git repository" if repository(vertex, source) else "a URL"
        if not vertex.add and is_remote(source):
            raise BuildError(f"{kind} cannot be a source of COPY", hint="use ADD")
    if vertex.checksum and (len(vertex.sources) != 1 or not is_remote(vertex.sources[0])):
        raise BuildError("--checksum needs exactly one URL or git repository as the source")
