"""The scenarios of the distribution-spec's conformance suite that a command does not show.

Debian's docker-registry with TLS, once with a file of passwords and once with tokens;
docs/conformance-distribution.md has the whole list.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import anyio
import httpx2
import pytest
from support import images
from support.debian_registry import (
    PASSWORD,
    USER,
    DebianRegistry,
    debian_registries,
    trusting_paths,
)
from support.machine import Run

from orchestra.engine.image.http import HttpClient
from orchestra.engine.image.place import Refusal
from orchestra.engine.image.registry import Repository
from orchestra.engine.image.settings import RegistrySettings, load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.upload import Upload
from orchestra.engine.paths import paths_of
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, digest_of
from orchestra.oci.image import Image
from orchestra.oci.reference import parse_reference

pytestmark = [pytest.mark.kernel, pytest.mark.registry]
T = TypeVar("T")
BIG = random.Random(9).randbytes(3 << 20)
PIECE_BYTES = 1 << 20


registry = debian_registries
paths = trusting_paths


@pytest.fixture
def settings(run: Run, registry: DebianRegistry, tmp_path: Path) -> RegistrySettings:
    """Settings with a login."""
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0
    environment = {
        "ORCHESTRA_CONFIG": str(tmp_path / "config.toml"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }
    return load_settings(paths_of(environment, uid=0), environment)


class Watched(HttpClient):
    """Remembers what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, int]] = []

    async def watch(self, response: httpx2.Response) -> None:
        """Note a request that was answered."""
        length = int(response.request.headers.get("content-length", "0"))
        self.sent.append((response.request.method, response.request.url.path, length))

    def pieces_sent(self) -> list[int]:
        """Return how large the parts of blobs were that went by PATCH."""
        return [length for method, _, length in self.sent if method == "PATCH"]

    async def _once(self, *arguments: object) -> httpx2.Response:
        response = await super()._once(*arguments)  # type: ignore[arg-type]
        await self.watch(response)
        return response


def made(*contents: bytes, **fields: object) -> images.MadeImage:
    layers = [images.layer([images.file(f"{n}", data)]) for n, data in enumerate(contents)]
    return images.image(layers, **fields)  # type: ignore[arg-type]


def send(
    store: ImageStore,
    image: Image,
    reference: str,
    settings: RegistrySettings,
    *,
    sources: Mapping[Digest, str] | None = None,
    piece_bytes: int = 0,
) -> tuple[Digest, Watched]:
    """Push; return the digest, and the client that saw it."""

    async def run() -> tuple[Digest, Watched]:
        async with Watched() as http:
            upload = Upload(
                http,
                parse_reference(reference),
                store,
                settings,
                lambda _: None,
                piece_bytes=piece_bytes,
            )
            nodes = store.nodes(store.describe(image.manifest))
            digest = await upload.run(nodes, sources or {})
            assert digest is not None
            return digest, http

    return anyio.run(run)


def asked(
    reference: str, settings: RegistrySettings, ask: Callable[[Repository], Awaitable[T]]
) -> T:
    """Ask a repository something."""

    async def run() -> T:
        async with HttpClient() as http:
            return await ask(Repository(http, parse_reference(reference), settings, print))

    return anyio.run(run)


async def body(repository: Repository, digest: Digest, offset: int = 0) -> bytes:
    async with repository.blob(digest, offset) as response:
        assert response.status_code == (206 if offset else 200)
        return await response.aread()


def test_small_blob_goes_with_the_request_that_ends_its_upload(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings
) -> None:
    name = f"{registry.address}/post/put:1"
    image = images.store_image(store, name, made(b"small"))
    digest, http = send(store, image, name, settings)
    assert digest == image.manifest
    assert http.pieces_sent() == []
    data = store.read_blob(image.layers[0].descriptor.digest)
    found = asked(name, settings, lambda place: body(place, image.layers[0].descriptor.digest))
    assert found == data


@pytest.mark.parametrize("piece_bytes", [0, PIECE_BYTES, 16 << 20], ids=["stream", "multi", "one"])
def test_large_blob_is_streamed_or_sent_in_pieces(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings, piece_bytes: int
) -> None:
    name = f"{registry.address}/pieces/of-{piece_bytes}:1"
    image = images.store_image(store, name, made(BIG + bytes([piece_bytes % 251])))
    layer = image.layers[0].descriptor
    digest, http = send(store, image, name, settings, piece_bytes=piece_bytes)
    assert digest == image.manifest
    sent = [length for length in http.pieces_sent() if length]
    if piece_bytes == PIECE_BYTES:
        assert sent == [PIECE_BYTES] * 3 + [layer.size - 3 * PIECE_BYTES]
    else:
        assert sent == [layer.size]
    with store.open_blob(layer.digest) as file:
        assert asked(name, settings, lambda place: body(place, layer.digest)) == file.read()
        file.seek(500)
        assert asked(name, settings, lambda place: body(place, layer.digest, 500)) == file.read()


