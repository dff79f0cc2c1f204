"""Lists of names out of a project, as ``config`` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from orchestra.errors import UsageError

if TYPE_CHECKING:
    from orchestra.planner.desired import DesiredState
    from orchestra.spec.discovery import LoadOptions
    from orchestra.spec.loader import Model
    from orchestra.spec.model.project import Project
    from orchestra.spec.model.service import Service
    from orchestra.spec.tree import Value
    from orchestra.spec.variables import Variable

_NARROWEST = 20
_GAP = 3
"""docker compose's tabwriter: cells of at least 20, three blanks apart."""


def name_patterns(filters: Iterable[str]) -> list[re.Pattern[str]]:
    """Parse ``--filter name=REGEX`` options.

    :raises UsageError: when one is of another kind, or no regular expression.
    """
    patterns = []
    for text in filters:
        key, equals, pattern = text.partition("=")
        if key != "name" or not equals:
            raise UsageError(f'invalid filter "{text}"', hint="use --filter name=REGEX")
        try:
            patterns.append(re.compile(pattern))
        except re.error as err:
            raise UsageError(f'invalid filter "{text}": {err.msg}', hint="use a regex") from err
    return patterns


def names_of(project: Project, kind: str) -> list[str]:
    """Return the names of one kind: services, volumes, networks, images, models, profiles.

    Sorted, but for the images: one or more for each service, in the order of the services.
    """
    services = [project.services[name] for name in sorted(project.services)]
    found: Iterable[str]
    match kind:
        case "services":
            found = project.services
        case "volumes":
            found = project.volumes
        case "networks":
            found = project.networks
        case "images":
            return [image for service in services for image in _images(service, project.name)]
        case "models":
            found = [model.model for model in project.models.values() if model.model]
        case _:
            everyone = [*services, *project.disabled_services.values()]
            found = {profile for service in everyone for profile in service.profiles}
    return sorted(found)


def names_in(model: Model, kind: str) -> list[str]:
    """Return the names of one kind in a model whose variables stay as written.

    All services, whatever their profiles; of the rest, what active services use.
    """
    from orchestra.spec.profiles import takes_part
    from orchestra.spec.tree import lookup, mapping

    services = {key: mapping(one) for key, one in mapping(model.complete.get("services")).items()}
    active = {
        key: one
        for key, one in services.items()
        if takes_part(_texts(one.get("profiles")), model.profiles)
    }
    match kind:
        case "services":
            return sorted(services)
        case "profiles":
            return sorted({name for one in services.values() for name in _texts(one.get(kind))})
        case "images":
            return [image for key in sorted(active) for image in _written_images(model, key)]
        case "volumes":
            mounts = [mount for one in active.values() for mount in _list(one.get(kind))]
            used = {
                lookup(mount, "source") for mount in mounts if lookup(mount, "type") == "volume"
            }
        case _:
            used = {name for one in active.values() for name in mapping(one.get(kind))}
    known = mapping(model.complete.get(kind))
    if kind == "models":
        return sorted(str(lookup(known[name], "model")) for name in known if name in used)
    return sorted(name for name in known if name in used)


def _written_images(model: Model, service: str) -> list[str]:
    from orchestra.spec.tree import lookup

    own = str(lookup(model.complete, "services", service, "image") or f"{model.name}-{service}")
    hooks = _list(lookup(model.complete, "services", service, "pre_start"))
    images = [str(lookup(hook, "image") or own) for hook in hooks]
    return [own, *(image for image in images if image != own)]


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _texts(value: Value) -> list[str]:
    return [text for text in _list(value) if isinstance(text, str)]


def _images(service: Service, project: str) -> list[str]:
    own = service.image or f"{project}-{service.name}"
    return [own, *(hook.image for hook in service.pre_start if hook.image not in {None, "", own})]


def services_to_hash(project: Project, wanted: str) -> list[str]:
    """Return the active services that are named with commas between, all of them for "*".

    :raises UsageError: when one is not there.
    """
    known = project.services
    names = sorted(known if wanted == "*" else set(wanted.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(
                f'no service "{name}" to hash', hint=f"services here: {', '.join(sorted(known))}"
            )
    return names


def hash_lines(desired: DesiredState) -> str:
    """Return one line "SERVICE HASH" for each service.

    A hash is 64 hexadecimal digits, which change when `up` would make the containers anew.
    """
    found = {c.service: c.config_hash for c in (*desired.idle, *desired.containers)}
    from orchestra.hashing import sha256

    digests = {name: sha256(found[name].encode()).hexdigest() for name in sorted(found)}
    return "".join(f"{name} {digest}\n" for name, digest in digests.items())


def environment_lines(
    options: LoadOptions, environment: Mapping[str, str], cwd: Path, project: str
) -> str:
    """Return the variables that the files of a project may use, as KEY=value lines.

    :raises SpecError: when an env file is missing or malformed.
    """
    from orchestra.spec.discovery import find_site
    from orchestra.spec.findings import Findings

    site = find_site(options, environment, cwd, Findings())
    known = {**site.environment, "COMPOSE_PROJECT_NAME": project}
    return "".join(f"{key}={known[key]}\n" for key in sorted(known))


def variables_text(variables: Mapping[str, Variable], output_format: str | None) -> str:
    """Return the variables as a table, or as docker compose's JSON or YAML."""
    if output_format in {"json", "yaml"}:
        return _variables_document(variables, as_json=output_format == "json")
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    for variable in variables.values():
        required = "true" if variable.required else "false"
        rows.append((variable.name, required, variable.default, variable.alternate))
    widths = [max(_NARROWEST, *(len(row[n]) + _GAP for row in rows)) for n in range(3)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[3] + "\n"
        for row in rows
    )


def _variables_document(variables: Mapping[str, Variable], *, as_json: bool) -> str:
    document: dict[str, Value] = {
        variable.name: {
            name if as_json else name.lower(): value
            for name, value in (
                ("Name", variable.name),
                ("DefaultValue", variable.default),
                ("PresenceValue", variable.alternate),
                ("Required", variable.required),
            )
        }
        for variable in variables.values()
    }
    if as_json or not document:
        import json

        return json.dumps(document, indent=4, ensure_ascii=False) + "\n"
    from orchestra.spec.document import dump_yaml

    return "".join(
        dump_yaml({name: None}).replace(" null", "") + indent(dump_yaml(entry), "    ")
        for name, entry in document.items()
    )
