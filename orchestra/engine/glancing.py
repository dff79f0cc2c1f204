"""Builds that are known by a glance: as ``plainly`` for ``exec``, without what builds (ADR 0026).

A command line that built something is remembered below build-cache/asked by all that it says, with
evidence of what its project was read from, and by what each of its builds is known. What those
gave, with evidence of their own, the builder writes down (build/glances.py).
"""

from __future__ import annotations

from orchestra.engine.build.evidence import (
    digest_at,
    holds,
    index_at,
    kind_at,
    remembered,
    shared,
)
from orchestra.engine.build.journals import write_whole
from orchestra.engine.state.plain import NotPlainError
from orchestra.hashing import sha256
from orchestra.sources import rooms_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Asked",
    "Glimpse",
    "NotPlainError",
    "asked_at",
    "digest_at",
    "key_of",
    "kind_at",
]

DATA = "/var/lib/orchestra"  # root's of paths.py, which a test compares
_ROOMS = (
    "", "cli", "cli/commands", "cli/commands/image", "cli/render", "engine", "engine/build",
    "engine/image", "engine/local", "engine/state", "oci", "planner", "planner/compile", "spec",
    "spec/model",
)  # fmt: skip


class Glimpse:
    """What one build gave: what it is called, its image's id, its actions and its warnings.

    ``about`` and ``end`` are what the history of builds has of it (build/journals.py).
    """

    __slots__ = ("about", "actions", "end", "identity", "subject", "warnings")

    def __init__(
        self,
        subject: str,
        identity: str,
        actions: Sequence[str],
        warnings: Sequence[str],
    ) -> None:
        self.subject = subject
        self.identity = identity
        self.actions = actions
        self.warnings = warnings
        self.about: object = None
        self.end: dict[str, object] = {}

    @property
    def told(self) -> list[tuple[str, ...]]:
        """What it says, as its journal has it."""
        pairs = zip(("", *self.actions), self.actions, strict=False)
        return [
            *(("step", self.subject, action) for before, action in pairs if action != before),
            *(("out", self.subject, "stderr", f"warning: {text}\n") for text in self.warnings),
            ("step", self.subject, "built"),
        ]


def asked_at(environment: Mapping[str, str], uid: int) -> str:
    """Return the data directory, for root.

    :raises NotPlainError: for others, and where it is not absolute.
    """
    data = environment.get("ORCHESTRA_DATA", DATA)
    if uid != 0 or not data.startswith("/"):
        raise NotPlainError
    return data.rstrip("/")


def key_of(parts: Sequence[str]) -> str:
    """Return by what a command line is remembered; other code takes no notice of it."""
    text = "\0".join((*parts, rooms_digest(_ROOMS)))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Asked:
    """What is remembered of a command line that still means what it meant.

    ``said`` are the lines to say before; ``desired`` is by what the project is remembered
    (state/memo.py), "" where there is none.
    """

    __slots__ = ("_builds", "_data", "_index", "desired", "said")

    def __init__(self, data: str, key: str) -> None:
        """Look for it.

        :raises NotPlainError: when its files are not what they were, or it was never seen.
        """
        match remembered(f"{data}/build-cache/asked", key):
            case {
                "evidence": evidence,
                "builds": list(builds),
                "said": list(said),
                "desired": str(desired),
            } if builds:
                pass
            case _:
                raise NotPlainError
        self._data = data
        self._index = index_at(f"{data}/images")
        self._builds: list[object] = builds
        self.said = list(map(str, said))
        self.desired = desired
        if not holds(evidence, self._index):
            raise NotPlainError

    def glance(self) -> list[Glimpse]:
        """Return what the builds gave, in order.

        :raises NotPlainError: unless nothing that they depend on has changed.
        """
        with shared(f"{self._data}/images/ingest/lock"):
            return list(map(self._glimpse, self._builds))

    def record(self, found: Sequence[Glimpse], began_ns: int) -> None:
        """Write what was found into the history of builds."""
        directory = f"{self._data}/build-cache/history"
        for each in found:
            write_whole(directory, each.about, each.told, each.end, began_ns)

    def _glimpse(self, build: object) -> Glimpse:
        match build:
            case [str(subject), str(place), about]:
                pass
            case _:
                raise NotPlainError
        match remembered(f"{self._data}/build-cache/glances", place):
            case {
                "evidence": evidence,
                "id": str(identity),
                "actions": list(actions),
                "warnings": list(warnings),
                "digest": digest,
                "steps": [total, completed, cached],
                "materials": materials,
            } if holds(evidence, self._index):
                texts = list(map(str, actions)), list(map(str, warnings))
                found = Glimpse(subject, identity, *texts)
                found.about = about
                found.end = {
                    "status": "completed",
                    "total": total,
                    "completed": completed,
                    "cached": cached,
                    "image": identity,
                    "digest": digest,
                    "materials": materials,
                }
                return found
            case _:
                raise NotPlainError
