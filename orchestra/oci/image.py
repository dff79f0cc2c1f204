"""Images as values: descriptor, manifest, config, layer (OCI image-spec 1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.oci.digest import Digest, digest_of
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, field

MANIFEST_OCI = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_OCI = "application/vnd.oci.image.index.v1+json"
INDEX_DOCKER = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG_OCI = "application/vnd.oci.image.config.v1+json"
CONFIG_DOCKER = "application/vnd.docker.container.image.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
LAYER_DOCKER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
REF_NAME = "org.opencontainers.image.ref.name"
"""Annotation of an index's entry: a name within the layout, a tag often (annotations.md)."""
WHOLE_NAME = "io.containerd.image.name"
"""Annotation of an index's entry: containerd's, the name with registry and repository."""
MANIFEST_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A typed, sized, addressed blob (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: ``diff_id`` addresses the plain tar, ``descriptor`` the blob as transferred."""

    diff_id: Digest
    descriptor: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHealthcheck:
    """HEALTHCHECK of an image config; durations in nanoseconds, 0 meaning "the default"."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One line of an image's history (config.md)."""

    created_by: str = ""
    created: str | None = None
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What a container of the image starts with (config.md); env is "KEY=value" in order."""

    platform: Platform
    diff_ids: tuple[Digest, ...]
    created: str | None = None
    author: str = ""
    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    args_escaped: bool = False
    """Means nothing but on Windows; BuildKit sets it with every CMD."""
    shell: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck: ImageHealthcheck | None = None
    on_build: tuple[str, ...] = ()
    history: tuple[History, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the store: ``id`` is the digest of its config, as docker shows it."""

    id: Digest
    manifest: Digest
    config: ImageConfig
    layers: tuple[Layer, ...]

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """Return the chain id of each layer, lowest first."""
        return chain_ids(self.config.diff_ids)


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[Digest, ...]:
    """Name each layer together with all below it, lowest first (config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
