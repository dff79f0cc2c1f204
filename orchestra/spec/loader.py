"""Compose files to a Project: the order of phases, and the reading of files.

Per file: read, interpolate, normalize, include, extend, resolve paths, merge. Then once: defaults,
model, profiles, references, env files. Everything that is wrong is reported together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.errors import SpecError
from orchestra.spec.aliases import promote, renamed
from orchestra.spec.defaults import apply_defaults, default_contexts, resolve_environment
from orchestra.spec.discovery import LoadOptions, Site, choose_name, find_site
from orchestra.spec.document import Document
from orchestra.spec.documents import Documents
from orchestra.spec.extends import Source, resolve_extends
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.include import REMOTE, Place, resolve_includes
from orchestra.spec.interpolate import interpolate
from orchestra.spec.layers import Layer
from orchestra.spec.merge import merge, reset
from orchestra.spec.normalize import normalize
from orchestra.spec.paths import absolute, resolve_paths
from orchestra.spec.phases import EVERY_PHASE, Phases
from orchestra.spec.reading import is_file
from orchestra.spec.tree import Mark, MarkedMap, Value, copy, size
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.spec.model.project import Project

_MOST_VALUES = 300_000

__all__ = [
    "LoadOptions",
    "Loaded",
    "Model",
    "load",
    "load_model",
    "load_project",
    "render_project",
]


def load_project(
    options: LoadOptions,
    environment: Mapping[str, str],
    cwd: Path,
    layers: list[Layer] | None = None,
) -> Project:
    """Return the project that the options, the variables and the directory lead to.

    Into ``layers``, where it is given, goes every document that had a part in it.

    :raises SpecErrors: when anything in the files is wrong; holds every error, in file order.
    :raises SpecError: when there is no file, or a name or env file that was asked for is wrong.
    """
    return load(options, environment, cwd, layers).project()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A project's files, read and merged to one complete tree; what is wrong is only noted."""

    tree: MarkedMap
    site: Site
    options: LoadOptions
    environment: Mapping[str, str]
    findings: Findings

    def project(self) -> Project:
        """Return the project that this is; to be asked for once.

        :raises SpecErrors: when anything in the files is wrong; holds every error, in file order.
        :raises UsageError: when a service was asked for that is not there.
        """
        # the model costs a tenth of a second: only commands that need all of it pay
        from orchestra.spec.assembly import assemble  # noqa: PLC0415

        return assemble(self.tree, self.site, self.options, self.environment, self.findings)


