"""What ``config`` prints: one request in, one text out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.session import Session, note
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.spec.model.project import Project
    from orchestra.spec.phases import Phases
    from orchestra.spec.tree import Value

_WITHOUT_ENV_FILES = frozenset({"services", "volumes", "networks", "models"})
"""Lists that do not read env files, and do not look at the services that were named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRequest:
    """The options of one ``config``; ``kind`` is the list asked for, None for the whole.

    ``argument`` is that of ``--hash`` and ``--explain``.
    """

    services: tuple[str, ...]
    phases: Phases
    kind: str | None = None
    argument: str | None = None
    output_format: str | None = None
    quiet: bool = False
    resolve_digests: bool = False
    lock_digests: bool = False


def text_of(session: Session, request: ConfigRequest) -> str:
    """Return what the request asks for.

    :raises SpecErrors: when the files are wrong.
    :raises UsageError: when there is no such service.
    :raises StepErrors: when an image has no digest at its registry.
    """
    from orchestra.errors import UsageError

    if request.kind in {"hash", "explain"} and not request.phases.interpolate:
        raise UsageError(
            f"--{request.kind} and --no-interpolate cannot be combined",
            hint="only what variables have become has one",
        )
    match request.kind:
        case None:
            return _whole(session, request)
        case "variables":
            return _variables(session, request)
        case "environment":
            return _environment(session, request)
        case "hash":
            return _hashes(session, request)
        case "explain":
            return _explanation(session, request)
        case kind if not request.phases.interpolate:
            from orchestra.cli.names import names_in

            names = names_in(session.model(request.phases), kind)
        case kind if kind in _WITHOUT_ENV_FILES:
            phases = replace(request.phases, resolve_environment=False)
            names = _names(session, kind, (), phases)
        case kind:
            names = _names(session, kind, request.services, request.phases)
    return "".join(f"{name}\n" for name in names)


def _names(session: Session, kind: str, services: tuple[str, ...], phases: Phases) -> list[str]:
    from orchestra.cli.names import names_of

    def make(project: Project) -> Value:
        return [*names_of(project, kind)]

    found = session.made_of_project(f"names {kind}", make, services, phases)
    return [str(name) for name in found] if isinstance(found, list) else []


def _variables(session: Session, request: ConfigRequest) -> str:
    from orchestra.cli.names import variables_text
    from orchestra.spec.variables import variables_of

    if request.services:
        note("warning: --variables shows the variables of all services, not of those named only")
    unchecked = replace(request.phases, consistency=False)
    found = variables_of(session.model(unchecked).written)
    return variables_text(found, request.output_format)


def _hashes(session: Session, request: ConfigRequest) -> str:
    from orchestra.cli.names import hash_lines, services_to_hash
    from orchestra.planner.compile import compile_project
    from orchestra.spec.profiles import only

    unread = replace(request.phases, resolve_environment=False)
    names = services_to_hash(session.project((), unread), request.argument or "*")
    if not names:
        return ""
    project = session.project(names, request.phases)
    return hash_lines(compile_project(only(project, names)))


def _explanation(session: Session, request: ConfigRequest) -> str:
    from orchestra.cli.render.explanation import explanation_json, explanation_text

    found = session.explain(request.services, request.phases, request.argument or "")
    as_json = request.output_format == "json"
    return explanation_json(found) if as_json else explanation_text(found)


def _environment(session: Session, request: ConfigRequest) -> str:
    from orchestra.cli.names import environment_lines

    if request.phases.interpolate:
        name = session.project(request.services, request.phases).name
    else:
        name = session.model(request.phases).name
    return environment_lines(session.load_options(), session.environment, Path.cwd(), name)


def _whole(session: Session, request: ConfigRequest) -> str:
    from orchestra.spec.document import dump_yaml

    if request.quiet and not request.resolve_digests:
        _load(session, request)
        return ""
    as_json = request.output_format == "json"
    if request.phases.interpolate:
        tree = _project_tree(session, request, as_json=as_json)
    else:
        tree = _model_tree(session, request)
    if as_json:
        import json

        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    return dump_yaml(tree)


def _load(session: Session, request: ConfigRequest) -> None:
    if request.phases.interpolate:
        session.made_of_project("nothing", lambda _: None, request.services, request.phases)
    else:
        session.model(request.phases)


def _project_tree(session: Session, request: ConfigRequest, *, as_json: bool) -> Value:
    def make(project: Project) -> Value:
        from orchestra.spec.loader import render_project

        tree = render_project(project, json_shape=as_json)
        return [tree, [*sorted(project.all_services)]]

    found = session.made_of_project(f"whole json={as_json}", make, request.services, request.phases)
    assert isinstance(found, list)
    tree, services = found
    if not request.resolve_digests:
        return tree
    assert isinstance(services, list)
    pins = _pinned(session, tree, frozenset(map(str, services)))
    return _locked(pins, as_json=as_json) if request.lock_digests else pins


def _model_tree(session: Session, request: ConfigRequest) -> Value:
    if request.services:
        note("warning: --no-interpolate shows all services, not those named only")
    tree = session.model(request.phases).complete
    if not request.resolve_digests:
        return tree
    pins = _pinned(session, tree, _services_of(tree))
    return _locked(pins) if request.lock_digests else pins


def _services_of(tree: Value) -> frozenset[str]:
    from orchestra.spec.tree import lookup, mapping

    return frozenset(mapping(lookup(tree, "services")))


def _pinned(session: Session, tree: Value, services: frozenset[str]) -> Value:
    from orchestra.spec.digests import images_in, pinned

    images = images_in(tree, services)
    digests = session.digests(images) if images else {}
    return pinned(tree, services, digests)


def _locked(tree: Value, *, as_json: bool = False) -> Value:
    from orchestra.spec.digests import locked, with_pinned_hooks

    for name in with_pinned_hooks(tree):
        note(
            f"warning: services.{name}.pre_start: an override file cannot pin the images of hooks; "
            "use all of --resolve-image-digests for that"
        )
    return locked(tree, json_shape=as_json)
