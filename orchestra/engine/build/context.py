"""What a COPY takes: sources found in a tree, listed once, with a digest of what counts.

Only what is asked for is read. The digest covers paths, modes, contents and links, not times;
owners and capabilities count only where they are kept (files of a stage). The list remembers how
each file looked, so that the copy that follows can tell when one was changed in between.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestra.engine.build.digests import FileDigests
from orchestra.engine.build.hashing import Entry, Hashing
from orchestra.engine.build.ignore import (
    Matched,
    Matcher,
    clean,
    glob_regex,
    has_wildcard,
    make_matcher,
    parse_ignore_file,
)
from orchestra.engine.build.tree import Directory, Item, Tree
from orchestra.errors import BuildError
from orchestra.hashing import Sha256, sha256_of
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.build.seen import Seen

DOCKERFILE_BYTES_MAX = 4 << 20
_IGNORE_BYTES_MAX = 16 << 20
_MOMENT_SECONDS = 1.0
_WILD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One source: ``name`` as it was asked for, ``parts`` where it lies, and what is there."""

    name: str
    parts: tuple[str, ...]
    entry: Entry


def open_context(
    directory: str,
    dockerfile: str,
    digests: FileDigests | None = None,
    seen: Seen | None = None,
) -> Tree:
    """Open a build context; DOCKERFILE.dockerignore ("" has none) wins over .dockerignore.

    ``digests`` is what is known of its files; ``seen`` is told what is looked at.

    :raises BuildError: when the directory or its ignore file cannot be read.
    """
    if not Path(directory).is_dir():
        raise BuildError(
            f'cannot build: the context "{directory}" is not a directory',
            hint="check build.context",
        )
    matcher = Matcher()
    candidates = [Path(directory) / ".dockerignore"]
    if dockerfile:
        candidates.insert(0, Path(f"{dockerfile}.dockerignore"))
    for candidate in candidates:
        try:
            with candidate.open("rb") as file:
                text = file.read(_IGNORE_BYTES_MAX).decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            if seen is not None:
                seen.ignoring[str(candidate)] = ""
            continue
        except OSError as error:
            raise BuildError(f'cannot read "{candidate}": {error.strerror}') from error
        if seen is not None:
            written = text.encode("utf-8", "surrogateescape")
            seen.ignoring[str(candidate)] = sha256_of(written)
        try:
            matcher = make_matcher(parse_ignore_file(text))
        except BuildError as error:
            why = error.message.removeprefix("cannot read the ignore patterns: ")
            raise BuildError(f'cannot read "{candidate}": {why}', hint=error.hint) from error
        break
    return Tree((directory,), overlay=False, matcher=matcher, digests=digests, seen=seen)


def text_of(file: IO[bytes], name: str) -> str:
    """Return the text of a Dockerfile that is open.

    :raises BuildError: when it is too large to be one.
    """
    file.seek(0)
    return decoded(file.read(DOCKERFILE_BYTES_MAX + 1), name)


def decoded(data: bytes, name: str) -> str:
    """Return the text of a Dockerfile.

    :raises BuildError: when it is too large to be one.
    """
    if len(data) > DOCKERFILE_BYTES_MAX:
        raise BuildError(f'cannot build: the Dockerfile "{name}" is larger than 4 MiB')
    return data.decode("utf-8", "replace")


def read_dockerfile(path: str) -> str:
    """Read a Dockerfile of this machine.

    :raises BuildError: when that is not possible.
    """
    try:
        with dockerfile_at(Path(path)).open("rb") as file:
            return text_of(file, path)
    except OSError as error:
        raise BuildError(
            f'cannot build: cannot read the Dockerfile "{path}": {error.strerror}',
            hint="check build.context and build.dockerfile",
        ) from error


def dockerfile_at(path: Path) -> Path:
    """Return where a Dockerfile is: one that is not there may be written in lower case."""
    lower = path.with_name(path.name.lower())
    return lower if path.name == "Dockerfile" and not path.exists() and lower.exists() else path


def choose(tree: Tree, source: str, excludes: Matcher) -> list[Chosen]:
    """Find what a source of COPY names; wildcards may find nothing, a plain name may not.

    What was chosen a moment ago is given out again, once.

    :raises BuildError: when a plain name is not there, or a file cannot be read.
    """
    recent = tree.recent.pop((source, excludes), None)
    if recent is not None and time.monotonic() - recent[0] < _MOMENT_SECONDS:
        return recent[1]
    cleaned = clean("/" + source)
    try:
        if not has_wildcard(cleaned):
            return [_plain(tree, cleaned, source, excludes)]
        return list(_matching(tree, cleaned, excludes))
    except OSError as error:
        raise BuildError(f'cannot read "{source}": {error.strerror}') from error


def _plain(tree: Tree, cleaned: str, source: str, excludes: Matcher) -> Chosen:
    located = tree.locate(cleaned)
    if not located.exists:
        hint = "paths are relative to the build context, and links do not lead out of it"
        if tree.matcher.patterns:
            hint += "; does the .dockerignore hide it?"
        raise BuildError(f'"{source}" is not there', hint=hint)
    return _chosen(tree, cleaned, located.parts, excludes)


def _chosen(tree: Tree, path: str, parts: tuple[str, ...], excludes: Matcher) -> Chosen:
    name = path.rsplit("/", 1)[-1]
    if not parts:
        with tree.root() as root, Hashing(tree) as hashing:
            entry = Lister(excludes, hashing).directory(root, None, root.status(), None)
            return Chosen(name, parts, entry)
    with tree.directory(parts[:-1]) as directory, Hashing(tree) as hashing:
        item = directory.child(parts[-1])
        if item is None:
            raise BuildError(f'"{path}" is not there any more')
        return Chosen(name, parts, Lister(excludes, hashing).entry(directory, item, None, ""))


