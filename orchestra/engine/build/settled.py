"""Builds that are settled: what one looked at is as it was, so its image is the one it gave.

A build that was done is remembered by all that decides about it before anything is looked at: its
spec, the names, the Dockerfile, what is ignored, the arguments, and the code of the builder. With
it stands what it took from elsewhere: base images by their manifests, and what each COPY and mount
chose from the contexts by digest; and what the cache had for each of its steps. When all of that is
found again, nothing is left to do. Looking needs neither an event loop nor what builds: a build of
which nothing has changed is the one that people do most.

Builds that depend on more (remote sources, agents, a cache that is not to be used) are never
settled. Nothing is lost with what is remembered here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.cache import BuildCache
from orchestra.engine.build.context import (
    choose,
    digest_of_chosen,
    dockerfile_at,
    open_context,
    read_dockerfile,
)
from orchestra.engine.build.digests import FileDigests
from orchestra.engine.build.glances import Witness, digests_of_dockerfile, place_of
from orchestra.engine.build.ignore import make_matcher
from orchestra.engine.build.journal import Steps
from orchestra.engine.build.looking import Look, Said, key_of, texts
from orchestra.engine.build.noted import Notes, stamp
from orchestra.engine.build.seen import Seen
from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.engine.paths import Paths
from orchestra.engine.state.memo import Memo
from orchestra.errors import BuildError, ImageError
from orchestra.oci.digest import parse_digest
from orchestra.oci.image import Image, Layer
from orchestra.oci.platform import Platform, parse_platform
from orchestra.planner.building import BuildSpec, without_secrets
from orchestra.sources import rooms_digest
from orchestra.values import dataclass, fields_of

if TYPE_CHECKING:
    from orchestra.engine.build.tree import Tree
    from orchestra.engine.state.codec import Json

_VERSION = 3
_MOMENT_SECONDS = 1.0
_EPOCH = "SOURCE_DATE_EPOCH"
_IMAGE = "docker-image://"
_ROOMS = ("engine/build", "engine/image", "oci")
"""Where the code stands that has a part in what becomes of a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A settled build: its image, the actions to report, the warnings to repeat.

    ``named``: every name stands for the image already.
    """

    image: Image
    actions: tuple[str, ...]
    warnings: tuple[str, ...]
    named: bool
    bases: tuple[tuple[str, str, str], ...] = ()
    """Its base images: platform, reference and manifest."""


class SettledBuilds:
    """What is known of the builds of one scope (a project's name) on this machine. Blocks."""

    def __init__(
        self,
        store: ImageStore,
        paths: Paths,
        *,
        platform: Platform,
        variables: Mapping[str, str],
        scope: str,
    ) -> None:
        self._store = store
        self._files = paths.build_cache / "files"
        self._memo = Memo(Path(paths.build_cache / "settled"))
        self._glances = Memo(Path(paths.build_cache / "glances"))
        self._cache = BuildCache(paths.build_cache / "records")
        self.platform = str(platform)
        self._ground = (self.platform, scope)
        self._variables = variables
        self._last: tuple[BuildSpec, tuple[str, ...], float, Look] | None = None

    def look(self, spec: BuildSpec, names: Sequence[str]) -> Look | None:
        """Take a first look at a build; None when it is one that is never settled.

        One that was taken a moment ago, and in vain, is given out again, once.
        """
        last, self._last = self._last, None
        same = last is not None and last[:2] == (spec, tuple(names))
        if last is not None and same and time.monotonic() - last[2] < _MOMENT_SECONDS:
            return last[3]
        found = self._look(spec, names)
        if found is not None:
            self._last = (spec, tuple(names), time.monotonic(), found)
        return found

    def _look(self, spec: BuildSpec, names: Sequence[str]) -> Look | None:
        more = (spec.no_cache, spec.no_cache_filter, spec.pull, spec.ssh)
        elsewhere = (spec.cache_from, spec.cache_to, len(spec.platforms) > 1)
        attested = (spec.provenance, spec.sbom)  # they tell of the times of the build
        if any((*more, *elsewhere, *attested)) or not names:
            return None
        if not Path(spec.context).is_absolute():
            return None
        places = {"": spec.context}
        for name, value in spec.additional_contexts.items():
            if Path(value).is_absolute():
                places[name] = value
            elif not value.startswith(_IMAGE):
                return None
        try:
            trees = {name: self._tree(spec, name, place) for name, place in places.items()}
            text = spec.dockerfile_inline
            files: dict[str, str] | None = {}
            if text is None:
                there = dockerfile_at(Path(spec.dockerfile))
                text = read_dockerfile(str(there))
                files = digests_of_dockerfile(spec.dockerfile, there, text)
            ground = self._before(spec, names)
            return Look(
                key=key_of(ground, text, trees),
                place=place_of([ground]),
                names=tuple(names),
                trees=trees,
                files=files,
                dockerfile=self._own(spec),
            )
        except (BuildError, OSError, ValueError):
            return None

    def _tree(self, spec: BuildSpec, name: str, place: str) -> Tree:
        own = "" if name else self._own(spec)
        return open_context(place, own, FileDigests(self._files, place), Seen())

    @staticmethod
    def _own(spec: BuildSpec) -> str:
        return spec.dockerfile if spec.dockerfile_inline is None else ""

    def place(self, spec: BuildSpec, names: Sequence[str]) -> str:
        """Return by what a build's evidence is remembered."""
        return place_of([self._before(spec, names)])

    def _before(self, spec: BuildSpec, names: Sequence[str]) -> str:
        """Return all that decides about a build before anything is looked at."""
        bare = without_secrets(spec)
        known = {each: self._variables.get(each) for each in (*spec.args, _EPOCH)}
        document = {
            "version": _VERSION,
            "code": rooms_digest(_ROOMS),
            "ground": self._ground,
            "spec": {each.name: repr(getattr(bare, each.name)) for each in fields_of(BuildSpec)},
            "contents": sorted(spec.secret_contents),
            "names": list(names),
            "variables": known,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def find(self, look: Look) -> Settled | None:
        """Return what a build would give, when all that it looked at is as it was."""
        found = None
        if not look.missed:
            with suppress(BuildError, ImageError, OSError):
                found = self._found(look, self._memo.get(look.key))
        look.missed = found is None
        return found

    def _found(self, look: Look, record: Json) -> Settled | None:
        match record:
            case {
                "manifest": str(manifest),
                "bases": dict(bases),
                "taken": list(taken),
                "steps": dict(steps),
                "actions": list(actions),
                "warnings": list(warnings),
                "walk": walk,
            }:
                pass
            case _:
                return None
        if not all(self._is_base(name, at) for name, at in bases.items()):
            return None
        image = self._store.image_of(parse_digest(manifest))
        if not self._store.has_blob(image.id) or not all(map(self._has, image.layers)):
            return None
        if not all(self._knows(key, known) for key, known in steps.items()):
            return None
        if not all(_is_the_same(look.trees, entry) for entry in taken):
            return None
        for tree in look.trees.values():
            if tree.digests is not None:
                tree.digests.save()
        named = all(self._is_named(name, image) for name in look.names)
        said = Said(tuple(map(str, actions)), tuple(map(str, warnings)))
        if named:
            goes_on = walk is not None
            self._keep_evidence(look, image, texts(bases), texts(steps), said, goes_on=goes_on)
        return Settled(
            image=image,
            actions=said.actions,
            warnings=said.warnings,
            named=named,
            bases=tuple((*name.split(" ", 1), str(at)) for name, at in bases.items()),
        )

    def _keep_evidence(
        self,
        look: Look,
        image: Image,
        bases: Mapping[str, str],
        steps: Mapping[str, str],
        said: Said,
        *,
        goes_on: bool,
    ) -> None:
        """Write down what a glance at the same build has to find for the same result."""
        try:
            evidence = Witness(look, self._store, self._cache).evidence(image, bases, steps)
        except (ImageError, OSError, ValueError):
            return
        if evidence is not None:
            steps_seen = Steps()
            for action in said.actions:
                steps_seen.see(action)
            document: dict[str, Json] = {
                "evidence": evidence,
                "id": image.id,
                "digest": image.manifest,
                "actions": list(said.actions),
                "warnings": list(said.warnings),
                "steps": [steps_seen.total, steps_seen.completed, steps_seen.cached],
                "materials": self._materials(bases),
                "settled": look.key if goes_on else "",
            }
            self._glances.put(look.place, document)

    def _materials(self, bases: Mapping[str, str]) -> list[Json]:
        """Return base images as the history of builds has them."""
        found: list[Json] = []
        for name, manifest in sorted(bases.items()):
            platform, _, reference = name.partition(" ")
            source = self._store.annotations(reference).get(SOURCE_DIGEST, manifest)
            found.append([reference, platform, source])
        return found

    def _is_base(self, name: str, manifest: Json) -> bool:
        platform, _, reference = name.partition(" ")
        found = self._store.get(reference, parse_platform(platform))
        return found is not None and found.manifest == manifest

    def _is_named(self, name: str, image: Image) -> bool:
        target = self._store.target(name)
        return target is not None and target.digest == image.manifest

    def _has(self, layer: Layer | None) -> bool:
        if layer is None:
            return True
        return self._store.has_blob(layer.descriptor.digest, layer.descriptor.size)

    def _knows(self, key: str, known: Json) -> bool:
        """Tell whether the cache has for a step what it had."""
        record = self._cache.get(key)
        return (
            record is not None
            and stamp(record.layer, record.created) == known
            and self._has(record.layer)
        )

    def keep(self, look: Look, notes: Notes, image: Image, warnings: Sequence[str]) -> None:
        """Remember a build that was done, unless names stand for other images by now."""
        known = all(self._is_base(name, at) for name, at in notes.bases.items())
        named = all(self._is_named(name, image) for name in look.names)
        if not (notes.settles and known and named):
            return
        actions = tuple(
            f"{action[:-5]} CACHED" if action.endswith(" DONE") else action
            for action in notes.actions
        )
        said = Said(actions, tuple(warnings))
        self._keep_evidence(look, image, notes.bases, notes.steps, said, goes_on=notes.walks)
        self._memo.put(
            look.key,
            {
                "manifest": image.manifest,
                "bases": dict(notes.bases),
                "taken": [
                    {
                        "context": taken.context,
                        "sources": list(taken.sources),
                        "excludes": list(taken.excludes),
                        "parents": taken.parents,
                        "digests": list(taken.digests),
                    }
                    for taken in notes.taken
                ],
                "steps": dict(notes.steps),
                "actions": list(actions),
                "warnings": list(warnings),
                "walk": _walk(look, notes) if notes.walks else None,
            },
        )


def _walk(look: Look, notes: Notes) -> Json:
    """Return what is needed to carry on where files of contexts have changed (continuing.py)."""
    return {
        "platform": notes.platform,
        "dockerfile": look.dockerfile,
        "places": {name: tree.layers[0] for name, tree in look.trees.items()},
        "steps": list(notes.walk),
    }


def _is_the_same(trees: Mapping[str, Tree], entry: Json) -> bool:
    match entry:
        case {
            "context": str(context),
            "sources": list(sources),
            "excludes": list(excludes),
            "parents": bool(parents),
            "digests": list(digests),
        } if context in trees:
            found = digests_of(
                trees[context], tuple(map(str, sources)), tuple(map(str, excludes)), parents=parents
            )
            return found == tuple(digests)
        case _:
            return False


def digests_of(
    tree: Tree, sources: Sequence[str], excludes: Sequence[str], *, parents: bool
) -> tuple[str, ...]:
    """Return what an instruction would take from a context, as digests.

    :raises BuildError: when a source is not there.
    """
    matcher = make_matcher(excludes)
    digests: list[str] = []
    for source in sources:
        if parents:
            from orchestra.engine.build.parents import choose_with_parents  # noqa: PLC0415 - rare

            found = choose_with_parents(tree, source, matcher)
        else:
            found = choose(tree, source, matcher)
            tree.recent[source, matcher] = (time.monotonic(), found)
        digests += [digest_of_chosen(chosen, owners=False) for chosen in found]
    return tuple(digests)
