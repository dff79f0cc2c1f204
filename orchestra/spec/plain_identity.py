"""What tells a project from all others, of files that say everything themselves.

``identity`` knows that of any project, by its complete tree; to get there takes YAML. Here the
files are taken as they are. That will do where nothing leads from them to other files, and where
a variable that they use is named in them as it is called: what ``include``, ``extends``, env files
and escapes in quoted text could hide is left to that one.
"""

from __future__ import annotations

from orchestra.hashing import sha256
from orchestra.sources import code_digest
from orchestra.spec.plain_name import NotPlainError
from orchestra.spec.plain_project import plain_files, plain_project_name
from orchestra.spec.reading import is_file, read_limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LARGEST_BYTES = 1024 * 1024
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_LEADING_ELSEWHERE = (b"include", b"extends", b"env_file", b"label_file", b"\\")


def plain_identity(
    purpose: str,
    environment: Mapping[str, str],
    here: str,
    *,
    files: Sequence[str] = (),
    asked: str | None = None,
    profiles: Sequence[str] = (),
) -> tuple[str, str, str]:
    """Return the project's name, a digest of all that it can become, and the code's digest.

    ``files``, ``asked``, ``profiles``: as the command line names them. ``purpose`` tells what is
    made of the project, with all that this depends on beside it.

    :raises NotPlainError: where that is not plain to see.
    """
    name = plain_project_name(environment, here, files=files, asked=asked)
    found = plain_files(here, files)
    if not found:
        raise NotPlainError
    try:
        code = code_digest()
        contents = [_content(file) for file in found]
        places = sorted({here, found[0].rpartition("/")[0]})
        env_files = [
            (path, read_limited(path, _LARGEST_BYTES))
            for place in places
            if is_file(path := f"{place}/.env")
        ]
    except OSError as err:
        raise NotPlainError from err
    parts = [
        repr((purpose, code, name, here, asked, list(found), list(profiles))),
        *map(repr, contents),
        *map(repr, env_files),
        *_variables(environment, b"\n".join(contents)),
    ]
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return name, sha256(text).hexdigest(), code


def _content(file: str) -> bytes:
    content = read_limited(file, _LARGEST_BYTES)
    if len(content) > _LARGEST_BYTES or any(word in content for word in _LEADING_ELSEWHERE):
        raise NotPlainError
    return content


def _variables(environment: Mapping[str, str], content: bytes) -> Iterator[str]:
    """Yield the variables that a project can depend on: those named in it, and Compose's own."""
    for name in sorted(environment):
        known = name == "HOME" or name.startswith("COMPOSE_")
        if known or _names(content, name.encode("utf-8", "surrogateescape")):
            yield f"{name}={environment[name]!r}"


def _names(content: bytes, name: bytes) -> bool:
    """Tell whether a name is in there as a word of its own."""
    at = content.find(name)
    while at >= 0:
        end = at + len(name)
        around = content[at - 1 : at] + content[end : end + 1]
        if _WORD.isdisjoint(around):
            return True
        at = content.find(name, at + 1)
    return False
