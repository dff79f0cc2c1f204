"""From the complete tree to the project that is used: model, profiles, references, env files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestra.errors import SpecError, UsageError
from orchestra.spec.discovery import LoadOptions, Site
from orchestra.spec.environment import Lookup, parse_dotenv, parse_raw, read_env_file
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.binding import build_project, check_nulls
from orchestra.spec.model.container import EnvFile
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.spec.places import Places
from orchestra.spec.profiles import activate, prune, select
from orchestra.spec.reading import exists
from orchestra.spec.spelling import listed, shortened, suggestion
from orchestra.spec.tree import Mark, MarkedMap, place
from orchestra.spec.validate import validate

_MOST_VARIABLES = 500_000


def assemble(
    tree: MarkedMap,
    site: Site,
    options: LoadOptions,
    environment: Mapping[str, str],
    findings: Findings,
) -> Project:
    """Return the project of a complete tree.

    :raises SpecErrors: when anything was found wrong, here or before.
    :raises UsageError: when a service was asked for that is not there.
    """
    check_nulls(findings)
    built = build_project(tree, findings)
    if built is None:
        findings.raise_errors()
        raise SpecError("cannot make a project of these files")
    project = activate(built, site.profiles)
    if options.phases.consistency:
        validate(project, tree, findings)
    findings.raise_errors()
    if options.services:
        _check_known(options.services, project)
        project = select(project, options.services)
    active: Iterable[Service] = project.services.values()
    if options.phases.resolve_environment:
        active = [_with_variables(service, environment, tree, findings) for service in active]
    resolved = {service.name: _with_labels(service, tree, findings) for service in active}
    findings.raise_errors()
    project = project.model_copy(
        update={"services": resolved, "warnings": tuple(findings.warnings)}
    )
    return prune(project).placed(Places(tree, tuple(findings.files)))


def _check_known(services: Sequence[str], project: Project) -> None:
    known = project.all_services
    for name in services:
        if name not in known:
            hint = suggestion(name, known) or f"services here: {listed(known)}"
            raise UsageError(f'no service "{shortened(name)}" in this project', hint=hint)


def _with_variables(
    service: Service, environment: Mapping[str, str], tree: MarkedMap, findings: Findings
) -> Service:
    found: dict[str, str | None] = {}
    own = {key: value for key, value in service.environment.items() if value is not None}

    def known(name: str) -> str | None:
        return environment.get(name, own.get(name))

    for index, file in enumerate(service.env_file):
        path: KeyPath = ("services", service.name, "env_file", index)
        if not file.required and not exists(file.path):
            continue
        try:
            _check_amount(findings)
            found.update(_read(file, known, found))
            findings.variables += len(found)
        except Misfit as error:
            _note(error, file.path, path, tree, findings)
    found.update(service.environment)
    return service.model_copy(update={"environment": found, "env_file": ()})


def _with_labels(service: Service, tree: MarkedMap, findings: Findings) -> Service:
    if not service.label_file:
        return service
    labels: dict[str, str] = {}
    for index, name in enumerate(service.label_file):
        path: KeyPath = ("services", service.name, "label_file", index)
        try:
            labels.update(parse_dotenv(read_env_file(Path(name), "label file"), labels.get, labels))
        except Misfit as error:
            _note(error, name, path, tree, findings)
    return service.model_copy(update={"labels": {**labels, **service.labels}})


def _check_amount(findings: Findings) -> None:
    if findings.variables > _MOST_VARIABLES:
        message = f"env files give more than {_MOST_VARIABLES} variables to services"
        raise Misfit(message, hint="share smaller files")


def _read(file: EnvFile, known: Lookup, found: Mapping[str, str | None]) -> dict[str, str]:
    text = read_env_file(Path(file.path))
    if file.format == "raw":
        return parse_raw(text, known)
    if file.format not in {None, "", ".env"}:
        hint = "use raw, or leave it out"
        raise Misfit(f'unknown env file format "{file.format}"', hint=hint, below=("format",))
    before = {key: value for key, value in found.items() if value is not None}
    return parse_dotenv(text, known, before)


def _note(error: Misfit, file: str, path: KeyPath, tree: MarkedMap, findings: Findings) -> None:
    if error.below and isinstance(error.below[0], int):
        findings.read(file)
        findings.add(error.message, (), Mark(file, error.below[0]), hint=error.hint)
        return
    path += error.below
    findings.add(error.message, path, place(tree, path), hint=error.hint)
