"""Ways to a registry: proxies, layers of foreign places, and what errors tell of them."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from support import images
from support.registry import Handler, Registry, serve_registry

from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.pull import pull
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import paths_of
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import (
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    MANIFEST_DOCKER,
    MANIFEST_OCI,
    Descriptor,
    Image,
    Layer,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as running:
        yield running


def fetch(tmp_path: Path, reference: str, settings: RegistrySettings | None = None) -> Image:
    paths = paths_of({"ORCHESTRA_DATA": str(tmp_path / "data")}, uid=0)
    store = ImageStore(paths)
    return anyio.run(
        lambda: pull(
            reference,
            store=store,
            snapshotter=open_snapshotter(paths, store),
            settings=settings or RegistrySettings(),
            platform=images.AMD64,
            progress=lambda _: None,
        )
    )


def as_proxy(handler: Handler) -> bool:
    """Answer as a proxy: the request's address is whole."""
    parts = urlsplit(handler.path)
    if parts.netloc != "registry.example":
        handler.error(502, "NOT_HERE")
        return True
    handler._read(parts.path)
    return True


def test_proxy_of_the_environment_is_used(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = images.image([images.layer([images.file("a")])])
    images.publish(registry, "x", "1", made)
    registry.faults["registry.example"] = as_proxy
    monkeypatch.setenv("http_proxy", f"http://{registry.address}")
    monkeypatch.setenv("HTTP_PROXY", f"http://{registry.address}")
    monkeypatch.setenv("https_proxy", f"http://{registry.address}")
    monkeypatch.setenv("no_proxy", "")
    settings = RegistrySettings(insecure=frozenset({"registry.example"}))
    assert fetch(tmp_path, "registry.example/x:1", settings).manifest == made.digest
    assert all("registry.example" in seen.path for seen in registry.requests)


def test_password_of_a_proxy_is_in_no_error(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://joe:s3cret@{registry.address}")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(RegistryError) as caught:
        fetch(tmp_path, "registry.example/x:1")
    told = f"{caught.value} {caught.value.hint}"
    link = caught.value.__cause__
    while link is not None:
        told += f" {link}"
        link = link.__cause__ or link.__context__
    assert "s3cret" not in told


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
    ],
)
def test_layer_of_a_foreign_place_is_refused_and_its_address_not_asked(
    registry: Registry, tmp_path: Path, media_type: str
) -> None:
    made = images.image([images.layer([images.file("a")])])
    images.publish(registry, "x", "1", made)
    document = json.loads(made.manifest)
    document["layers"][0] |= {"mediaType": media_type, "urls": [f"http://{registry.address}/evil"]}
    kind = MANIFEST_DOCKER if "docker" in media_type else MANIFEST_OCI
    document["mediaType"] = kind
    registry.put("x", "1", kind, json.dumps(document).encode())
    with pytest.raises(ImageError, match="is not distributed with its image"):
        fetch(tmp_path, f"{registry.address}/x:1")
    assert registry.paths("evil") == []
    assert registry.paths("/blobs/") == []


def test_artifact_is_no_image(registry: Registry, tmp_path: Path) -> None:
    content = registry.put_blob(b"a document")
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_OCI,
        "artifactType": "application/vnd.example.document",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": registry.put_blob(b"{}"),
            "size": 2,
        },
        "layers": [{"mediaType": "text/plain", "digest": content, "size": 10}],
    }
    registry.put("x", "1", MANIFEST_OCI, json.dumps(document).encode())
    with pytest.raises(ImageError, match="manifest has 1 layers, its config 0"):
        fetch(tmp_path, f"{registry.address}/x:1")
    assert registry.paths(content) == []


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        (LAYER_TAR, bytes),
        (LAYER_ZSTD, zstd.compress),
        (LAYER_GZIP, lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:])),
        (LAYER_GZIP, zstd.compress),
    ],
    ids=["plain", "zstd", "gzip in members", "zstd that calls itself gzip"],
)
def test_every_packing_is_pulled(
    registry: Registry, tmp_path: Path, media_type: str, pack: Callable[[bytes], bytes]
) -> None:
    plain = images.tar([images.file("a", b"content" * 1000)])
    data = pack(plain)
    descriptor = Descriptor(media_type=media_type, digest=digest_of(data), size=len(data))
    blob = images.Blob(Layer(diff_id=digest_of(plain), descriptor=descriptor), data)
    images.publish(registry, "x", "1", images.image([blob]))
    image = fetch(tmp_path, f"{registry.address}/x:1")
    assert image.layers[0].diff_id == digest_of(plain)
    [unpacked] = (tmp_path / "data/snapshots").glob("*/a")
    assert unpacked.read_bytes() == b"content" * 1000
