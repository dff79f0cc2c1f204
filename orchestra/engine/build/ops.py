"""Doing one vertex on the file system: files copied or unpacked, a directory made.

``prepare_copy`` finds and digests what a COPY takes; ``do_copy`` puts it into the step's upper
directory. Both block: the solver calls them in threads. RUN is in runs.py.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from orchestra.engine.build.archive import open_archive, unpack_archive
from orchestra.engine.build.context import Chosen, choose, digest_of_entry
from orchestra.engine.build.copying import copy_chosen
from orchestra.engine.build.ignore import Matcher, make_matcher
from orchestra.engine.build.modes import read_mode
from orchestra.engine.build.owners import resolve_owner
from orchestra.engine.build.target import Rules, Target
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.vertices import CopyVertex, MakeDirectoryVertex
from orchestra.errors import BuildError
from orchestra.values import dataclass

_DOCUMENT_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Something to copy: from which tree, what, whether owners are kept and archives unpacked."""

    tree: Tree
    chosen: Chosen
    owners: bool
    unpack: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """All that a COPY copies, in order, and the digests that stand for it in the cache key."""

    pieces: tuple[Piece, ...]
    digests: tuple[str, ...]


def is_remote(source: str) -> bool:
    """Tell whether a source of ADD is a URL."""
    return source.startswith(("http://", "https://"))


def _is_git(source: str) -> bool:
    if source.startswith(("git@", "git://", "ssh://")):
        return True
    return is_remote(source) and source.partition("#")[0].endswith(".git")


def check_sources(vertex: CopyVertex) -> None:
    """Refuse sources that this instruction cannot have.

    :raises BuildError: for a URL in COPY, a git repository, or a checksum that fits nothing.
    """
    for source in vertex.sources:
        remote = is_remote(source)
        if _is_git(source):
            raise BuildError(
                f'the git repository "{source}" as a source is not supported',
                hint="clone it beside the Dockerfile, or in a RUN",
            )
        if remote and not vertex.add:
            raise BuildError("a URL cannot be a source of COPY", hint="use ADD")
    if vertex.checksum and (len(vertex.sources) != 1 or not is_remote(vertex.sources[0])):
        raise BuildError("--checksum needs exactly one URL as the source")


def prepare_copy(
    vertex: CopyVertex, tree: Tree, *, owners: bool, downloads: dict[str, Path], scratch: Path
) -> CopyPlan:
    """Find every source, in ``tree`` or among ``downloads``, and digest it.

    Inline documents are written below ``scratch``.

    :raises BuildError: when a source is not there.
    """
    excludes = make_matcher(vertex.excludes)
    pieces: list[Piece] = []
    for source in vertex.sources:
        if is_remote(source):
            path = downloads[source]
            pieces += _local_file(path.parent, path.name, unpack=False)
            continue
        for chosen in choose(tree, source, excludes, owners=owners):
            pieces.append(Piece(tree=tree, chosen=chosen, owners=owners, unpack=vertex.unpack))
    for name, text in vertex.documents:
        path = scratch / name
        if posixpath.basename(name) != name or name in ("", ".", ".."):
            raise BuildError(f'the heredoc "{name[:100]}" has no name for a file')
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(_DOCUMENT_MODE)
        os.utime(path, (0, 0))
        pieces += _local_file(scratch, name, unpack=False)
    digests = [
        f"{piece.chosen.name}\0{digest_of_entry(piece.chosen.entry, owners=piece.owners)}"
        for piece in pieces
    ]
    return CopyPlan(pieces=tuple(pieces), digests=tuple(digests))


def _local_file(directory: Path, name: str, *, unpack: bool) -> list[Piece]:
    tree = Tree((str(directory),), overlay=False)
    found = choose(tree, _escaped(name), Matcher(), owners=False)
    return [Piece(tree=tree, chosen=chosen, owners=False, unpack=unpack) for chosen in found]


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def do_copy(
    vertex: CopyVertex, plan: CopyPlan, upper: str, lower: Sequence[str], epoch_ns: int | None
) -> None:
    """Copy what was planned into ``upper``.

    :raises BuildError: when something is in the way, or a source changed since it was planned.
    """
    mode = read_mode(vertex.chmod) if vertex.chmod else None
    owner = resolve_owner(vertex.chown, Tree(lower)) if vertex.chown else None
    for piece in plan.pieces:
        kept = None if piece.owners else (0, 0)
        rules = Rules(owner=owner or kept, mode=mode, epoch_ns=epoch_ns)
        if piece.unpack and _unpack(piece, upper, lower, vertex.destination, rules, owner):
            continue
        target = Target(upper, lower, rules)
        copy_chosen(piece.tree, piece.chosen, target, vertex.destination)
        target.close()


def _unpack(
    piece: Piece,
    upper: str,
    lower: Sequence[str],
    destination: str,
    rules: Rules,
    owner: tuple[int, int] | None,
) -> bool:
    if not piece.chosen.entry.digest:
        return False
    with _opened(piece) as file:
        archive = open_archive(file)
        if archive is None:
            return False
        with archive:
            kept = Rules(owner=owner, mode=rules.mode, epoch_ns=rules.epoch_ns)
            target = Target(upper, lower, kept)
            unpack_archive(archive, target, destination)
            target.close()
    return True


def _opened(piece: Piece) -> IO[bytes]:
    parts = piece.chosen.parts
    with piece.tree.directory(parts[:-1]) as directory:
        item = directory.child(parts[-1])
        if item is None:
            raise BuildError(f'cannot copy "{parts[-1]}": it is not there any more')
        return open(directory.open(item), "rb")  # noqa: PTH123


def make_directory(
    vertex: MakeDirectoryVertex, upper: str, lower: Sequence[str], epoch_ns: int | None
) -> None:
    """Make a directory and its parents; what is there already stays as it is.

    :raises BuildError: when a file is in the way, or the user is unknown.
    """
    tree = Tree(lower)
    located = tree.locate(vertex.path)
    if located.is_directory and located.exists:
        return
    if located.exists:
        raise BuildError(f'"{vertex.path}" is not a directory')
    owner = resolve_owner(vertex.user, tree) if vertex.user else (0, 0)
    target = Target(upper, lower, Rules(epoch_ns=epoch_ns))
    os.close(target.open(located.parts, owner=owner))
    target.close()
