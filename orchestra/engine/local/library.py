"""The images of this machine, as the image commands want them; knows who uses which.

Each way of getting images in and out is imported only where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.image.catalogue import (
    Catalogue,
    Found,
    Listed,
    moment_of,
    repository_of,
)
from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import Image
from orchestra.oci.reference import parse_reference
from orchestra.planner.observed import LIVE
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.image.index import Entry
    from orchestra.engine.image.prune import Roots
    from orchestra.engine.local.forgetting import Forgotten
    from orchestra.engine.local.usage import Kind
    from orchestra.engine.local.variants import Variants
    from orchestra.engine.paths import Paths
    from orchestra.engine.snapshot.snapshotter import Snapshotter
    from orchestra.engine.state.store import Store
    from orchestra.engine.target import ImageFilter
    from orchestra.oci.platform import Platform
    from orchestra.planner.observed import ObservedContainer


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """What ``images`` shows of one image."""

    id: str
    repository: str
    tag: str
    platform: str
    size_bytes: int
    created: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune took away; ``busy``: somebody was pulling or building, and nothing was done."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[Digest, ...] = ()
    bytes: int = 0
    busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedBuilds:
    """What a prune took away of what builds remember; ``busy``: somebody builds, and nothing."""

    steps: tuple[str, ...] = ()
    bytes: int = 0
    busy: bool = False


class ImageLibrary:
    """What commands do with images; ``observe`` gives every container of this machine."""

    def __init__(
        self,
        paths: Paths,
        state: Store,
        images: ImageStore,
        snapshotter: Callable[[], Snapshotter],
        observe: Callable[[], Iterable[ObservedContainer]],
    ) -> None:
        self.store = images
        self._paths = paths
        self._state = state
        self._snapshotter = snapshotter
        self._observe = observe

    def image_of(self, container: ObservedContainer) -> ImageSummary:
        """Describe the image that a container was made from."""
        reference = parse_reference(container.image)
        image = self.store.by_id(container.image_id)
        name, _, _ = reference.familiar.partition("@")
        return ImageSummary(
            id=container.image_id,
            repository=name.rpartition(":")[0] if reference.tag else name,
            tag=reference.tag or "<none>",
            platform=str(image.config.platform) if image else "",
            size_bytes=sum(self.layer_sizes(image)) if image else 0,
            created=moment_of(image.config.created) if image else None,
        )

    def catalogue(self) -> Catalogue:
        """Return the images that are here now."""
        return Catalogue(self.store)

    def moments(self, image: Image) -> tuple[datetime | None, ...]:
        """Return when each step of an image's history was made."""
        return tuple(moment_of(line.created) for line in image.config.history)

    def canonical(self, reference: str) -> str:
        """Return a name in full, registry and tag included."""
        return str(parse_reference(reference))

    def familiar(self, reference: str) -> str:
        """Return a name as people write it, the tag included."""
        return parse_reference(reference).familiar

    def id_of(self, reference: str) -> str:
        """Return the id of the image that has a name, "" when it is not here."""
        image = self.store.get(reference)
        return image.id if image else ""

    def digest_of(self, reference: str) -> str:
        """Return the digest by which its registry knows an image of a name."""
        return self.store.annotations(reference).get(SOURCE_DIGEST, "")

    def containers(self) -> Mapping[str, tuple[ObservedContainer, ...]]:
        """Return the containers of every image that has some, by the image's id."""
        found: dict[str, list[ObservedContainer]] = {}
        for container in self._observe():
            found.setdefault(container.image_id, []).append(container)
        return {identity: tuple(containers) for identity, containers in found.items()}

    def raw_config(self, image: Image) -> Mapping[str, object]:
        """Return an image's config as it was made, what we do not know included."""
        from orchestra.engine.image.wire import parse_json  # noqa: PLC0415

        return parse_json(self.store.read_blob(image.id), "the image's config")

    def directories(self, image: Image) -> tuple[str, ...]:
        """Return the snapshot directories of an image, uppermost first; empty when incomplete."""
        return self._snapshotter().layers(image) or ()

    def layer_sizes(self, image: Image) -> tuple[int, ...]:
        """Return the bytes of the files of each layer, lowest first: what docker calls its size.

        Of a layer that is not unpacked it is the size of its archive.
        """
        from orchestra.engine.snapshot.sizes import layer_bytes  # noqa: PLC0415

        root = Path(self._paths.snapshots)
        found = []
        for layer, chain in zip(image.layers, image.chain_ids, strict=True):
            size = layer_bytes(str(root / hex_of(chain)))
            found.append(self.store.plain_bytes(layer.descriptor) if size is None else size)
        return tuple(found)

    def variants(self, target: Digest) -> Variants:
        """Return the platforms of a manifest or an index, and what is here of each. Blocks.

        :raises ImageError: when the document itself is missing or damaged.
        """
        from orchestra.engine.local.variants import variants_of  # noqa: PLC0415

        return variants_of(self.store, target, self.layer_sizes)

    async def remove_platforms(self, text: str, platforms: Iterable[Platform]) -> tuple[str, ...]:
        """Remove the images that an index has for some platforms; return docker's lines.

        :raises ImageError: when one is not here or something needs it, or nothing would be left.
        """
        from orchestra.engine.local.variants import remove_variants  # noqa: PLC0415

        found, users = self.catalogue().find(text), self.containers()
        snapshotter = self._snapshotter()
        return await remove_variants(self.store, snapshotter, self._roots, found, platforms, users)

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name.

        :raises ImageError: when there is no such image, or the name is malformed.
        """
        name = parse_reference(target)
        if name.digest is not None:
            raise ImageError(f'cannot name an image "{target}": that is a digest')
        with self.store.writing():
            found = self.catalogue().find(source)
            known = self.store.target(str(name))
            if known is None or known.digest != found.target:
                notes = self._notes_of(found, repository_of(name))
                self.store.tag(found.target, str(name), annotations=notes)

    def _notes_of(self, found: Found, repository: str) -> Mapping[str, str]:
        """Return the digest by which an image is known in a repository, where it is."""
        for line in self.catalogue().names_of(found.image):
            same = line.repository == repository and line.target == found.target
            if same and SOURCE_DIGEST in line.annotations:
                return {SOURCE_DIGEST: line.annotations[SOURCE_DIGEST]}
        return {}

    async def remove(self, text: str, *, force: bool, prune: bool) -> tuple[str, ...]:
        """Take a name from an image, and with its last name the image; return docker's lines.

        :raises ImageError: when there is no such image, or something still needs it.
        """
        catalogue = self.catalogue()
        found = catalogue.find(text)
        names = catalogue.names_of(found.image)
        chosen = _chosen(found, names, force=force)
        lines = [f"Untagged: {line.name}" for line in chosen]
        last = len(chosen) == len(names)
        if last:
            self._check_unused(found, force=force)
        for line in chosen:
            self.store.untag(str(line.reference))
        if last:
            self.store.forget(lambda entry: found.image.id in self.store.ids_of(entry))
            lines.append(f"Deleted: {found.image.id}")
            if prune:
                await self._sweep()
                place = self._snapshotter().place
                lines += [
                    f"Deleted: {chain}"
                    for chain in reversed(found.image.chain_ids)
                    if not Path(place(chain)).exists()
                ]
        return tuple(lines)

    def _check_unused(self, found: Found, *, force: bool) -> None:
        users = self.containers().get(found.image.id, ())
        running = [user for user in users if user.phase in LIVE]
        if running or (users and not force):
            user = (running or users)[0]
            state = "running" if running else "stopped"
            way = "stop and remove it first" if running else "remove it first, or use --force"
            raise ImageError(
                f'cannot remove image "{_spoken(found)}": the {state} container "{user.name}" '
                "uses it",
                hint=way,
            )

    def usage(self) -> tuple[Kind, ...]:
        """Measure what lies on the disk. Blocks."""
        from orchestra.engine.local.usage import usage_of  # noqa: PLC0415

        return usage_of(self._paths, self._state, self.store, self._snapshotter(), self._observe())

    async def prune(self, wanted: ImageFilter, *, everything: bool, cache: bool = False) -> Pruned:
        """Remove images that no container uses: nameless ones, or with ``everything`` all.

        ``cache``: what builds remember goes as well.
        """
        from orchestra.engine.image.prune import sweep  # noqa: PLC0415

        gone: list[Listed] = []
        left: set[str] = set()

        def forget(used: Roots) -> Callable[[Entry], bool]:
            catalogue = self.catalogue()
            chosen = {
                line.target
                for line in catalogue.select(wanted)
                if not any(image.id in used.images for image in line.images)
                and (everything or line.reference is None)
            }
            gone.extend(line for line in catalogue.lines if line.target in chosen)
            left.update(
                image.id
                for line in catalogue.lines
                if line.target not in chosen
                for image in line.images
            )
            ids = self.store.ids_of  # none of what is damaged: nobody can use that any more
            return lambda entry: entry.descriptor.digest in chosen or not ids(entry)

        forgotten = 0

        def roots() -> Roots:
            nonlocal forgotten
            if cache:  # under the lock that keeps builds away
                forgotten = self._forget_builds(everything=True, until=None).bytes
            return self._roots()

        freed = await sweep(self.store, self._snapshotter(), roots, forget=forget)
        if freed is None:
            return Pruned(busy=True)
        freed += forgotten
        identities = dict.fromkeys(image.id for line in gone for image in line.images)
        return Pruned(
            untagged=tuple(line.name for line in gone if line.reference),
            deleted=tuple(identity for identity in identities if identity not in left),
            bytes=freed,
        )

    async def prune_builds(self, *, everything: bool, until: datetime | None) -> PrunedBuilds:
        """Remove what builds remember, and with it the layers that nothing else needs.

        Without ``everything`` the steps stay that gave layers of images. ``until``: only what is
        older.
        """
        from orchestra.engine.image.prune import sweep  # noqa: PLC0415

        done: list[Forgotten] = []

        def roots() -> Roots:
            done.append(self._forget_builds(everything=everything, until=until))
            return self._roots()

        freed = await sweep(self.store, self._snapshotter(), roots)
        if freed is None:
            return PrunedBuilds(busy=True)
        return PrunedBuilds(steps=done[0].steps, bytes=freed + done[0].bytes)

    def _forget_builds(self, *, everything: bool, until: datetime | None) -> Forgotten:
        from orchestra.engine.local.forgetting import forget_builds  # noqa: PLC0415

        return forget_builds(self._paths, self.store, everything=everything, until=until)

    async def _sweep(self) -> None:
        from orchestra.engine.image.prune import sweep  # noqa: PLC0415

        await sweep(self.store, self._snapshotter(), self._roots)

    def _roots(self) -> Roots:
        """Return what containers and the build cache use; a damaged record spares everything."""
        from orchestra.engine.build.cache import BuildCache  # noqa: PLC0415
        from orchestra.engine.image.prune import Roots  # noqa: PLC0415

        records = [
            record
            for project in self._state.projects()
            for record in self._state.containers(project)
        ]
        cache = BuildCache(self._paths.build_cache / "records")
        return Roots(
            directories=frozenset(layer for record in records for layer in record.layers),
            images=frozenset(record.image_id for record in records),
            blobs=frozenset(
                record.layer.descriptor.digest
                for _, record in cache.records()
                if record and record.layer
            ),
        )


def _chosen(found: Found, names: tuple[Listed, ...], *, force: bool) -> tuple[Listed, ...]:
    """Return the names that go when this one is removed.

    :raises ImageError: when an id stands for names of several repositories.
    """
    if found.reference is not None:
        exact = tuple(line for line in names if line.reference == found.reference)
        repository = repository_of(found.reference)
        return exact or tuple(line for line in names if line.repository == repository)
    if len({line.repository for line in names}) > 1 and not force:
        raise ImageError(
            f'cannot remove image "{_spoken(found)}": it has names in several repositories: '
            + ", ".join(line.name for line in names),
            hint="remove it by one of its names, or use --force",
        )
    return names


def _spoken(found: Found) -> str:
    return found.reference.familiar if found.reference else found.image.id[7:19]
