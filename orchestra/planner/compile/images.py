"""Services -> the images they need: references, policies, builds."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from orchestra.errors import BuildError, UsageError
from orchestra.planner.attesting import parse_provenance, parse_sbom
from orchestra.planner.building import BuildSpec, FileRights
from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.compile.limits import ulimits_of
from orchestra.planner.compile.mounts import number_of
from orchestra.planner.compile.networking import host_pairs
from orchestra.planner.desired import ImageSpec, PullPolicy
from orchestra.planner.exchange import CachePlace, parse_cache_from, parse_cache_to
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.build import Build
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.values import TypedDict

T = TypeVar("T")
IMAGE_CONTEXT = "docker-image://"
_SERVICE_CONTEXT = "service:"
_PLAIN = frozenset(PullPolicy) - {PullPolicy.REFRESH}
_EVERY = "every_"
_SPANS = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"([0-9]+)([wdhms])")
_PARTS = re.compile(r"([0-9]+[wdhms])+")
_LAYOUT_CONTEXT = "oci-layout://"


def image_of(service: Service, project: Project) -> str:
    """Return the reference of a service's image: a built one without a name is named for it."""
    return service.image or f"{project.name}-{service.name}"


def compile_images(project: Project, complaints: Complaints) -> tuple[ImageSpec, ...]:
    """Return every image that active services need, one per reference."""
    users: dict[str, list[Service]] = {}
    for service in (project.services[name] for name in sorted(project.services)):
        if service.image or service.build:
            users.setdefault(image_of(service, project), []).append(service)
        elif service.provider is None:
            complaints.add(
                ("services", service.name),
                "neither image nor build is given",
                hint="say what the service runs",
            )
    found = {name: _image(name, users[name], project, complaints) for name in sorted(users)}
    for name, services in _mounted(project).items():
        platform = project.default_platform or None
        found.setdefault(name, ImageSpec(reference=name, platform=platform, services=services))
    return tuple(found[name] for name in sorted(found))


def _mounted(project: Project) -> Mapping[str, tuple[str, ...]]:
    """Return the images whose files are mounted, and the services that do it."""
    found: dict[str, list[str]] = {}
    for name in sorted(project.services):
        for volume in project.services[name].volumes:
            if volume.type == "image" and volume.source:
                found.setdefault(volume.source, []).append(name)
    return {reference: tuple(dict.fromkeys(names)) for reference, names in found.items()}


def _image(
    reference: str, services: list[Service], project: Project, complaints: Complaints
) -> ImageSpec:
    builder = next((service for service in services if service.build is not None), services[0])
    policies = dict(_policy(service) for service in services if service.pull_policy)
    spans = [span for service in services if (span := _policy(service)[1]) is not None]
    policy = next((known for known in PullPolicy if known in policies), PullPolicy.MISSING)
    return ImageSpec(
        reference=reference,
        policy=policy,
        refresh_after=min(spans) if policy is PullPolicy.REFRESH else None,
        policy_written=bool(policies),
        platform=builder.platform or project.default_platform or None,
        build=_build(builder.build, builder, project, complaints) if builder.build else None,
        services=tuple(service.name for service in services),
    )


def _policy(service: Service) -> tuple[PullPolicy, timedelta | None]:
    """Return a service's policy, and after what time a pull is due again.

    ``refresh`` alone means nothing to docker compose, and is ``missing`` there.
    """
    word = service.pull_policy or ""
    span = _SPANS.get(word)
    if word.startswith(_EVERY):
        span = _span(word.removeprefix(_EVERY))
    elif word == PullPolicy.REFRESH and _PARTS.fullmatch(service.pull_refresh_after or ""):
        span = _span(service.pull_refresh_after or "")
    if span is not None:
        return PullPolicy.REFRESH, span
    return PullPolicy(word) if word in _PLAIN else PullPolicy.MISSING, None


def _span(text: str) -> timedelta:
    """Return the time that "1w2d3h4m5s" is."""
    parts = {_UNITS[unit]: int(number) for number, unit in _PART.findall(text)}
    return timedelta(**parts)


def _build(build: Build, service: Service, project: Project, complaints: Complaints) -> BuildSpec:
    context = build.context or project.working_dir
    labels = {
        **build.labels,
        "com.docker.compose.project": project.name,
        "com.docker.compose.service": service.name,
    }
    dockerfile = build.dockerfile or "Dockerfile"
    return BuildSpec(
        context=context,
        dockerfile=dockerfile if is_remote(context) else posixpath.join(context, dockerfile),
        dockerfile_inline=build.dockerfile_inline,
        target=build.target or None,
        args=dict(sorted(build.args.items())),
        labels=dict(sorted(labels.items())),
        tags=build.tags,
        no_cache=build.no_cache,
        pull=build.pull,
        network=build.network or None,
        extra_hosts=host_pairs(build.extra_hosts),
        **_build_secrets(build, service, project, complaints),
        ssh={name: _keys(path or "", project) for name, path in sorted(build.ssh.items())},
        entitlements=_entitlements(build, service, complaints),
        ulimits=ulimits_of(build.ulimits),
        no_cache_filter=build.no_cache_filter,
        cache_from=_caches("cache_from", build.cache_from, service, project, complaints),
        cache_to=_caches("cache_to", build.cache_to, service, project, complaints),
        shm_size_bytes=build.shm_size or None,
        platforms=_platforms(build, service, project, complaints),
        provenance=_asked(parse_provenance, build.provenance, "provenance", service, complaints),
        sbom=_asked(parse_sbom, build.sbom, "sbom", service, complaints) or False,
        additional_contexts={
            name: _context(value, project)
            for name, value in sorted(build.additional_contexts.items())
        },
    )