def _matching(tree: Tree, pattern: str, excludes: Matcher) -> Iterator[Chosen]:
    above = "/".join(takewhile(lambda part: not has_wildcard(part), pattern.split("/")))
    if not tree.locate(above).exists:
        raise BuildError(f'"{above}" is not there')
    for parts in _matches(tree, pattern):
        path = "/" + "/".join(parts)
        target = tree.locate(path)
        if not target.exists:
            raise BuildError(f'"{path}" is a link that leads nowhere')
        if not target.is_directory and excludes.match(parts[-1])[0]:
            continue
        yield _chosen(tree, path, target.parts, excludes)


def find(tree: Tree, pattern: str) -> Iterator[tuple[str, ...]]:
    """Yield the directories that a cleaned pattern names; links to them count."""
    candidates = [pattern] if not has_wildcard(pattern) else []
    if not candidates:
        candidates = ["/".join(parts) for parts in _matches(tree, pattern)]
    for candidate in candidates:
        located = tree.locate(candidate)
        if located.exists and located.is_directory:
            yield located.parts


def _matches(tree: Tree, pattern: str) -> Iterator[tuple[str, ...]]:
    """Yield what a pattern with wildcards names; only what comes before them follows links."""
    parts = pattern.strip("/").split("/")
    plain = next(index for index, part in enumerate(parts) if has_wildcard(part))
    located = tree.locate("/".join(parts[:plain]))
    if not located.is_directory:
        return
    regex = glob_regex("/".join(parts[plain:]))
    with tree.directory(located.parts) as directory:
        found = list(_glob(directory, (), regex, len(parts) - plain))
    yield from ((*located.parts, *relative) for relative in found)


def _glob(
    directory: Directory, above: tuple[str, ...], regex: re.Pattern[str], depth: int
) -> Iterator[tuple[str, ...]]:
    """Yield what matches exactly ``depth`` components down: ``*`` does not span slashes."""
    for item in directory.entries():
        parts = (*above, item.name)
        if len(parts) == depth:
            if regex.fullmatch("/".join(parts)):
                yield parts
        elif item.is_directory:
            with directory.enter(item) as inner:
                yield from _glob(inner, parts, regex, depth)


class Lister:
    """Lists below one source; ``excludes`` is matched against paths relative to it.

    Files have their digests when ``hashing`` is done.

    ``includes`` says which paths there are to be had, and what is below them; None takes all.
    """

    def __init__(
        self, excludes: Matcher, hashing: Hashing, *, includes: Matcher | None = None
    ) -> None:
        self.excludes = excludes
        self.hashing = hashing
        self.includes = includes

    def entry(self, directory: Directory, item: Item, matched: Matched | None, path: str) -> Entry:
        """List one item of a directory, at ``path`` below the source."""
        status = item.stat
        if item.is_directory:
            with directory.enter(item) as inner:
                return self.directory(inner, item, status, matched, path)
        if item.is_link:
            return Entry(item.name, status, link=directory.readlink(item), layer=item.layer)
        if item.is_file:
            return self.hashing.file(directory, item)
        self.hashing.something_else()
        return Entry(item.name, status, layer=item.layer)

    def directory(
        self,
        directory: Directory,
        item: Item | None,
        status: os.stat_result,
        matched: Matched | None,
        path: str = "",
    ) -> Entry:
        """List a directory at ``path`` below the source, which is "" itself."""
        children: list[Entry] = []
        all_of_it = self.includes is None and not self.excludes.patterns
        for found in directory.entries():
            if found.is_file and all_of_it:
                children.append(self.hashing.file(directory, found))
                continue
            if stat.S_ISSOCK(found.stat.st_mode):
                continue
            below = f"{path}/{found.name}" if path else found.name
            hidden, inner = self.excludes.match(below, matched if path else None)
            if hidden and not (found.is_directory and self.excludes.keeps):
                continue
            wanted = self.includes is None or self.includes.match(below)[0]
            if not wanted and not (found.is_directory and self._may_hold(below)):
                continue
            child = self.entry(directory, found, inner, below)
            if (not hidden and wanted) or child.children:
                children.append(child)
        name, layer = (item.name, item.layer) if item else ("", 0)
        return Entry(name, status, children=tuple(children), layer=layer)

    def _may_hold(self, path: str) -> bool:
        """Tell whether something that is included may lie below a directory that is not."""
        patterns = self.includes.patterns if self.includes is not None else ()
        leads = [_WILD.split(pattern.text, maxsplit=1)[0] for pattern in patterns]
        return any(lead.startswith(f"{path}/") or f"{path}/".startswith(lead) for lead in leads)


def digest_of_chosen(chosen: Chosen, *, owners: bool) -> str:
    """Return what stands for a source in a step's key: its name, and a digest."""
    return f"{chosen.name}\0{digest_of_entry(chosen.entry, owners=owners)}"


def digest_of_entry(entry: Entry, *, owners: bool) -> str:
    """Return the digest of an entry and all below it, its own name left out."""
    digest = Sha256()
    for record in _records(entry, "", owners=owners):
        digest.update(record.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _records(entry: Entry, path: str, *, owners: bool) -> Iterator[str]:
    status = entry.status
    fields = [path, f"{status.st_mode:o}", entry.link, entry.digest, entry.capability.hex()]
    if owners:
        fields += [str(status.st_uid), str(status.st_gid)]
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        fields.append(str(status.st_rdev))
    yield "\0".join(fields) + "\0\n"
    for child in entry.children:
        yield from _records(child, f"{path}/{child.name}", owners=owners)
