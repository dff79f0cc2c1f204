"""Images, networks, volumes: what is there, what is missing, what must be made anew.

First pure judgements (a fate for each resource), which the containers' decisions then read; the
steps come last, in reconcile.py, when it is known which containers stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from orchestra.errors import PlanError
from orchestra.oci.platform import parse_platform
from orchestra.oci.reference import parse_reference
from orchestra.planner.desired import (
    ImageSpec,
    NetworkSpec,
    PullPolicy,
    VolumeSpec,
)
from orchestra.planner.fingerprint import build_hash
from orchestra.planner.observed import ObservedImage, ObservedState
from orchestra.planner.options import Recreate, UpOptions
from orchestra.planner.scope import Scope, volume_keys
from orchestra.planner.steps import BuildImage, PullImage
from orchestra.values import dataclass, replace

_IMAGE_CONTEXT = "docker-image://"


class Fate(StrEnum):
    """What becomes of a network or volume. REVIVE: its record is there, its bridge is not."""

    KEEP = "keep"
    CREATE = "create"
    REVIVE = "revive"
    RENEW = "renew"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFate:
    """A network's fate; ``old_name`` is the machine's name of what is replaced (RENEW)."""

    spec: NetworkSpec
    fate: Fate = Fate.KEEP
    reason: str = ""
    old_name: str = ""

    @property
    def in_place(self) -> bool:
        """Tell whether the old one must go before the new one, which has its name, can come."""
        return self.fate is Fate.RENEW and self.old_name == self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFate:
    """A volume's fate."""

    spec: VolumeSpec
    fate: Fate = Fate.KEEP
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The fates of what the containers in scope use: networks and volumes by key."""

    networks: Mapping[str, NetworkFate]
    volumes: Mapping[str, VolumeFate]
    images: Mapping[str, ObservedImage]


class _Named(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def project(self) -> str: ...


N = TypeVar("N", bound=_Named)


def judge_resources(scope: Scope, observed: ObservedState, options: UpOptions) -> Resources:
    """Decide the fate of every network and volume that a container in scope uses.

    :raises PlanError: when an external one is not there.
    """
    network_keys = {place.network for spec in scope.specs for place in spec.networks}
    keys = {key for spec in scope.specs for key in volume_keys(spec)}
    frozen = options.recreate is Recreate.NEVER
    return Resources(
        networks={
            spec.key: _judge_network(spec, observed, frozen=frozen)
            for spec in scope.desired.networks
            if spec.key in network_keys
        },
        volumes={
            spec.key: _judge_volume(spec, observed, frozen=frozen or options.keep_volumes)
            for spec in scope.desired.volumes
            if spec.key in keys
        },
        images=images_here(scope.desired.images, observed),
    )


def images_here(wanted: Iterable[ImageSpec], observed: ObservedState) -> dict[str, ObservedImage]:
    """Return the images of the store by reference, each as the platform that is wanted of it.

    An image that is here for other platforms only is not here.
    """
    found = {image.reference: image for image in observed.images}
    for spec in wanted:
        there = found.get(spec.reference)
        if there is not None and spec.platform and there.platforms:
            ranked = _ranked(spec.platform, there.platforms)
            if not ranked:
                del found[spec.reference]
            else:
                found[spec.reference] = replace(there, id=min(ranked)[1])
    return found


def _ranked(platform: str, there: Iterable[tuple[str, str]]) -> list[tuple[int, str]]:
    wanted = parse_platform(platform)
    ranks = ((wanted.rank(parse_platform(text)), identity) for text, identity in there)
    return [(rank, identity) for rank, identity in ranks if rank is not None]


def _find(key: str, name: str, project: str, candidates: Iterable[N]) -> N | None:
    """Return what goes by that name, else what the project called by that key."""
    by_name = [found for found in candidates if found.name == name]
    if by_name:
        return by_name[0]
    ours = [found for found in candidates if found.key == key and found.project == project]
    return min(ours, key=lambda found: found.name, default=None)


def _judge_network(spec: NetworkSpec, observed: ObservedState, *, frozen: bool) -> NetworkFate:
    if spec.external:
        there = [network for network in observed.networks if network.name == spec.name]
        if not there:
            raise PlanError(
                f'network "{spec.name}" is declared as external, but is not there',
                hint=f"bring up the project that makes it, or set networks.{spec.key}.external to "
                "false",
            )
        found = there[0]
    else:
        candidate = _find(spec.key, spec.name, observed.project, observed.networks)
        if candidate is None:
            return NetworkFate(spec=spec, fate=Fate.CREATE, reason="not found")
        found = candidate
        renamed = found.name != spec.name
        ours = found.project == observed.project and found.config_hash
        if ours and found.config_hash != spec.config_hash and not frozen:
            reason = f'renamed from "{found.name}"' if renamed else "its definition changed"
            return NetworkFate(spec=spec, fate=Fate.RENEW, reason=reason, old_name=found.name)
        if renamed:
            return NetworkFate(spec=spec, fate=Fate.CREATE, reason="not found")
    if not found.present:
        return NetworkFate(spec=spec, fate=Fate.REVIVE, reason="its bridge is gone")
    return NetworkFate(spec=spec)


def _judge_volume(spec: VolumeSpec, observed: ObservedState, *, frozen: bool) -> VolumeFate:
    if spec.external:
        if all(volume.name != spec.name for volume in observed.volumes):
            raise PlanError(
                f'volume "{spec.name}" is declared as external, but is not there',
                hint=f"bring up the project that makes it, or set volumes.{spec.key}.external to "
                "false",
            )
        return VolumeFate(spec=spec)
    found = _find(spec.key, spec.name, observed.project, observed.volumes)
    if found is None:
        return VolumeFate(spec=spec, fate=Fate.CREATE, reason="not found")
    if found.name != spec.name:
        return VolumeFate(
            spec=spec,
            fate=Fate.CREATE,
            reason=f'renamed, and "{found.name}" stays with its data',
        )
    ours = found.project == observed.project and found.config_hash
    if ours and found.config_hash != spec.config_hash and not frozen:
        return VolumeFate(
            spec=spec, fate=Fate.RENEW, reason="its definition changed, its data is lost"
        )
    return VolumeFate(spec=spec)


def fetch_missing(image: ImageSpec, project: str, options: UpOptions) -> PullImage | BuildImage:
    """Return the step that puts a missing image into the store.

    What can be built is built, and not looked for in a registry.

    :raises PlanError: when its policy, or an option, forbids it.
    """
    reason = "not in the store"
    if image.build is not None and not options.no_build:
        return BuildImage(image=_to_run(image), reason=reason)
    policy = options.pull or image.policy
    users = ", ".join(f'"{service}"' for service in image.services)
    if image.build is not None and not _has_own_name(image, project):
        raise PlanError(
            f'image "{image.reference}" of service {users} is not in the store, and may not be '
            "built",
            hint="leave out --no-build, or run `orchestra build` first",
        )
    if policy in {PullPolicy.NEVER, PullPolicy.BUILD}:
        raise PlanError(
            f'image "{image.reference}" of service {users} is not in the store, and its pull '
            f'policy is "{policy}"',
            hint=f"run `orchestra pull {' '.join(image.services)}` first, or change pull_policy",
        )
    return PullImage(image=image, reason=reason)


def _to_run(image: ImageSpec) -> ImageSpec:
    """Return an image as it is built to be run here: for one platform, as docker compose does.

    That is the service's, or this machine's where the build has several and none is chosen.
    """
    build = image.build
    if build is None or len(build.platforms) < 2:
        return image
    one = (image.platform,) if image.platform else ()
    return replace(
        image,
        build=replace(build, platforms=one),
        build_hash=image.build_hash or build_hash(build),
    )


def refresh(
    image: ImageSpec,
    project: str,
    there: ObservedImage | None,
    options: UpOptions,
    now: datetime,
) -> PullImage | BuildImage | None:
    """Return the step that may change an image, whether it is in the store or not."""
    policy = options.pull or image.policy
    if image.build is not None and not options.no_build:
        built = image if options.only_build else _to_run(image)
        if options.build:
            return BuildImage(image=built, reason="build asked for")
        if policy is PullPolicy.BUILD:
            return BuildImage(image=built, reason='pull policy "build"')
        if there and there.build_hash and there.build_hash != build_hash(image.build):
            return BuildImage(image=built, reason="its build changed")
    buildable = image.build is not None and (options.pull or not _has_own_name(image, project))
    if buildable or options.only_build:
        return None
    if policy is PullPolicy.ALWAYS:
        asked = "pull asked for" if options.pull else 'pull policy "always"'
        return PullImage(image=image, reason=asked)
    if policy is PullPolicy.REFRESH and there is not None and _is_stale(image, there, now):
        last = f"{there.pulled_at:%Y-%m-%d %H:%M} UTC" if there.pulled_at else "nobody knows when"
        return PullImage(image=image, reason=f"last pulled {last}")
    return None


def _is_stale(image: ImageSpec, there: ObservedImage, now: datetime) -> bool:
    """Tell whether the last pull is longer ago than the policy allows."""
    if there.pulled_at is None or image.refresh_after is None:
        return True
    return now - there.pulled_at > image.refresh_after


def pull_asked(image: ImageSpec, there: ObservedImage | None, policy: str | None) -> str:
    """Return why ``pull`` fetches an image; "" when it has no need to.

    As docker compose: what is never pulled is not, what is to be pulled when missing is fetched
    where it is missing or the tag is "latest". ``policy`` is the command's own.
    """
    wanted = policy or image.policy
    if wanted in {PullPolicy.NEVER, PullPolicy.BUILD}:
        return ""
    missing = wanted == PullPolicy.MISSING and (policy or image.policy_written)
    if missing and there is not None and parse_reference(image.reference).tag != "latest":
        return ""
    return "asked for"


def _has_own_name(image: ImageSpec, project: str) -> bool:
    """Tell whether ``image:`` named it, rather than the project and the service."""
    return all(image.reference != f"{project}-{service}" for service in image.services)


def bases_first(steps: Iterable[PullImage | BuildImage]) -> tuple[PullImage | BuildImage, ...]:
    """Return the steps with an edge from each build to the builds whose images it starts from."""
    known = {step.image.reference: step for step in steps}
    return tuple(
        replace(step, after=tuple(sorted(known[base].id for base in _bases(step) & known.keys())))
        for step in known.values()
    )


def _bases(step: PullImage | BuildImage) -> frozenset[str]:
    if not isinstance(step, BuildImage) or step.image.build is None:
        return frozenset()
    contexts = step.image.build.additional_contexts.values()
    images = {value.removeprefix(_IMAGE_CONTEXT) for value in contexts}
    return frozenset(images - {step.image.reference})


def with_bases(
    images: Iterable[ImageSpec], all_images: Iterable[ImageSpec], there: Iterable[str]
) -> tuple[ImageSpec, ...]:
    """Return the images and what can be built of the missing ones that they are built from."""
    known = {image.reference: image for image in all_images}
    found: dict[str, ImageSpec] = {}
    waiting = list(images)
    present = frozenset(there)
    while waiting:
        image = waiting.pop()
        if image.reference in found:
            continue
        found[image.reference] = image
        bases = _bases(BuildImage(image=image, reason="")) - present
        waiting += [known[b] for b in sorted(bases & known.keys()) if known[b].build is not None]
    return tuple(found[reference] for reference in sorted(found))
