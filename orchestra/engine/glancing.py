"""Builds that are known by a glance: as ``plainly`` for ``exec``, without what builds (ADR 0026).

A command line that built something is remembered below build-cache/asked by all that it says, with
evidence of what its project was read from, and by what each of its builds is known. What those
gave, with evidence of their own, the builder writes down (build/glances.py).
"""

from __future__ import annotations

import time

from orchestra.engine.build.evidence import (
    digest_at,
    holds,
    index_at,
    kind_at,
    looks_the_same,
    remembered,
    shared,
    stands,
)
from orchestra.engine.build.journals import write_whole
from orchestra.engine.state.plain import NotPlainError
from orchestra.hashing import sha256
from orchestra.sources import rooms_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

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

    __slots__ = ("about", "actions", "end", "identity", "seconds", "subject", "warnings")

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
        self.seconds = 0.0
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

    __slots__ = (
        "_builds",
        "_data",
        "_environment",
        "_index",
        "_notes",
        "_project",
        "desired",
        "said",
    )

    def __init__(self, environment: Mapping[str, str], uid: int, key: str) -> None:
        """Look for it.

        :raises NotPlainError: when its files are not what they were, or it was never seen.
        """
        data = asked_at(environment, uid)
        match remembered(f"{data}/build-cache/asked", key):
            case {
                "evidence": evidence,
                "builds": list(builds),
                "said": list(said),
                "desired": str(desired),
                "project": str(project),
            } if builds:
                pass
            case _:
                raise NotPlainError
        self._environment = environment
        self._data = data
        self._project = project
        self._index = index_at(f"{data}/images")
        self._builds: list[object] = builds
        self._notes: dict[object, object] = {}
        self.said = list(map(str, said))
        self.desired = desired
        if not holds(evidence, self._index):
            raise NotPlainError
        match evidence:
            case {"notes": dict(notes)}:
                self._notes = notes
            case _:
                pass

    def glance(self) -> list[Glimpse]:
        """Return what the builds gave, in order; one of which only contexts changed is done.

        :raises NotPlainError: unless nothing else that they depend on has changed.
        """
        with shared(f"{self._data}/images/ingest/lock"):
            found = [self._known(build) for build in self._builds]
            changed = [each for each in found if not each.same]
            if changed and len(found) > 1 and _are_mixed(found, changed[0]):
                raise NotPlainError
            for each in changed:
                self._carry_on(each)
            return [each.glimpse for each in found]

    def record(self, found: Sequence[Glimpse], began_ns: int) -> None:
        """Write what was found into the history of builds."""
        directory = f"{self._data}/build-cache/history"
        for each in found:
            write_whole(directory, each.about, each.told, each.end, began_ns)

    def _known(self, build: object) -> _Known:
        match build:
            case [str(subject), str(place), about]:
                pass
            case _:
                raise NotPlainError
        match remembered(f"{self._data}/build-cache/glances", place):
            case {"evidence": evidence, **rest} if stands(evidence, self._index):
                document: dict[str, object] = {"evidence": evidence}
                document |= {str(name): value for name, value in rest.items()}
            case _:
                raise NotPlainError
        return _Known(place, document, _glimpse(subject, about, document, frozenset()))

    def _carry_on(self, known: _Known) -> None:
        """Do a build of which only what lies in contexts has changed.

        :raises NotPlainError: when it has to be done in the usual way.
        """
        told = [known.glimpse.subject, *known.glimpse.actions, *known.glimpse.warnings]
        if not known.document.get("settled") or not all(map(str.isprintable, told)):
            raise NotPlainError  # the usual way knows how to print what is not printable
        from orchestra.engine.local.continued import carry_on  # noqa: PLC0415 - it imports what builds

        begun = time.monotonic()
        subject, about = known.glimpse.subject, known.glimpse.about
        document, done = carry_on(
            self._environment,
            known.place,
            known.document,
            names=known.names,
            project=self._project,
            noted=self._notes,
        )
        known.glimpse = _glimpse(subject, about, document, done)
        known.glimpse.seconds = time.monotonic() - begun


class _Known:
    """What is known of a build at a ``place``; ``same``: its contexts are as they were, too."""

    __slots__ = ("document", "glimpse", "place", "same")

    def __init__(self, place: str, document: dict[str, object], glimpse: Glimpse) -> None:
        self.place = place
        self.document = document
        self.glimpse = glimpse
        self.same = looks_the_same(document["evidence"])

    @property
    def names(self) -> list[str]:
        """The names that stand for the image.

        :raises NotPlainError: when they are not to be read.
        """
        match self.glimpse.about:
            case {"names": list(names)} if names:
                return list(map(str, names))
            case _:
                raise NotPlainError


def _are_mixed(found: Sequence[_Known], changed: _Known) -> bool:
    """Tell whether more than one has changed, or others stand on the one that has."""
    others = [each for each in found if each is not changed]
    if not all(each.same for each in others):
        return True
    gone = changed.glimpse.end["digest"]
    for each in others:
        match each.document["evidence"]:
            case {"names": dict(names)} if gone not in names.values():
                pass
            case _:
                return True
    return False


def _glimpse(
    subject: str, about: object, document: Mapping[str, object], done: Container[str]
) -> Glimpse:
    """Return what a build gave; ``done`` are the actions of steps that were done for it.

    :raises NotPlainError: when that is not to be read.
    """
    match document:
        case {
            "id": str(identity),
            "actions": list(actions),
            "warnings": list(warnings),
            "digest": digest,
            "steps": [total, completed, int(cached)],
            "materials": materials,
        }:
            pass
        case _:
            raise NotPlainError
    told = list(map(str, actions))
    now = [f"{text[:-7]} DONE" if text[:-7] in done and text.endswith(" CACHED") else text
           for text in told]  # fmt: skip
    found = Glimpse(subject, identity, now, list(map(str, warnings)))
    found.about = about
    found.end = {
        "status": "completed",
        "total": total,
        "completed": completed,
        "cached": cached - sum(a != b for a, b in zip(now, told, strict=True)),
        "image": identity,
        "digest": digest,
        "materials": materials,
    }
    return found
