"""A case on disk: its context with the Dockerfile, the named contexts, the secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from scripts.differential.case import Case
from scripts.differential.recipe import fill
from scripts.differential.record import Built


class BuildFailed(Exception):
    """A build that came to nothing, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where the parts of a case are; ``contexts`` maps names to directories or images."""

    case: Case
    context: Path
    dockerfile: Path
    contexts: Mapping[str, str]
    secrets: Mapping[str, Path]
    args: Mapping[str, str]


class Peer(Protocol):
    """Something that builds."""

    def build(self, ground: Ground) -> Built:
        """Build a case.

        :raises BuildFailed: when that comes to nothing.
        """


@contextmanager
def laid_out(case: Case, address: str) -> Iterator[Ground]:
    """Write a case down; ``address`` takes the place of @WEB@."""
    with TemporaryDirectory(prefix="case-") as directory:
        root = Path(directory)
        text = case.text.replace("@WEB@", f"http://{address}")
        files: dict[str, object] = dict(case.files)
        files.setdefault(case.dockerfile, text)
        fill(root / "context", files, case.mtime)
        contexts: dict[str, str] = {}
        for number, (name, value) in enumerate(case.contexts.items()):
            if isinstance(value, Mapping):
                fill(root / f"named{number}", value, case.mtime)
                contexts[name] = str(root / f"named{number}")
            else:
                contexts[name] = str(value).replace("@WEB@", f"http://{address}")
        secrets: dict[str, Path] = {}
        for number, (name, content) in enumerate(case.secrets.items()):
            secrets[name] = root / f"secret{number}"
            secrets[name].write_text(content)
        args = {key: str(value) for key, value in case.args.items()}
        if case.epoch is not None:
            args["SOURCE_DATE_EPOCH"] = str(case.epoch)
        yield Ground(
            case=case,
            context=root / "context",
            dockerfile=root / "context" / case.dockerfile,
            contexts=contexts,
            secrets=secrets,
            args=args,
        )
