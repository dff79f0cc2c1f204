"""What several commands need of a project's state: references, what was last wanted, scales."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.options import check_choice
from orchestra.errors import SpecError, UsageError
from orchestra.planner.desired import PullPolicy
from orchestra.planner.observed import LIVE, ObservedContainer, ObservedState, Phase
from orchestra.planner.options import Recreate
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.planner.desired import DesiredState, ImageSpec
    from orchestra.planner.plan import Plan
    from orchestra.planner.steps import Step


def references_of(desired: DesiredState) -> tuple[str, ...]:
    """Return the image references of a project."""
    return tuple(image.reference for image in desired.images)


def always_fetched(desired: DesiredState) -> bool:
    """Tell whether an image is pulled or built again and again, so that its id may change."""
    return any(image.policy in {"always", "build", "refresh"} for image in desired.images)


def check_services(desired: DesiredState, services: Iterable[str]) -> None:
    """Refuse services that the project does not have.

    :raises UsageError: when one is none.
    """
    for service in services:
        if service not in desired.services:
            raise UsageError(
                f'no such service: "{service}"',
                hint=f"services here: {', '.join(desired.services)}",
            )


def recreation(*, force: bool, never: bool, build: bool, no_build: bool) -> Recreate:
    """Return which containers are replaced.

    :raises UsageError: when options exclude each other.
    """
    if force and never:
        raise UsageError("--force-recreate and --no-recreate are incompatible")
    if build and no_build:
        raise UsageError("--build and --no-build are incompatible")
    if force:
        return Recreate.FORCE
    return Recreate.NEVER if never else Recreate.DIVERGED


def known_desired(session: Session) -> DesiredState | None:
    """Return what the project should be: from its files, else from what ``up`` last wrote.

    With ``-p`` and no file at hand, only the latter; None when nothing is known.

    :raises SpecErrors: when there are files, and they are wrong.
    """
    if session.options.files or _has_file(session):
        return session.desired()
    return session.controller(session.project_name).wished().state


def _has_file(session: Session) -> bool:
    if session.environment.get("COMPOSE_FILE"):
        return True
    if session.options.project_name and not session.options.project_directory:
        from orchestra.spec.naming import discover

        try:
            return bool(discover(session.load_options(), session.environment, Path.cwd()))
        except SpecError:
            return False
    return True


def parse_pull(text: str | None) -> PullPolicy | None:
    """Parse ``--pull``; "policy" leaves each image its own, as docker compose's default does.

    :raises UsageError: when it is no policy.
    """
    if text in {None, "policy"}:
        return None
    word = "missing" if text == "if_not_present" else str(text)
    check_choice("--pull", word, ("always", "missing", "never", "build", "policy"))
    return PullPolicy(word)


def parse_scale(options: Iterable[str], form: str = "--scale SERVICE=NUM") -> Mapping[str, int]:
    """Parse numbers of replicas, SERVICE=NUM each; ``form`` is how they are to be written.

    :raises UsageError: when one is not of that form.
    """
    scale: dict[str, int] = {}
    for option in options:
        service, equals, number = option.partition("=")
        if not (service and equals and number.isdecimal()):
            raise UsageError(f'cannot scale "{option}"', hint=f"write it as {form}")
        scale[service] = int(number)
    return scale


def approve_destruction(yes: bool) -> Callable[[Plan[Step]], bool]:
    """Return a function that asks before a plan destroys data; ``yes`` answers beforehand."""

    def approve(plan: Plan[Step]) -> bool:
        if yes or not plan.destroys_data:
            return True
        sys.stderr.write(f"{plan}\n")
        if not sys.stdin.isatty():
            raise UsageError(
                "this plan destroys data, and there is no terminal to ask at",
                hint="run it with --yes if that is meant",
            )
        sys.stderr.write("this plan destroys data; go on? [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return approve


def changed_builds(
    desired: DesiredState,
    *,
    args: Mapping[str, str | None],
    no_cache: bool,
    pull: bool,
    ssh: Mapping[str, str] | None = None,
    memory_bytes: int | None = None,
    provenance: str | None = None,
    sbom: str | None = None,
) -> DesiredState:
    """Return the state with the command line's build options in every build."""
    from orchestra.planner.attesting import parse_provenance, parse_sbom
    from orchestra.planner.fingerprint import build_hash
    from orchestra.planner.limits import Resources

    images = tuple(
        replace(
            image,
            build_hash=build_hash(image.build),
            build=replace(
                image.build,
                args={**image.build.args, **args},
                no_cache=image.build.no_cache or no_cache,
                pull=image.build.pull or pull,
                ssh={**image.build.ssh, **(ssh or {})},
                resources=Resources(memory_bytes=memory_bytes),
                provenance=image.build.provenance
                if provenance is None
                else parse_provenance(provenance),
                sbom=image.build.sbom if sbom is None else parse_sbom(sbom),
            ),
        )
        if image.build
        else image
        for image in desired.images
    )
    return replace(desired, images=images)


def images_to_pull(
    desired: DesiredState, services: Iterable[str], *, include_deps: bool, buildable: bool
) -> tuple[ImageSpec, ...]:
    """Return the images of the named services (all when none), built ones only if asked."""
    wanted = set(services)
    if wanted and include_deps:
        depends = {c.service: {d.service for d in c.depends_on} for c in desired.containers}
        todo = list(wanted)
        while todo:
            new = depends.get(todo.pop(), set()) - wanted
            wanted |= new
            todo += new
    return tuple(
        image
        for image in desired.images
        if (not wanted or wanted & set(image.services))
        and (image.build is None or (buildable and image.policy == "always"))
    )


def pick_running(observed: ObservedState, service: str, index: int) -> ObservedContainer:
    """Return a service's running or paused container: the one of that number, or the first.

    :raises UsageError: when there is none.
    """
    chosen = sorted(
        (
            container
            for container in observed.containers
            if container.service == service
            and not container.one_off
            and container.phase in LIVE
            and (not index or container.number == index)
        ),
        key=lambda container: container.number,
    )
    if not chosen:
        which = f"container {index} of " if index else ""
        raise NotRunningError(
            f'{which}service "{service}" is not running', hint="see `orchestra ps -a`"
        )
    return chosen[0]


def check_not_paused(container: ObservedContainer) -> None:
    """Refuse to enter a paused container: nothing would run in it.

    :raises NotRunningError: when it is paused.
    """
    if container.phase is Phase.PAUSED:
        raise NotRunningError(
            f'container "{container.name}" is paused',
            hint=f"run `orchestra unpause {container.service}` first",
        )


class NotRunningError(UsageError):
    """As docker compose: exit code 1, which scripts rely on."""

    exit_code = 1
