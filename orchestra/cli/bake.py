"""The builds of a project as a bake file: what ``build --print`` writes, as docker compose does."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.spec.model.build import Build
    from orchestra.spec.model.project import Project
    from orchestra.spec.model.service import Service

_SERVICE = "service:"


def bake_file(
    project: Project,
    services: Iterable[str],
    *,
    args: Mapping[str, str | None],
    no_cache: bool,
    pull: bool,
    push: bool,
    ssh: Mapping[str, str],
) -> str:
    """Return the bake file that says what a build of some services would do.

    Every service with a build is a target, those that are asked for are the default group.
    """
    asked = set(services)
    known = {
        name: service
        for name, service in sorted(project.all_services.items())
        if name in project.services or name in asked
    }
    names = _targets(list(known))
    targets: dict[str, object] = {}
    for name, service in known.items():
        if service.build is not None:
            fields = {
                **_described(project, service, service.build, names),
                "args": _arguments({**service.build.args, **args}),
                "ssh": _pairs({**service.build.ssh, **ssh}),
                "pull": service.build.pull or pull,
                "no-cache": service.build.no_cache or no_cache,
                "output": _outputs(service, service.build, push=push),
            }
            targets[names[name]] = {key: value for key, value in fields.items() if value}
    wanted = [names[name] for name in sorted(asked) if known[name].build]
    document = {"group": {"default": {"targets": wanted}}, "target": targets}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _attested(kind: str, asked: str | None) -> list[str]:
    """Return an attestation as docker compose asks bake for it."""
    if not asked or asked == "false":
        return []
    return [f"type={kind}" if asked == "true" else f"type={kind},{asked}"]


def _described(
    project: Project, service: Service, build: Build, names: Mapping[str, str]
) -> dict[str, object]:
    context = build.context or project.working_dir
    image = service.image or f"{project.name}-{service.name}"
    labels = {
        **build.labels,
        "com.docker.compose.project": project.name,
        "com.docker.compose.service": service.name,
    }
    rights = [*build.entitlements, *(["security.insecure"] if build.privileged else [])]
    return {
        "context": context,
        "contexts": {
            name: f"target:{names[place.removeprefix(_SERVICE)]}"
            if place.removeprefix(_SERVICE) in names and place.startswith(_SERVICE)
            else place
            for name, place in sorted(build.additional_contexts.items())
        },
        "dockerfile": _dockerfile(context, build.dockerfile or ""),
        "dockerfile-inline": (build.dockerfile_inline or "").replace("${", "$${"),
        "labels": dict(sorted(labels.items())),
        "tags": [*build.tags, image],
        "attest": [*_attested("provenance", build.provenance), *_attested("sbom", build.sbom)],
        "cache-from": list(build.cache_from),
        "cache-to": list(build.cache_to),
        "target": build.target,
        "secret": _secrets(project, build),
        "platforms": list(build.platforms),
        "network": build.network,
        "no-cache-filter": list(build.no_cache_filter),
        "shm-size": str(build.shm_size) if build.shm_size else "",
        "ulimits": [
            f"{name}={limit.soft}" if limit.single else f"{name}={limit.soft}:{limit.hard}"
            for name, limit in sorted(build.ulimits.items())
        ],
        "entitlements": rights,
        "extra-hosts": {name: ",".join(hosts) for name, hosts in sorted(build.extra_hosts.items())},
    }


def _targets(services: Sequence[str]) -> dict[str, str]:
    """Return a target's name for each service: dots mean something else there."""
    found: dict[str, str] = {}
    for service in services:
        name = service.replace(".", "_")
        while name in found.values():
            name += "_"
        found[service] = name
    return found


def _dockerfile(context: str, dockerfile: str) -> str:
    from orchestra.planner.compile.images import is_remote

    if not dockerfile or is_remote(context):
        return dockerfile
    return posixpath.join(context, dockerfile)


def _arguments(args: Mapping[str, str | None]) -> dict[str, str]:
    return {
        name: value.replace("${", "$${")
        for name, value in sorted(args.items())
        if value is not None
    }


def _pairs(values: Mapping[str, str | None]) -> list[str]:
    return [f"{name}={path or ''}" for name, path in sorted(values.items())]


def _secrets(project: Project, build: Build) -> list[str]:
    found = []
    for reference in build.secrets:
        secret = project.secrets.get(reference.source or "")
        name = reference.target or reference.source
        if secret is not None and secret.environment:
            found.append(f"id={name},type=env,env={secret.environment}")
        elif secret is not None and secret.file:
            found.append(f"id={name},type=file,src={secret.file}")
    return found


def _outputs(service: Service, build: Build, *, push: bool) -> list[str]:
    pushed = push and bool(service.image)
    if len(build.platforms) > 1:
        return [f"type=image,push={'true' if pushed else 'false'}"]
    return ["type=registry" if pushed else "type=docker"]
