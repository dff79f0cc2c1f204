"""The push path against a real registry on loopback: what is sent, and what is not."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import anyio
import httpx2
import pytest
from support import images
from support.registry import Handler, Registry, serve_registry

from orchestra.engine.events import Progress
from orchestra.engine.image import push as pushing
from orchestra.engine.image.http import redirect_target
from orchestra.engine.image.push import Pushed, push
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import paths_of
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import LAYER_TAR, MANIFEST_DOCKER, Descriptor, Layer

BIG = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as running:
        yield running


@dataclass
class World:
    """A machine with a store, and a registry beside it."""

    store: ImageStore
    registry: Registry

    def push(self, name: str = "x:1") -> Pushed:
        reference = f"{self.registry.address}/{name}"
        told: list[Progress] = []
        return anyio.run(
            lambda: push(
                reference, store=self.store, settings=RegistrySettings(), progress=told.append
            )
        )

    def keep(self, made: images.MadeImage, name: str = "x:1") -> None:
        images.store_image(self.store, f"{self.registry.address}/{name}", made)

    def sent(self) -> list[str]:
        """Return the requests that carried something."""
        return [
            f"{r.method} {r.path}" for r in self.registry.requests if r.method in {"PATCH", "PUT"}
        ]


@pytest.fixture
def world(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> World:
    environment = {"ORCHESTRA_DATA": str(tmp_path / "data"), "HOME": str(tmp_path)}
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return World(ImageStore(paths_of(environment, uid=0)), registry)


@pytest.fixture
def made() -> images.MadeImage:
    low = images.layer([images.directory("d/"), images.file("big", BIG)])
    return images.image([low, images.layer([images.file("d/b", b"b")])])


def refusing(method: str, status: int, code: str) -> Callable[[Handler], bool]:
    """Return a fault of the registry: requests of that method are read, and refused."""

    def fault(handler: Handler) -> bool:
        if handler.command != method:
            return False
        handler.body()
        handler.error(status, code)
        return True

    return fault


def test_image_arrives_whole_and_a_second_push_sends_nothing(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)
    pushed = world.push()
    assert registry.manifests["x", "1"][1] == made.manifest
    assert pushed.digest == digest_of(made.manifest)
    assert {made.config, *(blob.data for blob in made.layers)} <= set(registry.blobs.values())
    before = len(world.sent())
    world.push()
    assert [line for line in world.sent()[before:] if "/blobs/" in line] == []


def test_an_image_that_is_not_here_is_told(world: World) -> None:
    with pytest.raises(ImageError, match="it is not in the store") as told:
        world.push("nope:1")
    assert "orchestra image tag" in (told.value.hint or "")


def test_plain_layers_are_packed_once_and_the_id_stays(world: World, registry: Registry) -> None:
    plain = images.tar([images.file("a", b"a" * 100_000)])
    descriptor = Descriptor(media_type=LAYER_TAR, digest=digest_of(plain), size=len(plain))
    blob = images.Blob(Layer(diff_id=digest_of(plain), descriptor=descriptor), plain)
    made = images.image([blob])
    world.keep(made)
    before = world.store.get(f"{registry.address}/x:1")
    first = world.push()
    layer = json.loads(registry.manifests["x", "1"][1])["layers"][0]
    assert layer["mediaType"].endswith("tar+gzip")
    assert gzip.decompress(registry.blobs[layer["digest"]]) == plain
    after = world.store.get(f"{registry.address}/x:1")
    assert before is not None
    assert after is not None
    assert after.id == before.id
    count = len(world.sent())
    assert world.push().digest == first.digest
    assert [line for line in world.sent()[count:] if "/blobs/" in line] == []


def test_layer_of_another_repository_is_mounted(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    registry.strict = True
    world.keep(made)
    world.push()
    world.keep(made, "team/y:2")
    before = len(world.sent())
    world.push("team/y:2")
    fresh = [line for line in world.sent()[before:] if "/blobs/" in line]
    assert [line for line in fresh if "PATCH" in line] == []
    assert {digest for name, digest in registry.links if name == "team/y"} >= {
        blob.layer.descriptor.digest for blob in made.layers
    }


def test_broken_connection_is_taken_up_where_the_registry_is(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)
    cut: list[int] = []

    def fault(handler: Handler) -> bool:
        if handler.command != "PATCH" or cut:
            return False
        gathered = registry.uploads[handler.path]
        gathered += handler.rfile.read(1 << 20)
        cut.append(len(gathered))
        handler.hang_up()
        handler.connection.close()
        return True

    registry.faults["/uploads/"] = fault
    world.push()
    ranges = [r.headers["content-range"] for r in registry.requests if "content-range" in r.headers]
    size = made.layers[0].layer.descriptor.size
    assert ranges == [f"{cut[0]}-{size - 1}"]
    assert registry.blobs[made.layers[0].layer.descriptor.digest] == made.layers[0].data


def test_blob_goes_in_pieces_where_it_is_not_taken_whole(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    """As behind a proxy with a limit for bodies (nginx, client_max_body_size)."""
    world.keep(made)
    sizes: list[int] = []

    def limited(handler: Handler) -> bool:
        size = int(handler.headers.get("Content-Length", "0"))
        if handler.command != "PATCH":
            return False
        sizes.append(size)
        if size <= 1 << 20:
            return False
        handler.body()
        handler.error(413, "TOO_LARGE")
        return True

    registry.faults["/uploads/"] = limited
    world.push()
    assert registry.blobs[made.layers[0].layer.descriptor.digest] == made.layers[0].data
    assert len([size for size in sizes if size <= 1 << 20]) >= 3
    assert len([size for size in sizes if size > 1 << 20]) <= 2


def test_registry_that_takes_no_piece_at_all_is_told(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)
    registry.faults["/uploads/"] = refusing("PATCH", 413, "TOO_LARGE")
    with pytest.raises(RegistryError, match=r"takes nothing of this size \(413\)"):
        world.push()


def test_upload_that_never_succeeds_ends_with_an_error(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)
    registry.faults["/uploads/"] = refusing("PATCH", 403, "DENIED")
    with pytest.raises(RegistryError, match=r'cannot push "127.*x:1": registry .* denies access'):
        world.push()
    assert ("x", "1") not in registry.manifests


def test_registry_that_knows_no_oci_gets_dockers_form(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)

    def fault(handler: Handler) -> bool:
        if handler.command == "PUT" and "oci" in handler.headers.get("Content-Type", ""):
            handler.body()
            handler.error(415, "MANIFEST_INVALID")
            return True
        return False

    registry.faults["/manifests/"] = fault
    pushed = world.push()
    media_type, data = registry.manifests["x", "1"]
    assert media_type == MANIFEST_DOCKER
    assert pushed.digest == digest_of(data)
    assert [entry["digest"] for entry in json.loads(data)["layers"]] == [
        blob.layer.descriptor.digest for blob in made.layers
    ]


def test_location_on_another_host_gets_no_credentials(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    world.keep(made)
    config = tmp_path / "docker.json"
    config.write_text(json.dumps({"auths": {registry.address: {"username": "u", "password": "p"}}}))

    with serve_registry() as other:

        def login(handler: Handler) -> bool:
            if "Authorization" not in handler.headers:
                handler.body()
                handler.answer(401, WWW_Authenticate="Basic realm=x")
                return True
            if handler.command == "POST":
                location = f"/v2/x/blobs/uploads/{len(other.uploads) + 1}"
                other.uploads[location] = bytearray()
                handler.answer(202, Location=f"http://{other.address}{location}")
                return True
            return False

        registry.faults["/v2/"] = login
        settings = RegistrySettings(docker_config=config)
        anyio.run(
            lambda: push(
                f"{registry.address}/x:1",
                store=world.store,
                settings=settings,
                progress=lambda _: None,
            )
        )
        assert other.requests
        assert all("authorization" not in seen.headers for seen in other.requests)


def test_registry_that_stores_another_manifest_is_told(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)

    def lie(handler: Handler) -> bool:
        if handler.command != "PUT":
            return False
        handler.body()
        handler.answer(201, Docker_Content_Digest="sha256:" + "0" * 64)
        return True

    registry.faults["/manifests/"] = lie
    with pytest.raises(ImageError, match="stored a manifest with digest"):
        world.push()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "asks for a login"),
        (403, "denies access"),
        (404, "has no"),
        (429, "too many requests"),
        (500, r"out of order \(500\)"),
    ],
)
def test_each_status_has_its_own_words(
    world: World,
    registry: Registry,
    made: images.MadeImage,
    status: int,
    message: str,
) -> None:
    world.keep(made)

    registry.faults["/uploads/"] = refusing("POST", status, "X")
    with pytest.raises(RegistryError, match=f"cannot push .*{message}"):
        world.push()


def test_passing_trouble_is_waited_for(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.keep(made)
    seen: list[str] = []

    def busy(handler: Handler) -> bool:
        if handler.command not in {"POST", "PUT"} or len(seen) > 2:
            return False
        seen.append(handler.path)
        handler.body()
        handler.error(503, "BUSY", Retry_After="0")
        return True

    registry.faults["/v2/x/"] = busy
    world.push()
    assert len(seen) == 3
    assert ("x", "1") in registry.manifests


def test_redirect_of_an_upload_to_less_protection_is_refused() -> None:
    with pytest.raises(RegistryError, match="from https to http, refused"):
        redirect_target(httpx2.URL("https://registry.example/v2/x/"), "http://registry.example/u")


def test_token_is_asked_for_every_repository_of_a_mount(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    """A challenge names both repositories; each is a scope of its own (token authentication)."""
    registry.strict = True
    world.keep(made)
    world.push()
    world.keep(made, "team/y:2")
    asked: list[list[str]] = []

    def token(handler: Handler) -> bool:
        scopes = parse_qs(handler.path.partition("?")[2])["scope"]
        asked.append(scopes)
        body = {"token": base64.urlsafe_b64encode(" ".join(scopes).encode()).decode()}
        handler.answer(200, json.dumps(body).encode())
        return True

    def guard(handler: Handler) -> bool:
        needed = ["repository:team/y:pull,push"]
        if "from=" in handler.path:
            needed.append("repository:x:pull")
        packed = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        if set(needed) <= set(base64.urlsafe_b64decode(packed).decode().split()):
            return False
        handler.body()
        realm = f'Bearer realm="http://{registry.address}/token",scope="{" ".join(needed)}"'
        handler.answer(401, WWW_Authenticate=realm)
        return True

    registry.faults |= {"/token": token, "/v2/": guard}
    world.push("team/y:2")
    assert ["repository:team/y:pull,push", "repository:x:pull"] in asked
    assert ("team/y", "2") in registry.manifests
    layers = {blob.layer.descriptor.digest for blob in made.layers}
    assert {digest for name, digest in registry.links if name == "team/y"} >= layers


@pytest.mark.parametrize("number", [0, 1], ids=["streamed", "sent at once"])
def test_blob_that_is_damaged_here_is_told_and_dropped(
    world: World, registry: Registry, made: images.MadeImage, number: int
) -> None:
    world.keep(made)
    layer = made.layers[number].layer.descriptor
    path = world.store.blob_path(layer.digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"cannot push .*blob {layer.digest[:19]} is damaged"):
        world.push()
    assert not world.store.has_blob(layer.digest)
    assert ("x", "1") not in registry.manifests


def test_a_digest_is_nothing_to_push(world: World, made: images.MadeImage) -> None:
    world.keep(made)
    with pytest.raises(ImageError, match="a registry gives digests"):
        world.push(f"x@{digest_of(made.manifest)}")


def test_pushing_imports_nothing_dear_before_it_is_needed() -> None:
    assert "httpx2" not in vars(pushing)
