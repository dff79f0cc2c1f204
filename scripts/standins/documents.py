"""Image documents as bytes: config, manifest and index, in OCI's and in Docker's dialect.

Pure. Every image is offered as an index with several platforms, as public registries do, so that
the choice of platform is exercised; the other platforms hold the same layers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.standins.layer import Blob

CREATED = "2024-01-01T00:00:00Z"
OTHER_PLATFORMS = (("arm64", "v8"), ("arm", "v7"))
Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The media types of one family of documents."""

    manifest: str
    config: str
    layer: str
    index: str


OCI = Dialect(
    manifest="application/vnd.oci.image.manifest.v1+json",
    config="application/vnd.oci.image.config.v1+json",
    layer="application/vnd.oci.image.layer.v1.tar+gzip",
    index="application/vnd.oci.image.index.v1+json",
)
DOCKER = Dialect(
    manifest="application/vnd.docker.distribution.manifest.v2+json",
    config="application/vnd.docker.container.image.v1+json",
    layer="application/vnd.docker.image.rootfs.diff.tar.gzip",
    index="application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass(frozen=True, slots=True)
class Document:
    """JSON bytes that a registry stores under their digest."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        """Return the digest of the body."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def descriptor(self) -> dict[str, object]:
        """Return how another document refers to this one."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}


def _document(media_type: str, content: Json) -> Document:
    return Document(media_type, json.dumps(content, separators=(",", ":"), sort_keys=True).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The config and manifest of an image for one platform."""

    config: Document
    manifest: Document


def platform_of(
    layers: Sequence[tuple[str, Blob]], config: Json, dialect: Dialect, *, architecture: str
) -> Platform:
    """Compose the documents of one platform out of named layers and the run configuration."""
    content: Json = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for _, blob in layers]},
        "history": [
            {"created": CREATED, "created_by": f"stand-in layer {name}"} for name, _ in layers
        ],
    }
    config_document = _document(dialect.config, content)
    manifest: Json = {
        "schemaVersion": 2,
        "mediaType": dialect.manifest,
        "config": config_document.descriptor,
        "layers": [
            {"mediaType": dialect.layer, "digest": blob.digest, "size": blob.size}
            for _, blob in layers
        ],
    }
    return Platform(config=config_document, manifest=_document(dialect.manifest, manifest))


def index_of(
    main: Platform, others: Sequence[tuple[Platform, str, str]], dialect: Dialect
) -> Document:
    """Compose the index: x86_64 first, then ``(platform, architecture, variant)`` each."""
    manifests: list[Json] = [
        {**main.manifest.descriptor, "platform": {"architecture": "amd64", "os": "linux"}}
    ]
    for platform, architecture, variant in others:
        where = {"architecture": architecture, "os": "linux", "variant": variant}
        manifests.append({**platform.manifest.descriptor, "platform": where})
    return _document(
        dialect.index,
        {"schemaVersion": 2, "mediaType": dialect.index, "manifests": manifests},
    )
