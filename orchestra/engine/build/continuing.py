"""Builds of which only what lies in contexts has changed: the solver's walk is gone on with.

A build that was done wrote down its steps (walked.py). Where its evidence holds but for contexts,
nothing is read, planned or checked again: each COPY looks at what it takes, the first one that
takes something else is done, and those after it; then the image that the build gave is written
with other layers. The same functions do it as in any build. Whatever is more than that, or goes
wrong, is the usual way's: nothing has been said or named by then (ADR 0026).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.cache import BuildCache, CacheRecord
from orchestra.engine.build.context import open_context
from orchestra.engine.build.digests import FileDigests
from orchestra.engine.build.evidence import UNSEEN, digest_at
from orchestra.engine.build.layers import KeptLayers
from orchestra.engine.build.noted import stamp
from orchestra.engine.build.ops import CopyPlan, prepare_copy
from orchestra.engine.build.placing import key_of, opened, place
from orchestra.engine.build.seen import Seen
from orchestra.engine.build.vertices import CopyVertex, MakeDirectoryVertex
from orchestra.engine.build.walked import vertex_of
from orchestra.engine.build.workspace import Workspace, workspace
from orchestra.engine.image.document import encode_descriptor, encode_json
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths
from orchestra.engine.state.memo import Memo
from orchestra.engine.state.plain import NotPlainError
from orchestra.engine.waiting import without_loop
from orchestra.oci.digest import digest_of, hex_of, parse_digest
from orchestra.oci.reference import parse_reference
from orchestra.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestra.engine.build.hashing import Entry
    from orchestra.engine.build.tree import Tree
    from orchestra.engine.state.codec import Json
    from orchestra.oci.image import Image, Layer

_GROUND: dict[str, object] = {"epoch": None}
"""What a build as a whole adds to its steps: SOURCE_DATE_EPOCH, and that is not set."""
_PATIENCE_BYTES = 64 << 20
"""Of a larger COPY people want to be told before it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What is known of a build: its image's manifest, its contexts, and its steps in order."""

    manifest: str
    platform: str
    dockerfile: str
    places: Mapping[str, str]
    steps: Sequence[dict[str, Json]]

    @classmethod
    def of(cls, record: Json) -> Walk:
        """Read what is remembered of a settled build.

        :raises NotPlainError: when it tells of no walk.
        """
        match record:
            case {
                "manifest": str(manifest),
                "walk": {
                    "platform": str(platform),
                    "dockerfile": str(dockerfile),
                    "places": dict(places),
                    "steps": list(steps),
                },
            }:
                return cls(
                    manifest=manifest,
                    platform=platform,
                    dockerfile=dockerfile,
                    places={name: str(place) for name, place in places.items()},
                    steps=[step for step in steps if isinstance(step, dict)],
                )
            case _:
                raise NotPlainError


@dataclass(slots=True, kw_only=True)
class Redone:
    """A step that was done again, or found in the cache: ``entry`` as it is written down now."""

    entry: dict[str, Json]
    before: str
    layer: Layer | None
    created: str
    cached: bool

    @property
    def key(self) -> str:
        """By what the step is known now."""
        return str(self.entry["key"])


