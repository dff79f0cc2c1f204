"""Cases out of the Compose files of a checkout, each read in its own directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts.outside.cases import PROFILES, Case, Corpus, variables_of

_SUFFIXES = {".yaml", ".yml"}
_NOT_COMPOSE = {".git", ".github", "node_modules"}
_BASES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def corpus(name: str, root: Path) -> Corpus:
    """Return a case for each YAML file, for each set of files, and for its variables set."""
    found = Corpus(name)
    for file in _yaml_files(root):
        _add(found, root, (file,))
    for files in _sets(root):
        _add(found, root, files)
    return found


def _add(found: Corpus, root: Path, files: tuple[Path, ...]) -> None:
    texts = [file.read_bytes() for file in files]
    named = variables_of("\n".join(text.decode("utf-8", "replace") for text in texts))
    label = "+".join([str(files[0].relative_to(root)), *(file.name for file in files[1:])])
    words = tuple(file.name for file in files)
    directory = files[0].parent
    name = f"{found.name}/{label}"
    found.cases.append(Case(name=name, files=words, directory=directory))
    if b"profiles:" in b"".join(texts):
        found.cases.append(
            Case(name=f"{name} *", files=words, directory=directory, profiles=PROFILES)
        )
    if named:
        found.cases.append(
            Case(name=f"{name} $", files=words, directory=directory, environment=named)
        )


def _yaml_files(root: Path) -> Iterator[Path]:
    for file in sorted(root.rglob("*")):
        parts = set(file.relative_to(root).parts)
        if file.suffix in _SUFFIXES and not parts & _NOT_COMPOSE and file.is_file():
            yield file


def _sets(root: Path) -> Iterator[tuple[Path, ...]]:
    """Yield a base with each other file of its directory that is named as its override."""
    for base in _yaml_files(root):
        if base.name not in _BASES:
            continue
        yield from ((base, other) for other in _overrides(base, base.parent.iterdir()))


def _overrides(base: Path, others: Iterable[Path]) -> Iterator[Path]:
    for other in sorted(others):
        marked = any(word in other.name for word in ("override", "overwrite", "prod", "dev", "e2e"))
        if other != base and other.suffix in _SUFFIXES and marked:
            yield other
