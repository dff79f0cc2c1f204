"""Load images from an archive into the store: what is in it, whose format, under which names.

An OCI layout comes first where an archive is both; docker's manifest.json names layers by path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import anyio.to_thread

from orchestra.engine.image.compression import GZIP, ZSTD
from orchestra.engine.image.document import encode_manifest
from orchestra.engine.image.layer import Limits
from orchestra.engine.image.load import Unloaded
from orchestra.engine.image.platforms import no_platform
from orchestra.engine.image.store import ImageStore, make_image
from orchestra.engine.image.tree import REFERENCE_DIGEST, Node, is_image, walk
from orchestra.engine.image.wire import Index, Manifest, parse_config, parse_document, parse_list
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, digest_of
from orchestra.oci.image import (
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    REF_NAME,
    WHOLE_NAME,
    Descriptor,
    Layer,
)
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef, parse_reference
from orchestra.values import dataclass, replace

_NAMELESS = ImageRef("archive", "image", "latest")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, under one of its names; ``reference`` None where it has none."""

    reference: ImageRef | None
    id: Digest


@dataclass(frozen=True, slots=True)
class _Found:
    """An image or an index of the archive: its document, which may be made, and its names.

    ``manifests`` are those images of an index that are in the archive, ``others`` what else is.
    """

    document: bytes
    names: tuple[ImageRef, ...]
    manifests: tuple[bytes, ...] = ()
    others: tuple[Node, ...] = ()


async def load(
    read: Callable[[int], bytes],
    *,
    store: ImageStore,
    snapshotter: Snapshotter,
    limits: Limits,
    platform: Platform | None,
) -> tuple[Loaded, ...]:
    """Store every image of an archive, unpacked and checked; ``read`` gives the archive.

    Indexes stay as they are; of what they name, what is in the archive is stored, or with
    ``platform`` the image for that alone.

    :raises ImageError: when something in it is refused; images before it are there then.
    """
    loaded: list[Loaded] = []
    with store.writing():
        unloaded = await anyio.to_thread.run_sync(partial(Unloaded, store, read, limits))
        try:
            found = await anyio.to_thread.run_sync(_found, unloaded, store, platform)
            for one in found:
                loaded += await _keep(one, unloaded, store, snapshotter)
        finally:
            await anyio.to_thread.run_sync(unloaded.close)
    return tuple(loaded)


async def _keep(
    found: _Found, unloaded: Unloaded, store: ImageStore, snapshotter: Snapshotter
) -> list[Loaded]:
    for data in found.manifests or (found.document,):
        await _keep_image(data, unloaded, store, snapshotter)
    for node in reversed(found.others):
        for digest in node.digests:
            await anyio.to_thread.run_sync(unloaded.keep, digest)
    add = store.add_index if found.manifests else store.add_image
    names = [str(name) for name in found.names]
    image = add(found.document, reference=names[0] if names else None)
    for name in names[1:]:
        add(found.document, reference=name)
    return [Loaded(name, image.id) for name in found.names] or [Loaded(None, image.id)]


async def _keep_image(
    data: bytes, unloaded: Unloaded, store: ImageStore, snapshotter: Snapshotter
) -> None:
    """Store an image's blobs, and its manifest when they are there and checked."""
    manifest = parse_document(data)
    if not isinstance(manifest, Manifest):
        raise ImageError("cannot load the archive: an index is where an image should be")
    unloaded.keep(manifest.config.digest, manifest.config.size)
    for layer in manifest.layers:
        await anyio.to_thread.run_sync(unloaded.keep, layer.digest, layer.size)
    image = make_image(digest_of(data), manifest, store.read_blob)
    await snapshotter.ensure_layers(image)  # checks every layer's content
    store.add_manifest(data)


def _found(unloaded: Unloaded, store: ImageStore, platform: Platform | None) -> list[_Found]:
    if unloaded.has("index.json") and unloaded.has("oci-layout"):
        return list(_of_layout(unloaded, store, platform))
    if unloaded.has("manifest.json"):
        return list(_of_docker(unloaded))
    raise ImageError(
        "cannot load the archive: it holds no images",
        hint="it should come from docker save, podman save, skopeo or orchestra image save; "
        "a root file system goes in with `orchestra image import`",
    )


def _of_layout(
    unloaded: Unloaded, store: ImageStore, platform: Platform | None
) -> Iterator[_Found]:
    """Read an OCI layout's index; entries of one document are one image of several names."""
    index = parse_document(unloaded.document("index.json"))
    if not isinstance(index, Index):
        raise ImageError("cannot load the archive: its index.json is no index")
    names: dict[Digest, list[ImageRef]] = {}
    entries = {entry.digest: entry for entry in index.manifests}
    for entry in index.manifests:
        name = _name_of(entry.annotations)
        names.setdefault(entry.digest, []).extend([name] if name else [])
    for digest, own in names.items():
        called = tuple(dict.fromkeys(own))
        document = unloaded.document_of(digest)
        kind = parse_document(document, entries[digest].media_type)
        if isinstance(kind, Manifest):
            yield _Found(document, called)
        else:
            top = replace(entries[digest], media_type=kind.media_type)
            yield _of_index(unloaded, store, top, called, platform)


