"""Tiny images for tests: layers from a few entries, documents, and their way into a registry."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.registry import Registry

from orchestra.engine.image.document import encode_config, encode_json, encode_manifest
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tar import BLOCK, DIRECTORY, REGULAR, SYMLINK, Member, encode_member
from orchestra.oci.digest import Digest, digest_of
from orchestra.oci.image import (
    INDEX_OCI,
    LAYER_GZIP,
    MANIFEST_OCI,
    Descriptor,
    Image,
    ImageConfig,
    Layer,
)
from orchestra.oci.platform import Platform

BUSYBOX = Path("/bin/busybox")
AMD64 = Platform("linux", "amd64")


@dataclass(frozen=True)
class Entry:
    """A member and its content."""

    member: Member
    content: bytes = b""


def file(name: str, content: bytes = b"", **fields: object) -> Entry:
    """Make a regular file."""
    return Entry(Member(name=name, kind=REGULAR, size=len(content), **fields), content)  # type: ignore[arg-type]


def directory(name: str, mode: int = 0o755, **fields: object) -> Entry:
    """Make a directory."""
    return Entry(Member(name=name, kind=DIRECTORY, mode=mode, **fields))  # type: ignore[arg-type]


def link(name: str, target: str) -> Entry:
    """Make a symbolic link."""
    return Entry(Member(name=name, kind=SYMLINK, mode=0o777, link=target))


def tar(entries: Iterable[Entry]) -> bytes:
    """Write an archive, whatever its entries would do."""
    parts = []
    for entry in entries:
        padding = bytes(-len(entry.content) % BLOCK)
        parts += [encode_member(entry.member), entry.content, padding]
    return b"".join([*parts, bytes(2 * BLOCK)])


@dataclass(frozen=True)
class Blob:
    """A layer and its bytes."""

    layer: Layer
    data: bytes


def layer(entries: Iterable[Entry]) -> Blob:
    """Make a gzip layer."""
    return layer_of(tar(entries))


def layer_of(plain: bytes) -> Blob:
    """Make a gzip layer of an archive."""
    data = gzip.compress(plain, 1, mtime=0)
    descriptor = Descriptor(media_type=LAYER_GZIP, digest=digest_of(data), size=len(data))
    return Blob(Layer(diff_id=digest_of(plain), descriptor=descriptor), data)


def busybox_layer(*extra: Entry) -> Blob:
    """Make a layer with a static busybox and a few of its names."""
    names = ("sh", "cat", "echo", "sleep", "ls", "true", "false")
    links = [link(f"bin/{name}", "busybox") for name in names]
    busybox = file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
    folders = [directory("bin/"), directory("etc/"), directory("tmp/", 0o1777)]
    return layer([*folders, busybox, *links, *extra])


@dataclass(frozen=True)
class MadeImage:
    """An image's documents and blobs."""

    config: bytes
    manifest: bytes
    layers: tuple[Blob, ...]

    @property
    def digest(self) -> Digest:
        return digest_of(self.manifest)


def image(layers: Sequence[Blob], platform: Platform = AMD64, **fields: object) -> MadeImage:
    """Put layers together; ``fields`` are those of ImageConfig."""
    diff_ids = tuple(blob.layer.diff_id for blob in layers)
    config = encode_config(ImageConfig(platform=platform, diff_ids=diff_ids, **fields))  # type: ignore[arg-type]
    manifest = encode_manifest(config, [blob.layer for blob in layers])
    return MadeImage(config, manifest, tuple(layers))


def index(*images: tuple[Platform, MadeImage]) -> bytes:
    """Write an index of images."""
    manifests = [
        {
            "mediaType": MANIFEST_OCI,
            "digest": made.digest,
            "size": len(made.manifest),
            "platform": {
                key: value
                for key, value in (
                    ("os", platform.os),
                    ("architecture", platform.architecture),
                    ("variant", platform.variant),
                )
                if value
            },
        }
        for platform, made in images
    ]
    return encode_json({"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": manifests})


def publish(registry: Registry, repository: str, tag: str, made: MadeImage) -> None:
    """Give an image to a registry under a tag."""
    for blob in made.layers:
        registry.put_blob(blob.data)
    registry.put_blob(made.config)
    registry.put(repository, tag, MANIFEST_OCI, made.manifest)


def store_image(store: ImageStore, reference: str, made: MadeImage) -> Image:
    """Put an image straight into a store."""
    for blob in made.layers:
        store.put_blob(blob.data)
    store.put_blob(made.config)
    return store.add_image(made.manifest, reference=reference)


def sha256(data: bytes) -> str:
    """Return the hex digest of some bytes."""
    return hashlib.sha256(data).hexdigest()
