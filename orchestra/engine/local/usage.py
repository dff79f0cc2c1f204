"""What images, containers, volumes and the build cache take on disk, and what could go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestra.engine.build.cache import BuildCache
from orchestra.engine.image.catalogue import Catalogue
from orchestra.engine.image.prune import size_of
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.engine.state.store import Store
from orchestra.oci.digest import Digest
from orchestra.oci.image import Image
from orchestra.planner.observed import LIVE, ObservedContainer
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """One thing on disk; ``active``: something needs it now."""

    name: str
    bytes: int
    active: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """All things of a kind; ``bytes`` may be less than their sum, where they share."""

    title: str
    things: tuple[Used, ...]
    bytes: int
    reclaimable: int


def usage_of(
    paths: Paths,
    state: Store,
    images: ImageStore,
    snapshotter: Snapshotter,
    containers: Iterable[ObservedContainer],
) -> tuple[Kind, ...]:
    """Measure everything; blocks for as long as reading every directory takes."""
    everyone = tuple(containers)
    return (
        _images(images, snapshotter, everyone),
        _containers(paths, state, everyone),
        _volumes(paths, state, everyone),
        _cache(paths, images),
    )


def _images(
    store: ImageStore, snapshotter: Snapshotter, containers: tuple[ObservedContainer, ...]
) -> Kind:
    catalogue = Catalogue(store)
    known = {image.id: image for line in catalogue.lines for image in line.images}
    active = {Digest(container.image_id) for container in containers}
    sizes = {identity: _pieces(store, snapshotter, image) for identity, image in known.items()}
    everything = {key: size for pieces in sizes.values() for key, size in pieces.items()}
    needed = {key for identity in active & set(sizes) for key in sizes[identity]}
    things = tuple(
        Used(
            name=", ".join(n.name for n in catalogue.names_of(image)) or identity[7:19],
            bytes=sum(sizes[identity].values()),
            active=identity in active,
            note=identity,
        )
        for identity, image in known.items()
    )
    total = sum(everything.values())
    held = sum(size for key, size in everything.items() if key in needed)
    return Kind(title="Images", things=things, bytes=total, reclaimable=total - held)


def _pieces(store: ImageStore, snapshotter: Snapshotter, image: Image) -> Mapping[str, int]:
    """Return the blobs and snapshots of an image with their sizes."""
    blobs = {image.manifest, image.id, *(layer.descriptor.digest for layer in image.layers)}
    places = {snapshotter.place(chain) for chain in image.chain_ids}
    return {
        **{str(digest): store.blob_size(Digest(digest)) for digest in blobs},
        **{place: size_of(place) for place in places if Path(place).is_dir()},
    }


def _containers(paths: Paths, state: Store, containers: tuple[ObservedContainer, ...]) -> Kind:
    projects = {
        record.id: project for project in state.projects() for record in state.containers(project)
    }
    things = tuple(
        Used(
            name=container.name,
            bytes=size_of(str(paths.container(projects[container.id], container.id))),
            active=container.phase in LIVE,
            note=container.id,
        )
        for container in containers
        if container.id in projects
    )
    return _kind("Containers", things)


def _volumes(paths: Paths, state: Store, containers: tuple[ObservedContainer, ...]) -> Kind:
    mounted = {name for container in containers for name in container.volumes}
    things = tuple(
        Used(
            name=record.name,
            bytes=size_of(str(paths.volumes / record.name)),
            active=record.name in mounted,
        )
        for record in state.volumes()
    )
    return _kind("Local Volumes", things)


def _cache(paths: Paths, images: ImageStore) -> Kind:
    """Count what only the cache holds: layers of images are the images'."""
    cache = BuildCache(paths.build_cache / "records")
    held = {
        layer.descriptor.digest
        for line in images.list()
        for image in line.images
        for layer in image.layers
    }
    things = []
    for key, record in cache.records():
        layer = record.layer if record else None
        own = layer is not None and layer.descriptor.digest not in held
        size = images.blob_size(layer.descriptor.digest) if layer is not None and own else 0
        things.append(Used(name=key[:12], bytes=size, active=layer is not None and not own))
    return _kind("Build Cache", tuple(things))


def _kind(title: str, things: tuple[Used, ...]) -> Kind:
    total = sum(thing.bytes for thing in things)
    spare = sum(thing.bytes for thing in things if not thing.active)
    return Kind(title=title, things=things, bytes=total, reclaimable=spare)
