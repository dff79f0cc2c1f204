"""COPY --parents: what a source takes, with the directories above it.

The part before ``/./`` names where to begin, and is not kept; what follows is a pattern, ``**``
included, of what to take below there. Links are not followed on the way, as cp --parents does not.
"""

from __future__ import annotations

import posixpath

from orchestra.engine.build.context import Chosen, Lister, find
from orchestra.engine.build.hashing import Hashing
from orchestra.engine.build.ignore import Matcher, clean, has_wildcard, make_matcher
from orchestra.engine.build.tree import Tree
from orchestra.errors import BuildError


def choose_with_parents(tree: Tree, source: str, excludes: Matcher) -> list[Chosen]:
    """Find what a source names; wildcards may find nothing, a plain name may not.

    :raises BuildError: when a plain name is not there, or only through a link.
    """
    base, pivot, rest = source.partition("/./")
    if not pivot:
        base, rest = "/", source
    pattern = clean(f"/{rest}")
    wild = has_wildcard(base) or has_wildcard(pattern)
    includes = make_matcher([pattern.lstrip("/") or "**"])
    found: list[Chosen] = []
    try:
        if not wild and not tree.locate(posixpath.join(base, pattern.lstrip("/"))).exists:
            raise BuildError(
                f'"{source}" is not there',
                hint="paths are relative to the build context, and links do not lead out of it",
            )
        for parts in find(tree, clean(f"/{base}")):
            with tree.directory(parts) as directory, Hashing(tree) as hashing:
                lister = Lister(excludes, hashing, includes=includes)
                entry = lister.directory(directory, None, directory.status(), None)
            if entry.children:
                found.append(Chosen("", parts, entry))
    except OSError as error:
        raise BuildError(f'cannot read "{source}": {error.strerror}') from error
    if not found and not wild and not excludes.patterns and pattern != "/":
        raise BuildError(
            f'"{source}" is behind a link', hint="--parents follows none: name the real path"
        )
    return found
