"""Builds that a glance has to go on with: a project's lock, and an error is the usual way's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

from orchestra.engine.build.continuing import Continuing
from orchestra.engine.local.notes import BUILD_HASH
from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.state.plain import NotPlainError
from orchestra.engine.waiting import LoopWantedError
from orchestra.errors import OrchestraError
from orchestra.oci.reference import parse_reference

if TYPE_CHECKING:
    from orchestra.engine.state.codec import Json


def carry_on(
    environment: Mapping[str, str],
    place: str,
    document: Mapping[str, object],
    *,
    names: Sequence[str],
    project: str,
    noted: Mapping[object, object],
) -> tuple[Mapping[str, object], frozenset[str]]:
    """Do a build of which only what lies in contexts has changed.

    ``document`` is what a glance found at ``place``; ``noted`` what stands beside names. Returns
    the document that it finds from now on, and the actions of steps that were done.

    :raises NotPlainError: when it has to be built in the usual way, which also tells what is wrong.
    """
    paths = paths_of(environment, uid=0)
    note = noted.get(str(parse_reference(names[0])))
    annotations = {BUILD_HASH: str(note)} if note else None
    try:
        with _alone(paths, project) as alone:
            if not alone:
                raise NotPlainError
            # what a checksum vouches for was written by this very code, as JSON
            build = Continuing(paths, place, cast("dict[str, Json]", dict(document)))
            return build.carry_on(names, annotations), build.done
    except (LoopWantedError, OrchestraError, LookupError, ValueError) as err:
        raise NotPlainError from err


def _alone(paths: Paths, project: str) -> AbstractContextManager[bool]:
    """Hold the lock of a project, where there is one; tell whether it is held."""
    if not project:
        return nullcontext(enter_result=True)
    from orchestra.engine.state.lock import at_once  # noqa: PLC0415 - for projects

    return at_once(paths, project)
