"""What tells one loaded project from all others, so that what it became can be remembered.

Everything that assembling and compiling look at has a part in it: the complete tree with the place
of every key (messages show places), the options, what was found so far, the files that are read
for variables and labels, and those variables of the environment that are named in them. So has the
code: other code may make something else of the same files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from orchestra.hashing import sha256
from orchestra.sources import rooms_digest
from orchestra.spec.environment import LARGEST_BYTES
from orchestra.spec.loader import Loaded
from orchestra.spec.reading import is_file, read_limited
from orchestra.spec.tree import Mark, Value, lookup, mapping

_ROOMS = ("", "cli", "engine/state", "oci", "planner", "planner/compile", "spec", "spec/model")
"""Where the code stands that has a part in what becomes of a project."""


def identity(loaded: Loaded, purpose: str) -> str | None:
    """Return a digest of all that ``purpose`` can depend on; None where that cannot be told."""
    findings, options = loaded.findings, loaded.options
    if findings.errors:
        return None
    try:
        parts = [
            purpose,
            rooms_digest(_ROOMS),
            repr((loaded.site.profiles, options.services, options.phases)),
            repr(findings.warnings),
            repr([path for path, _ in findings.nulls]),
            *_written(loaded.tree),
            *_files(loaded),
        ]
    except (OSError, ValueError, _UntoldError):
        return None
    text = "\0".join(parts)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _UntoldError(Exception):
    """Something is looked at that may be another the next time."""


def _written(value: Value, mark: Mark | None = None) -> Iterator[str]:
    if mark is not None:
        yield f"@{mark.line}:{mark.column}:{mark.file}"
    if isinstance(value, dict):
        marks = getattr(value, "marks", {})
        yield f"{{{len(value)}"
        for key, entry in value.items():
            yield repr(key)
            yield from _written(entry, marks.get(key))
    elif isinstance(value, list):
        places = getattr(value, "marks", ())
        yield f"[{len(value)}"
        for index, item in enumerate(value):
            yield from _written(item, places[index] if index < len(places) else None)
    else:
        yield repr(value)


def _files(loaded: Loaded) -> Iterator[str]:
    for path in sorted(set(_named(loaded.tree))):
        there = is_file(path)
        if not there and not os.path.lexists(path):
            yield f"no {path}"
            continue
        if not there:  # a pipe says everything once
            raise _UntoldError
        content = read_limited(path, LARGEST_BYTES)
        if len(content) > LARGEST_BYTES:
            raise _UntoldError
        yield sha256(content).hexdigest()
        for name, value in sorted(loaded.environment.items()):
            if name.encode("utf-8", "surrogateescape") in content:
                yield f"{name}={value}"


def _named(tree: Value) -> Iterator[str]:
    """Yield the env files and label files of all services."""
    for service in mapping(lookup(tree, "services")).values():
        for attribute in ("env_file", "label_file"):
            value = lookup(service, attribute)
            for item in value if isinstance(value, list) else [value]:
                path = item.get("path") if isinstance(item, dict) else item
                if isinstance(path, str):
                    yield path
