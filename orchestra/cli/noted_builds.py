"""Writing down by what the builds of a command line are known, for ``plain_builds`` to find."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from orchestra.cli.plain_builds import VOLATILE
from orchestra.engine.glancing import digest_at, key_of, kind_at
from orchestra.engine.state.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestra.cli.session import Session
    from orchestra.engine.state.codec import Json
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.desired import ImageSpec
    from orchestra.spec.reading import Journal


_Build: TypeAlias = "tuple[str, str, dict[str, object]]"
"""What a build is called, by what it is known, and what the history of builds has of it."""


def note_image(
    session: Session, parts: Sequence[str] | None, spec: BuildSpec, names: tuple[str, ...]
) -> None:
    """Write down by what one build is known that belongs to no project."""
    if parts is None or not names:
        return
    known = session.machine.settled_images("")
    build = (names[0], known.place(spec, names), known.about(spec, names))
    _put(session, parts, "", _evidence({}, {}, {}), [build])


def note_project(
    session: Session,
    parts: Sequence[str] | None,
    journal: Journal,
    project: str,
    images: Sequence[ImageSpec],
) -> None:
    """Write down by what the builds of a project are known, and what it was read from.

    Nothing where that is more than files with content that stays.
    """
    if parts is None or not images or not journal.tells:
        return
    volatile = [f"{mark}{name}".encode() for name in VOLATILE for mark in ("$", "${")]
    volatile += [b"OLDPWD", b"SHLVL"]
    if any(name in content for content in journal.contents.values() for name in volatile):
        return
    known = session.machine.settled_images(project)
    builds, notes = list[_Build](), dict[str, str]()
    for image in images:
        if image.build is None:
            return
        names = (image.reference, *image.build.tags)
        place, about = known.place(image.build, names), known.about(image.build, names)
        builds.append((image.reference, place, about))
        notes |= known.note_of(image)
    files, kinds = journal.files(), dict(journal.kinds)
    with suppress(OSError, ValueError):
        config = str(session.machine.paths.config)
        files[config], kinds[config] = digest_at(config), kind_at(config)
        _put(session, parts, project, _evidence(files, kinds, notes), builds)


def _evidence(
    files: Mapping[str, str], kinds: Mapping[str, int], notes: Mapping[str, str]
) -> dict[str, Json]:
    return {
        "files": dict(files),
        "kinds": dict(kinds),
        "sizes": {},
        "names": {},
        "notes": dict(notes),
        "trees": [],
    }


def _put(
    session: Session,
    parts: Sequence[str],
    project: str,
    evidence: dict[str, Json],
    builds: Sequence[_Build],
) -> None:
    if os.getuid() != 0:
        return
    memo = Memo(Path(session.machine.paths.build_cache / "asked"))
    document: dict[str, Json] = {
        "evidence": evidence,
        "builds": cast("Json", [list(build) for build in builds]),
        "said": list(session.told),
        "desired": session.known_by or "",
        "project": project,
    }
    memo.put(key_of(parts), document)