def _keys(paths: str, project: Project) -> str:
    """Return the paths of an agent's keys; of several, the loader knew the first one as a path."""
    first, *others = paths.split(",")
    return ",".join([first, *(posixpath.join(project.working_dir, other) for other in others)])


def _platforms(
    build: Build, service: Service, project: Project, complaints: Complaints
) -> tuple[str, ...]:
    """Return what an image is built for: build.platforms, else the platform that it runs as."""
    default = project.default_platform
    if default and build.platforms and not service.platform and default not in build.platforms:
        complaints.add(
            ("services", service.name, "build", "platforms"),
            f'"{default}", which DOCKER_DEFAULT_PLATFORM asks for, is not here',
            hint="add it, or give the service a platform",
        )
    one = service.platform or default
    return build.platforms or ((one,) if one else ())


def _caches(
    name: str, texts: Sequence[str], service: Service, project: Project, complaints: Complaints
) -> tuple[CachePlace, ...]:
    """Return the caches of a build; those that are not supported are ignored, as the spec wants."""
    found = []
    parse = parse_cache_from if name == "cache_from" else parse_cache_to
    for index, text in enumerate(texts):
        try:
            found.append(parse(text, project.working_dir, f"build.{name}"))
        except UsageError as error:
            path = ("services", service.name, "build", name, index)
            complaints.warn(path, f"it has no effect here, {error.message}")
    return tuple(found)


def _asked(
    parse: Callable[[str], T], text: str | None, key: str, service: Service, complaints: Complaints
) -> T | None:
    try:
        return parse(text or "")
    except BuildError as error:
        complaints.refuse(("services", service.name, "build", key), error.message, error.hint or "")
        return None


def _context(value: str, project: Project) -> str:
    """Return an additional context; another service's image goes by its reference."""
    if value.startswith(_LAYOUT_CONTEXT):
        return _LAYOUT_CONTEXT + posixpath.join(
            project.working_dir, value.removeprefix(_LAYOUT_CONTEXT)
        )
    name = value.removeprefix(_SERVICE_CONTEXT)
    if name == value or name not in project.all_services:
        return value
    return IMAGE_CONTEXT + image_of(project.all_services[name], project)


def is_remote(context: str) -> bool:
    """Tell whether a build context has to be fetched: nothing in it is a path of this machine."""
    return context == "-" or "://" in context or context.startswith(("github.com/", "git@"))


class _Secrets(TypedDict):
    secrets: Mapping[str, str]
    secret_contents: Mapping[str, str]
    secret_rights: Mapping[str, FileRights]


def _build_secrets(
    build: Build, service: Service, project: Project, complaints: Complaints
) -> _Secrets:
    files: dict[str, str] = {}
    contents: dict[str, str] = {}
    rights: dict[str, FileRights] = {}
    for index, reference in enumerate(build.secrets):
        key: KeyPath = ("services", service.name, "build", "secrets", index)
        secret = project.secrets.get(reference.source or "")
        if secret is None:
            continue
        name = reference.target or reference.source or ""
        if secret.content is not None:
            contents[name] = secret.content
        elif secret.file is not None:
            files[name] = secret.file
        elif secret.environment:
            complaints.add(
                key,
                f'environment variable "{secret.environment}" is not set',
                hint=f'set it, or give "{secret.name}" a file',
            )
        else:
            complaints.refuse(key, f'"{secret.name}" is external, and there is no store')
        given = FileRights(
            uid=_id(reference.uid, (*key, "uid"), complaints),
            gid=_id(reference.gid, (*key, "gid"), complaints),
            mode=reference.mode,
        )
        if given != FileRights():
            rights[name] = given
    return _Secrets(secrets=files, secret_contents=contents, secret_rights=rights)


def _id(text: str | None, key: KeyPath, complaints: Complaints) -> int | None:
    return number_of(text, key, complaints) if text else None


def _entitlements(build: Build, service: Service, complaints: Complaints) -> tuple[str, ...]:
    known = ("device", "network.host", "security.insecure")
    for index, name in enumerate(build.entitlements):
        if name not in known and not name.startswith("device="):
            complaints.refuse(
                ("services", service.name, "build", "entitlements", index),
                f'"{name}" is not an entitlement',
                f"it is one of {', '.join(known)}",
            )
    granted = {*build.entitlements, *(("security.insecure",) if build.privileged else ())}
    return tuple(sorted(granted))