def _of_index(
    unloaded: Unloaded,
    store: ImageStore,
    top: Descriptor,
    names: tuple[ImageRef, ...],
    platform: Platform | None,
) -> _Found:
    """Find what is in the archive of an index, or here already."""

    def read(descriptor: Descriptor) -> bytes | None:
        if unloaded.holds(descriptor.digest):
            return unloaded.document_of(descriptor.digest)
        here = store.has_blob(descriptor.digest, descriptor.size)
        return store.read_blob(descriptor.digest) if here else None

    images: dict[Digest, bytes] = {}
    others = []
    for node in tuple(walk(top, read))[1:]:
        if isinstance(node.document, Manifest) and is_image(node.descriptor):
            data = read(node.descriptor)
            if data is not None and _suits(unloaded, store, node.document, platform):
                images[node.descriptor.digest] = data
        elif node.present:
            others.append(node)
    if not images:
        there = [node.platform for node in _entries(unloaded, top) if node.platform]
        raise no_platform(
            names[0] if names else _NAMELESS, platform or Platform("any", "platform"), there
        )
    kept = tuple(
        node
        for node in others
        if _belongs(node, images)
        and all(unloaded.holds(digest) or store.has_blob(digest) for digest in node.digests)
    )
    return _Found(unloaded.document_of(top.digest), names, tuple(images.values()), kept)


def _suits(
    unloaded: Unloaded, store: ImageStore, manifest: Manifest, platform: Platform | None
) -> bool:
    """Tell whether an image is for the platform that is asked for."""
    if platform is None:
        return True
    digest = manifest.config.digest
    data = unloaded.document_of(digest) if unloaded.holds(digest) else store.read_blob(digest)
    return platform.rank(parse_config(data).platform) is not None


def _belongs(node: Node, images: Mapping[Digest, bytes]) -> bool:
    """Tell whether what is no image tells of one that is stored, or of none."""
    told = node.descriptor.annotations.get(REFERENCE_DIGEST)
    return not told or told in images


def _entries(unloaded: Unloaded, top: Descriptor) -> tuple[Descriptor, ...]:
    document = parse_document(unloaded.document_of(top.digest), top.media_type)
    return document.manifests if isinstance(document, Index) else ()


def _name_of(annotations: Mapping[str, str]) -> ImageRef | None:
    """Return an entry's name: containerd's whole one, or the layout's where that is whole."""
    text = annotations.get(WHOLE_NAME) or annotations.get(REF_NAME, "")
    if not text or (WHOLE_NAME not in annotations and not {":", "/"} & set(text)):
        return None  # a tag, and nothing to tell of what
    name = parse_reference(text)
    return ImageRef(name.registry, name.repository, name.tag or "latest")


def _of_docker(unloaded: Unloaded) -> Iterator[_Found]:
    """Read docker's list (image/tarexport, manifestItem)."""
    for fields in parse_list(unloaded.document("manifest.json"), "manifest.json"):
        path, layers, tags = fields.get("Config"), fields.get("Layers"), fields.get("RepoTags")
        if not isinstance(path, str) or not isinstance(layers, list | None):
            raise ImageError("cannot load the archive: its manifest.json is malformed")
        config = unloaded.document(path)
        diff_ids = parse_config(config).diff_ids
        if len(diff_ids) != len(layers or []):
            raise ImageError(
                f"cannot load the archive: {len(layers or [])} layers are listed, the image's "
                f"config tells of {len(diff_ids)}"
            )
        pairs = zip(diff_ids, map(str, layers or []), strict=True)
        made = [_layer(unloaded, diff_id, name) for diff_id, name in pairs]
        listed = tags if isinstance(tags, list) else []
        names = [parse_reference(tag) for tag in listed if isinstance(tag, str)]
        yield _Found(encode_manifest(config, made), tuple(names))


def _layer(unloaded: Unloaded, diff_id: Digest, name: str) -> Layer:
    digest = unloaded.digest(name)
    head = unloaded.head(digest, 8)
    kind = LAYER_TAR
    if head.startswith(GZIP):
        kind = LAYER_GZIP
    elif head.startswith(ZSTD):
        kind = LAYER_ZSTD
    elif digest != diff_id:
        raise ImageError(
            f"cannot load layer {digest[:19]}: the image's config names {diff_id}",
            hint="the archive is damaged, or somebody changed it",
        )
    descriptor = Descriptor(media_type=kind, digest=digest, size=unloaded.size(digest))
    return Layer(diff_id=diff_id, descriptor=descriptor)
