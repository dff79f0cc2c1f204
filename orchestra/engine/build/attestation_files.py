"""What is said of an image as files beside its own, where these are exported (exporter/local)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestra.engine.build.attestations import Claim, statement_of
from orchestra.engine.build.tree import Directory, Tree
from orchestra.oci.digest import Digest

_MODE = 0o600


def write_claims(claims: Sequence[Claim], tree: Tree, place: Path, platform: str) -> bool:
    """Write statements about the files of a tree into a new directory; False: there is none.

    ``platform`` is a part of their names, where those of several come together; "" otherwise.

    Blocks.
    """
    own = [claim for claim in claims if claim.file]
    if not own:
        return False
    place.mkdir(parents=True, mode=0o755)
    subjects = list(_files(tree)) if tree.layers else []
    for claim in own:
        path = place / claim.file
        path = path.with_suffix(f".{platform}{path.suffix}") if platform else path
        path.write_bytes(statement_of(claim, subjects))
        path.chmod(_MODE)
        os.utime(path, (0, 0))
    return True


def _files(tree: Tree) -> Iterator[tuple[str, Digest]]:
    with tree.root() as root:
        yield from _below(root, "")


def _below(directory: Directory, prefix: str) -> Iterator[tuple[str, Digest]]:
    for item in directory.entries():
        path = f"{prefix}{item.name}"
        if item.is_directory:
            with directory.enter(item) as inner:
                yield from _below(inner, f"{path}/")
        elif item.is_file:
            with open(directory.open(item), "rb") as file:  # noqa: PTH123
                digest = hashlib.file_digest(file, "sha256")
            yield path, Digest(f"sha256:{digest.hexdigest()}")