class Continuing:
    """One build that is gone on with; ``document`` is what its glance found at ``place``."""

    def __init__(self, paths: Paths, place: str, document: dict[str, Json]) -> None:
        self._paths = paths
        self._place = place
        self._document = document
        self._memo = Memo(Path(paths.build_cache / "settled"))
        self._settled = str(document["settled"])
        record = self._memo.get(self._settled) if self._settled else None
        self._walk = Walk.of(record)
        assert isinstance(record, dict)
        self._record = record
        self._store = ImageStore(paths)
        self._layers = KeptLayers(self._store, open_snapshotter(paths, self._store))
        self._cache = BuildCache(paths.build_cache / "records")
        self._trees: dict[str, Tree] = {}
        self._steps: list[dict[str, Json]] = []
        self._redone: dict[int, Redone] = {}

    @property
    def done(self) -> frozenset[str]:
        """The actions of steps that were done, and not found in the cache."""
        redone = self._redone.values()
        return frozenset(str(each.entry["action"]) for each in redone if not each.cached)

    def carry_on(
        self, names: Sequence[str], annotations: Mapping[str, str] | None
    ) -> dict[str, Json]:
        """Build, and let names stand for the image, the first one with ``annotations``.

        Returns what a glance finds from now on.

        :raises NotPlainError: when it has to be built in the usual way.
        """
        files = self._paths.build_cache / "files"
        for name, directory in self._walk.places.items():
            own = "" if name else self._walk.dockerfile
            self._trees[name] = open_context(directory, own, FileDigests(files, directory), Seen())
        image = self._store.image_of(parse_digest(self._walk.manifest))
        try:
            with self._store.writing(), workspace(self._paths.build_cache / "tmp") as scratch:
                layers = without_loop(lambda: self._solve(image, scratch))
        finally:
            for tree in self._trees.values():
                if tree.digests is not None:
                    tree.digests.save()
        if self._redone:
            image = self._named(image, layers, names, annotations)
        return self._known(image, names)

    async def _solve(self, image: Image, scratch: Workspace) -> tuple[Layer, ...]:
        """Look at every step, do what has to be done, and return all layers."""
        before = list(image.layers)
        own = sum(bool(step.get("layer")) for step in self._walk.steps)
        layers, before = before[: len(before) - own], before[len(before) - own :]
        for number, step in enumerate(self._walk.steps):
            entry = step
            left = before.pop(0) if step.get("layer") else None
            vertex = vertex_of(step)
            plan = self._plan(vertex, scratch) if isinstance(vertex, CopyVertex) else None
            changed = plan is not None and list(plan.digests) != step["digests"]
            if step["kind"] != "nothing" and (changed or self._redone):
                if vertex is None:
                    raise NotPlainError
                redone = await self._redo(step, vertex, plan, layers, scratch)
                self._redone[number] = redone
                entry, left = redone.entry, redone.layer
            self._steps.append(entry)
            layers += [left] if left is not None else []
        return tuple(layers)

    def _plan(self, vertex: CopyVertex, scratch: Workspace) -> CopyPlan:
        name = getattr(vertex.source, "name", "")
        documents = scratch.make("documents")
        return prepare_copy(vertex, self._trees[name], owners=False, fetched={}, scratch=documents)

    async def _redo(
        self,
        step: dict[str, Json],
        vertex: CopyVertex | MakeDirectoryVertex,
        plan: CopyPlan | None,
        below: Sequence[Layer],
        scratch: Workspace,
    ) -> Redone:
        digests = plan.digests if plan else ()
        key = key_of(vertex, below, self._walk.platform, _GROUND, digests)
        known = self._cache.get(key)
        cached = known is not None and (known.layer is None or self._layers.has(known.layer))
        if known is None or not cached:
            if plan is not None and _bytes_of(plan) > _PATIENCE_BYTES:
                raise NotPlainError
            rootfs = await opened(self._layers, below, scratch.make("step"))
            await place(vertex, plan, rootfs, None)
            layer = await self._layers.commit(rootfs, below, epoch=None)
            created = _now()
            known = CacheRecord(layer=layer, created=created)
        entry = {**step, "key": key, "layer": known.layer is not None}
        if plan is not None:
            entry["digests"] = list(digests)
        return Redone(
            entry=entry,
            before=str(step["key"]),
            layer=known.layer,
            created=known.created,
            cached=cached,
        )

    def _named(
        self,
        before: Image,
        layers: Sequence[Layer],
        names: Sequence[str],
        annotations: Mapping[str, str] | None,
    ) -> Image:
        """Write the image that the build gave with other layers, and let names stand for it."""
        config = self._config(before, layers)
        manifest = _document(self._store.read_blob(before.manifest))
        descriptor = manifest["config"]
        assert isinstance(descriptor, dict)
        descriptor |= {"digest": digest_of(config), "size": len(config)}
        described = [encode_descriptor(layer.descriptor) for layer in layers]
        with self._store.writing():
            self._store.put_blob(config)
            for redone in self._redone.values():
                if not redone.cached:
                    record = CacheRecord(layer=redone.layer, created=redone.created)
                    self._cache.put(redone.key, record)
            image = self._store.add_image(
                encode_json({**manifest, "layers": described}),
                reference=names[0],
                annotations=annotations,
            )
            for name in names[1:]:
                self._store.tag(image.manifest, name)
        return image

    def _config(self, before: Image, layers: Sequence[Layer]) -> bytes:
        """Return the image's config: export.py's rules for times, where some steps are others."""
        config = _document(self._store.read_blob(before.id))
        history = config["history"]
        assert isinstance(history, list)
        moment = ""
        own = history[len(history) - len(self._steps) :]
        for number, line in enumerate(own):
            assert isinstance(line, dict)
            redone = self._redone.get(number)
            if redone is not None:
                moment = redone.created
                line.pop("empty_layer", None)
                if redone.layer is None:
                    line["empty_layer"] = True
            if moment:
                line["created"] = moment
        config["created"] = moment
        config["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        return encode_json(config)

    def _known(self, image: Image, names: Sequence[str]) -> dict[str, Json]:
        """Write down the build as it is now (settled.py, glances.py), and return the glance's."""
        document = self._document
        evidence = document["evidence"]
        assert isinstance(evidence, dict)
        document["evidence"] = {**evidence, "trees": self._looks()}
        if self._redone:
            self._change_evidence(document, image, names)
            steps = self._record["steps"]
            assert isinstance(steps, dict)
            keys = {redone.before: redone for redone in self._redone.values()}
            kept = {key: known for key, known in steps.items() if key not in keys}
            now = {each.key: stamp(each.layer, each.created) for each in keys.values()}
            walk, taken = self._record["walk"], self._record["taken"]
            assert isinstance(walk, dict)
            assert isinstance(taken, list)
            self._memo.put(
                self._settled,
                {
                    **self._record,
                    "manifest": image.manifest,
                    "steps": {**kept, **now},
                    "taken": self._taken(taken),
                    "walk": {**walk, "steps": list(self._steps)},
                },
            )
        Memo(Path(self._paths.build_cache / "glances")).put(self._place, document)
        return document

    def _taken(self, taken: Sequence[Json]) -> list[Json]:
        """Return what each instruction took from contexts: those of the walk, in its order."""
        found: list[Json] = []
        copies = [step for step in self._steps if step["kind"] == "copy"]
        for entry, step in zip(taken, copies, strict=True):
            digests, vertex = step["digests"], step["vertex"]
            assert isinstance(entry, dict)
            assert isinstance(digests, list)
            assert isinstance(vertex, dict)
            documents = vertex["documents"]
            assert isinstance(documents, list)
            found.append({**entry, "digests": digests[: len(digests) - len(documents)]})
        return found

    def _looks(self) -> list[Json]:
        found: list[Json] = []
        for tree in self._trees.values():
            if tree.seen is not None and tree.seen.directories:
                root = tree.layers[0]
                found.append(list(tree.seen.looks(root) or (root, "", UNSEEN)))
        return found

    def _change_evidence(
        self, document: dict[str, Json], image: Image, names: Sequence[str]
    ) -> None:
        evidence = document["evidence"]
        assert isinstance(evidence, dict)
        files, known = evidence["files"], evidence["names"]
        assert isinstance(files, dict)
        assert isinstance(known, dict)
        path = self._store.blob_path
        before = self._store.image_of(parse_digest(self._walk.manifest))
        gone = {str(path(before.manifest)), str(path(before.id))}
        gone |= {str(self._cache.path(redone.before)) for redone in self._redone.values()}
        files = {name: digest for name, digest in files.items() if name not in gone}
        files |= {str(path(digest)): hex_of(digest) for digest in (image.manifest, image.id)}
        for redone in self._redone.values():
            record = str(self._cache.path(redone.key))
            files[record] = digest_at(record)
        blobs = [layer.descriptor for layer in image.layers]
        document["evidence"] = {
            **evidence,
            "files": files,
            "sizes": {str(path(blob.digest)): blob.size for blob in blobs},
            "names": {**known, **{str(parse_reference(name)): image.manifest for name in names}},
        }
        document["id"], document["digest"] = image.id, image.manifest


def _document(data: bytes) -> dict[str, Json]:
    """Return a document of an image, which is as this program writes it.

    :raises NotPlainError: when it is not.
    """
    document: dict[str, Json] = json.loads(data)
    if encode_json(document) != data:
        raise NotPlainError
    return document


def _now() -> str:
    """Return the time as records have it; datetime takes longer to import than many a COPY."""
    seconds, rest_ns = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest_ns // 1000:06d}Z"


def _bytes_of(plan: CopyPlan) -> int:
    return sum(size for piece in plan.pieces for size in _sizes(piece.chosen.entry))


def _sizes(entry: Entry) -> Iterator[int]:
    yield entry.status.st_size
    for child in entry.children:
        yield from _sizes(child)