def test_blob_that_cannot_be_mounted_after_all_is_sent(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings
) -> None:
    name = f"{registry.address}/mount/missing:1"
    image = images.store_image(store, name, made(b"m"))
    layer = image.layers[0].descriptor.digest
    digest, _ = send(store, image, name, settings, sources={layer: "never/pushed"})
    assert digest == image.manifest
    assert asked(name, settings, lambda place: body(place, layer))


@pytest.mark.parametrize("piece_bytes", [0, PIECE_BYTES], ids=["stream", "multi"])
def test_blob_with_another_digest_is_not_taken_and_told(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings, piece_bytes: int
) -> None:
    name = f"{registry.address}/bad/digest:1"
    image = images.store_image(store, name, made(BIG))
    layer = image.layers[0].descriptor
    path = store.blob_path(layer.digest)
    path.write_bytes(bytes(layer.size))
    with pytest.raises(ImageError, match="is damaged on disk"):
        send(store, image, name, settings, piece_bytes=piece_bytes)
    assert not store.has_blob(layer.digest)
    with pytest.raises(Refusal) as caught:
        asked(name, settings, lambda place: body(place, layer.digest))
    assert caught.value.status == 404


def test_what_is_not_there_is_told(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings
) -> None:
    name = f"{registry.address}/missing:1"
    image = images.store_image(store, name, made(b"x"))
    send(store, image, name, settings)
    nothing = digest_of(b"nothing")
    wanted: list[Callable[[Repository], Awaitable[object]]] = [
        lambda place: body(place, nothing),
        lambda place: place.manifest(nothing),
        lambda place: place.manifest("no-such-tag"),
    ]
    for ask in wanted:
        with pytest.raises(Refusal) as caught:
            asked(name, settings, ask)
        assert caught.value.status == 404
    with pytest.raises(Refusal) as caught:
        asked(f"{registry.address}/never/pushed:1", settings, lambda place: place.tags())
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "digest", ["sha256:baddigeststring", "baddigest", "sha256:", f"sha512:{'0' * 128}"]
)
def test_malformed_digest_is_refused_before_anybody_is_asked(
    run: Run, registry: DebianRegistry, digest: str
) -> None:
    code, _, err = run("image", "pull", f"{registry.address}/x@{digest}")
    assert code != 0
    assert err.startswith(f'"{digest[:60]}')
    assert err.endswith("is not a sha256 digest\n")


def test_tags_are_those_that_were_pushed(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings
) -> None:
    name = f"{registry.address}/tags"
    image = images.store_image(store, f"{name}:0", made(b"t"))
    for tag in ("b", "a", "latest"):
        send(store, image, f"{name}:{tag}", settings)
    assert asked(name, settings, lambda place: place.tags()) == ("a", "b", "latest")


def test_manifest_is_the_same_by_tag_and_by_digest(
    store: ImageStore, registry: DebianRegistry, settings: RegistrySettings
) -> None:
    name = f"{registry.address}/by:1"
    image = images.store_image(store, name, made(b"m"))
    send(store, image, name, settings)
    by_tag = asked(name, settings, lambda place: place.manifest("1"))
    by_digest = asked(name, settings, lambda place: place.manifest(image.manifest))
    assert by_tag == by_digest
    assert (by_tag.digest, by_tag.data) == (image.manifest, store.read_blob(image.manifest))


SUBJECT = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": digest_of(b"subject"),
    "size": 7,
}


@pytest.mark.parametrize(
    "more",
    [
        {"org.example.custom": {"a": [1, None]}},
        {"annotations": {"org.example.a": "b"}},
        {"subject": SUBJECT},
    ],
    ids=["custom fields", "annotations", "subject that is missing"],
)
def test_what_a_manifest_has_besides_goes_there_and_back(
    run: Run,
    store: ImageStore,
    registry: DebianRegistry,
    settings: RegistrySettings,
    more: Mapping[str, object],
) -> None:
    name = f"{registry.address}/more:1"
    plain = made(b"m")
    document = json.dumps({**json.loads(plain.manifest), **more}).encode()
    image = images.store_image(store, name, images.MadeImage(plain.config, document, plain.layers))
    assert image.manifest == digest_of(document)
    assert send(store, image, name, settings)[0] == image.manifest
    assert run("rmi", name)[0] == 0
    assert run("image", "pull", "-q", f"{name.removesuffix(':1')}@{image.manifest}")[0] == 0
    assert store.read_blob(image.manifest) == document


def test_image_without_layers_goes_there_and_back(
    run: Run, store: ImageStore, registry: DebianRegistry, settings: RegistrySettings
) -> None:
    name = f"{registry.address}/none:1"
    image = images.store_image(store, name, made())
    assert send(store, image, name, settings)[0] == image.manifest
    assert run("rmi", name)[0] == 0
    code, _, err = run("image", "pull", "-q", name)
    assert code == 0, err
