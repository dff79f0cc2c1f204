"""Doing one vertex on the file system: files copied or unpacked, a directory made.

``prepare_copy`` finds and digests what a COPY takes; ``do_copy`` puts it into the step's upper
directory. Both block: the solver calls them in threads. RUN is in runs.py.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestra.engine.build.context import Chosen, choose, digest_of_entry
from orchestra.engine.build.copying import copy_chosen
from orchestra.engine.build.ignore import Matcher, make_matcher
from orchestra.engine.build.modes import read_mode
from orchestra.engine.build.target import Rules, Target
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.vertices import CopyVertex, MakeDirectoryVertex
from orchestra.errors import BuildError
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.build.git_access import Checkout

_DOCUMENT_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Something to copy: from which tree, what, whether owners are kept and archives unpacked.

    ``identity`` stands for the content, where something better than its digest is known.
    """

    tree: Tree
    chosen: Chosen
    owners: bool
    unpack: bool
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """All that a COPY copies, in order, and the digests that stand for it in the cache key."""

    pieces: tuple[Piece, ...]
    digests: tuple[str, ...]


def prepare_copy(
    vertex: CopyVertex,
    tree: Tree,
    *,
    owners: bool,
    fetched: Mapping[str, Path | Checkout],
    scratch: Path,
) -> CopyPlan:
    """Find every source, in ``tree`` or among what was ``fetched``, and digest it.

    Inline documents are written below ``scratch``.

    :raises BuildError: when a source is not there.
    """
    excludes = make_matcher(vertex.excludes)
    pieces: list[Piece] = []
    for source in vertex.sources:
        found = fetched.get(source)
        if isinstance(found, Path):
            pieces += _local_file(found.parent, found.name, unpack=vertex.unpack_urls)
        elif found is not None:
            pieces.append(_checked_out(vertex, source, found, excludes))
        else:
            for chosen in _found(vertex, tree, source, excludes):
                piece = Piece(tree=tree, chosen=chosen, owners=owners, unpack=vertex.unpack)
                pieces.append(piece)
    for name, text in vertex.documents:
        path = scratch / name
        if posixpath.basename(name) != name or name in ("", ".", ".."):
            raise BuildError(f'the heredoc "{name[:100]}" has no name for a file')
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(_DOCUMENT_MODE)
        pieces += _local_file(scratch, name, unpack=False)
    return CopyPlan(pieces=tuple(pieces), digests=tuple(_digest(piece) for piece in pieces))


def _found(vertex: CopyVertex, tree: Tree, source: str, excludes: Matcher) -> list[Chosen]:
    if not vertex.parents:
        return choose(tree, source, excludes)
    from orchestra.engine.build.parents import choose_with_parents  # noqa: PLC0415 - rare

    return choose_with_parents(tree, source, excludes)


def _owner(name: str, tree: Tree) -> tuple[int, int]:
    from orchestra.engine.build.owners import resolve_owner  # noqa: PLC0415 - few copies say it

    return resolve_owner(name, tree)


def _digest(piece: Piece) -> str:
    known = piece.identity or digest_of_entry(piece.chosen.entry, owners=piece.owners)
    return f"{piece.chosen.name}\0{known}"


def _checked_out(vertex: CopyVertex, source: str, checkout: Checkout, excludes: Matcher) -> Piece:
    """Return the directory of a repository that ADD takes; links in it lead nowhere else."""
    from orchestra.engine.build.remote import git_source  # noqa: PLC0415 - rare

    repository = git_source(source)
    directory = repository.directory if repository else ""
    tree = Tree((str(checkout.directory),), overlay=False)
    (chosen,) = choose(tree, _escaped(directory) or "/", excludes)
    if not stat.S_ISDIR(chosen.entry.status.st_mode):
        raise BuildError(f'"{directory}" is not a directory of the git repository')
    identity = "\0".join((checkout.identity, directory, *vertex.excludes))
    return Piece(tree=tree, chosen=chosen, owners=False, unpack=False, identity=identity)


def _local_file(directory: Path, name: str, *, unpack: bool) -> list[Piece]:
    tree = Tree((str(directory),), overlay=False)
    found = choose(tree, _escaped(name), Matcher())
    return [Piece(tree=tree, chosen=chosen, owners=False, unpack=unpack) for chosen in found]


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def do_copy(
    vertex: CopyVertex,
    plan: CopyPlan,
    upper: str,
    lower: Sequence[str],
    epoch_ns: int | None,
    *,
    linkable: bool = True,
) -> None:
    """Copy what was planned into ``upper``; ``linkable``: it is a directory of its own.

    :raises BuildError: when something is in the way, or a source changed since it was planned.
    """
    mode = read_mode(vertex.chmod) if vertex.chmod else None
    owner = _owner(vertex.chown, Tree(lower)) if vertex.chown else None
    destination = vertex.destination
    if vertex.parents and not destination.endswith("/"):
        destination += "/"
    if vertex.link and linkable:
        lower = ()
    for piece in plan.pieces:
        kept = None if piece.owners else (0, 0)
        rules = Rules(owner=owner or kept, mode=mode, epoch_ns=epoch_ns)
        if piece.unpack and _unpack(piece, upper, lower, destination, rules, owner):
            continue
        target = Target(upper, lower, rules)
        copy_chosen(piece.tree, piece.chosen, target, destination)
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
    from orchestra.engine.build.archive import open_archive, unpack_archive  # noqa: PLC0415 - rare

    with _opened(piece) as file:
        archive = open_archive(file)
        if archive is None:
            return False
        with archive:
            kept = Rules(owner=owner, epoch_ns=rules.epoch_ns)
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
    owner = _owner(vertex.user, tree) if vertex.user else (0, 0)
    target = Target(upper, lower, Rules(epoch_ns=epoch_ns))
    os.close(target.open(located.parts, owner=owner))
    target.close()