def load(
    options: LoadOptions,
    environment: Mapping[str, str],
    cwd: Path,
    layers: list[Layer] | None = None,
) -> Loaded:
    """Read and merge the project's files.

    :raises SpecErrors: when there is too much wrong to go on.
    :raises SpecError: when there is no file, or a name or env file that was asked for is wrong.
    """
    findings = Findings()
    site = _site(options, environment, cwd, findings)
    phases = options.phases
    reader = _Reader(findings, phases, layers)
    name = choose_name(options, site, reader.source.name_in(site))
    known = {**site.environment, "COMPOSE_PROJECT_NAME": name}
    tree = reader.whole(site, known)
    complete = apply_defaults(tree, name, known, phases)
    complete.update(working_dir=site.directory, compose_files=list(site.files))
    if platform := known.get("DOCKER_DEFAULT_PLATFORM"):
        complete.update(default_platform=platform)
    return Loaded(tree=complete, site=site, options=options, environment=known, findings=findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A project before it is one: ``written`` is merged only, ``complete`` has what it implies."""

    name: str
    profiles: tuple[str, ...]
    written: Value
    complete: dict[str, Value]
    warnings: tuple[str, ...] = ()


def load_model(options: LoadOptions, environment: Mapping[str, str], cwd: Path) -> Model:
    """Return the tree of a project whose variables stay as written.

    :raises SpecErrors: when anything in the files is wrong as far as that can be told.
    :raises SpecError: when there is no file, or a name or env file that was asked for is wrong.
    """
    from orchestra.spec.raw import complete  # noqa: PLC0415

    findings = Findings()
    site = _site(options, environment, cwd, findings)
    phases = replace(options.phases, interpolate=False)
    reader = _Reader(findings, phases)
    name = choose_name(options, site, reader.source.name_in(site))
    known = {**site.environment, "COMPOSE_PROJECT_NAME": name}
    tree = reader.whole(site, known)
    if phases.consistency:
        from orchestra.spec.model.binding import note_unknown_keys  # noqa: PLC0415

        note_unknown_keys(tree, findings)
    findings.raise_errors()
    whole = complete(tree, name, replace(phases, consistency=False))
    return Model(
        name=name,
        profiles=site.profiles,
        written=tree,
        complete=whole,
        warnings=tuple(findings.warnings),
    )


def _site(
    options: LoadOptions, environment: Mapping[str, str], cwd: Path, findings: Findings
) -> Site:
    site = find_site(options, environment, cwd, findings)
    if not site.files:
        raise SpecError(
            f'no Compose file in "{cwd}" or above',
            hint="create compose.yaml, or name a file with -f",
        )
    return site


def render_project(project: Project, *, json_shape: bool = False) -> dict[str, Value]:
    """Return the project as ``docker compose config`` shows it (see ``render``)."""
    from orchestra.spec import render  # noqa: PLC0415

    return render.render_project(project, json_shape=json_shape)


class _Reader:
    """Reads each file once and turns files into one merged tree."""

    def __init__(
        self, findings: Findings, phases: Phases, layers: list[Layer] | None = None
    ) -> None:
        self.findings = findings
        self.phases = phases
        self.layers = layers
        self._outside: Mapping[str, str] = {}
        self.source = Documents(findings)
        self._documents: dict[str, tuple[Document, ...]] = {}
        self._included_trees: dict[tuple[object, ...], Value] = {}
        self._spent = 0
        self._extensible: dict[tuple[str, str, int], tuple[Source | None, Mapping[str, str]]] = {}

    def documents(self, file: str) -> tuple[Document, ...] | None:
        """Return the documents of a file, None when it cannot be read."""
        if file not in self._documents:
            found = self.source.read(file)
            if found is None:
                return None
            self._documents[file] = tuple(
                document._replace(resets=(*document.resets, *map(renamed, document.resets)))
                for document in found
            )
        return self._documents[file]

    def whole(self, site: Site, environment: Mapping[str, str]) -> Value:
        """Return the merged tree of all of a project's files; that it is empty is noted."""
        self._outside = environment
        place = Place(
            directory=site.directory,
            base=site.directory if self.phases.resolve_paths else None,
            environment=environment,
            home=environment.get("HOME"),
            env_files=site.env_files,
        )
        tree = self.model(site.files, place, self.findings)
        if not tree and not self.findings.errors:
            hint = "describe at least one service, below services:"
            self.findings.add("the Compose files are empty", (), Mark(site.files[0]), hint=hint)
        return tree

    def model(self, files: tuple[str, ...], place: Place, findings: Findings) -> Value:
        """Return the merged canonical tree of some files, paths absolute."""
        tree: Value = MarkedMap()
        for file in files:
            for document in self.documents(file) or ():
                tree = merge(reset(tree, document.resets), self._one(document, place), findings)
        tree = default_contexts(tree, "." if place.base is None else place.base)
        if not self.phases.interpolate:
            from orchestra.spec.raw import take_values  # noqa: PLC0415

            own = place.environment.items() - self._outside.items() if place.chain else ()
            return take_values(tree, dict(own))
        phases = EVERY_PHASE if place.chain else self.phases
        return resolve_environment(tree, place.environment, phases)

    def _one(self, document: Document, place: Place) -> Value:
        findings = self.findings
        canonical = self._canonical(document, place.environment)
        inside = Place(
            directory=place.directory,
            base=place.base,
            environment=place.environment,
            home=place.home,
            chain=(*place.chain, document.file),
            env_files=place.env_files,
        )
        whole = resolve_includes(canonical, inside, document.resets, self._included, findings)
        if self.layers is not None:
            self.layers.append(Layer(document=document, canonical=canonical, place=place))
        source = Source(document.file, place.directory, whole, document.resets)

        def read(path: str, base: str) -> Source | None:
            return self._extended(path, base, place)

        extended = resolve_extends(source, read, findings)
        return extended if place.base is None else resolve_paths(extended, place.base, place.home)

    def _included(self, files: tuple[str, ...], place: Place, findings: Findings) -> Value:
        key = (files, place.directory, place.base, frozenset(place.environment.items()))
        if key not in self._included_trees:
            self._included_trees[key] = self.model(files, place, findings)
        tree = self._included_trees[key]
        self._spent += size(tree)
        if self._spent > _MOST_VALUES:
            message = f"what is included adds up to more than {_MOST_VALUES} values"
            raise Misfit(message, hint="include each file in one place only")
        return tree

    def _canonical(self, document: Document, environment: Mapping[str, str]) -> MarkedMap:
        if self.phases.interpolate:
            tree = interpolate(document.tree, environment, self.findings)
        else:
            tree = copy(document.tree)
        if isinstance(tree, MarkedMap) and "version" in tree:
            self.findings.warn("version is obsolete and ignored", ("version",))
        promote(tree, self.findings)
        canonical = self._form(tree, document.file)
        if self.findings.full:
            self.findings.raise_errors()
        return canonical

    def _form(self, tree: Value, file: str) -> MarkedMap:
        if self.phases.interpolate:
            return normalize(tree, self.findings, file)
        from orchestra.spec.raw import raw_form  # noqa: PLC0415

        return raw_form(tree, self.findings, file, self.phases)

    def _extended(self, path: str, base: str, place: Place) -> Source | None:
        if REMOTE.match(path):
            return None
        file = absolute(path, base, place.home)
        if not is_file(file):
            return None
        key = (file, place.directory, id(place.environment))
        if key not in self._extensible:
            self._extensible[key] = (self._services_of(file, place), place.environment)
        return self._extensible[key][0]

    def _services_of(self, file: str, place: Place) -> Source | None:
        directory = str(Path(file).parent)
        tree: Value = MarkedMap()
        resets: tuple[tuple[str | int, ...], ...] = ()
        errors = len(self.findings.errors)
        documents = self.documents(file) or ()
        if not documents and len(self.findings.errors) > errors:
            return None
        for document in documents:
            canonical = self._canonical(document, place.environment)
            resolved = resolve_paths(canonical, place.base_of(directory), place.home)
            if self.layers is not None:
                away = replace(place, directory=directory)
                layer = Layer(document=document, canonical=canonical, place=away, extended=True)
                self.layers.append(layer)
            tree = merge(reset(tree, document.resets), resolved, self.findings)
            resets = document.resets
        return Source(file, directory, tree, resets)
