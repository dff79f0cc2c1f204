"""The pull path against a real registry on loopback, honest and not."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
import httpx2
import pytest
from support import images
from support.registry import Handler, Registry, serve_registry

from orchestra.engine.events import Progress
from orchestra.engine.image.http import HttpClient, Patience, redirect_target
from orchestra.engine.image.layer import Limits
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.resolve import resolve
from orchestra.engine.image.settings import RegistrySettings, load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.transfer import Meter, Transfer
from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import INDEX_OCI, MANIFEST_BYTES_MAX, MANIFEST_OCI, Image
from orchestra.oci.platform import Platform, parse_platform
from orchestra.oci.reference import parse_reference
from orchestra.planner.desired import PullPolicy

T = TypeVar("T")
BIG = bytes(range(256)) * 4096


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as running:
        yield running


@dataclass
class World:
    """A machine with an empty store."""

    paths: Paths
    settings: RegistrySettings
    platform: Platform = images.AMD64
    told: list[Progress] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    @property
    def store(self) -> ImageStore:
        return ImageStore(self.paths)

    @property
    def snapshotter(self) -> Snapshotter:
        return open_snapshotter(self.paths, self.store)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def transfer(self, reference: str) -> Image:
        patience = Patience(connect=2, read=0.5, document=1, stall=0.2, attempts=3)
        async with HttpClient(patience, sleep=self._sleep) as http:
            meter = Meter(reference, self.told.append)
            parsed = parse_reference(reference)
            transfer = Transfer(http, parsed, self.store, self.settings, meter)
            return await transfer.run(self.snapshotter, self.platform)

    def pull(self, reference: str) -> Image:
        return run(lambda: self.transfer(reference))

    def left(self) -> list[str]:
        """Return what lies about that is neither blob nor snapshot, nor lock."""
        patterns = ("images/ingest/*", "snapshots/.*")
        found = [path for pattern in patterns for path in Path(self.paths.data).glob(pattern)]
        return [path.name for path in found if path.name != "lock"]


def run(ask: Callable[[], Awaitable[T]]) -> T:
    return anyio.run(ask)


@pytest.fixture
def world(tmp_path: Path) -> World:
    environment = {
        "ORCHESTRA_DATA": str(tmp_path / "data"),
        "ORCHESTRA_RUN": str(tmp_path / "run"),
        "ORCHESTRA_CONFIG": str(tmp_path / "config.toml"),
        "HOME": str(tmp_path),
    }
    paths = paths_of(environment, uid=0)
    return World(paths, load_settings(paths, environment))


@pytest.fixture
def made(registry: Registry) -> images.MadeImage:
    """An image of two layers, in the registry as x:1."""
    low = images.layer([images.directory("d/"), images.file("d/a", b"a"), images.file("big", BIG)])
    made = images.image([low, images.layer([images.file("d/b", b"b")])])
    images.publish(registry, "x", "1", made)
    return made


def contents(world: World, image: Image) -> dict[str, bytes]:
    """Return the files of an image's layers."""
    layers = world.snapshotter.layers(image)
    assert layers is not None
    return {
        str(path.relative_to(layer)): path.read_bytes()
        for layer in reversed(layers)
        for path in sorted(Path(layer).rglob("*"))
        if path.is_file()
    }


def test_image_arrives_whole(world: World, registry: Registry, made: images.MadeImage) -> None:
    image = world.pull(f"{registry.address}/x:1")
    assert image.manifest == made.digest
    assert contents(world, image) == {"d/a": b"a", "d/b": b"b", "big": BIG}
    assert world.store.get(f"{registry.address}/x:1") == image
    last = world.told[-1]
    assert last.action == "pulled"
    assert last.current == last.total == sum(len(blob.data) for blob in made.layers)
    assert world.left() == []


def test_what_is_there_is_not_fetched_again(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    world.pull(f"{registry.address}/x:1")
    registry.requests.clear()
    world.pull(f"{registry.address}/x:1")
    assert [seen.path for seen in registry.requests] == ["/v2/x/manifests/1"]


def test_shared_layers_are_fetched_once_by_parallel_pulls(world: World, registry: Registry) -> None:
    base = images.layer([images.file("base", BIG)])
    for name in ("a", "b", "c"):
        top = images.layer([images.file(name, name.encode())])
        images.publish(registry, name, "1", images.image([base, top]))

    async def all_three() -> None:
        async with anyio.create_task_group() as group:
            for name in ("a", "b", "c"):
                group.start_soon(world.transfer, f"{registry.address}/{name}:1")

    run(all_three)
    assert len(registry.paths(base.layer.descriptor.digest)) == 1
    assert world.left() == []
    image = world.store.get(f"{registry.address}/b:1")
    assert image is not None
    assert set(contents(world, image)) == {"base", "b"}


def test_same_layer_twice_in_one_image(world: World, registry: Registry) -> None:
    blob = images.layer([images.file("f", b"x")])
    images.publish(registry, "x", "1", images.image([blob, blob, blob]))
    image = world.pull(f"{registry.address}/x:1")
    assert len(world.snapshotter.layers(image) or ()) == 3


def test_image_without_layers(world: World, registry: Registry) -> None:
    images.publish(registry, "x", "1", images.image([]))
    assert world.snapshotter.layers(world.pull(f"{registry.address}/x:1")) == ()


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [("linux/amd64", "amd64"), ("linux/arm/v7", "arm/v7"), ("linux/arm/v8", "arm/v7"),
     ("linux/arm64", "arm64")],
)  # fmt: skip
def test_platform_is_chosen_from_an_index(
    world: World, registry: Registry, wanted: str, labels: str
) -> None:
    platforms = [parse_platform(f"linux/{name}") for name in ("arm/v6", "arm/v7", "arm64", "amd64")]
    pairs = [
        (platform, images.image([], platform, labels={"p": str(platform)}))
        for platform in platforms
    ]
    for _, made in pairs:
        images.publish(registry, "x", made.digest, made)
    registry.put("x", "1", INDEX_OCI, images.index(*pairs))
    world.platform = parse_platform(wanted)
    assert world.pull(f"{registry.address}/x:1").config.labels == {"p": f"linux/{labels}"}


def test_missing_platform_lists_those_there_are(world: World, registry: Registry) -> None:
    arm = parse_platform("linux/arm64")
    unknown = Platform("unknown", "unknown")
    made = images.image([], arm)
    registry.put("x", "1", INDEX_OCI, images.index((arm, made), (unknown, made)))
    with pytest.raises(ImageError, match="not made for linux/amd64") as caught:
        world.pull(f"{registry.address}/x:1")
    assert "it is there for linux/arm64;" in str(caught.value.hint)


def test_single_manifest_of_another_platform_is_refused(world: World, registry: Registry) -> None:
    images.publish(registry, "x", "1", images.image([], parse_platform("linux/s390x")))
    with pytest.raises(ImageError, match="not made for") as caught:
        world.pull(f"{registry.address}/x:1")
    assert "linux/s390x" in str(caught.value.hint)


# What a registry, or somebody on the way to it, may try.


def blob_fault(registry: Registry, blob: images.Blob, fault: Callable[[Handler], bool]) -> None:
    registry.faults[f"blobs/{blob.layer.descriptor.digest}"] = fault


def assert_nothing_kept(world: World, reference: str) -> None:
    assert world.store.get(reference) is None
    assert world.left() == []


def test_blob_of_another_digest_is_refused(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    changed = gzip.compress(images.tar([images.file("evil", bytes(3))]), mtime=0)
    good = made.layers[1].data
    forged = changed[: len(good)].ljust(len(good), b"\0")
    blob_fault(registry, made.layers[1], lambda handler: handler.answer(200, forged) or True)
    with pytest.raises(ImageError):
        world.pull(f"{registry.address}/x:1")
    assert not world.store.has_blob(made.layers[1].layer.descriptor.digest)
    assert world.store.get(f"{registry.address}/x:1") is None


def test_blob_that_unpacks_well_but_has_another_digest_is_refused(
    world: World, registry: Registry
) -> None:
    """Only the digest of the packed bytes differs: the same archive, packed otherwise."""
    plain = images.tar([images.file("f", b"x")])
    blob = images.layer_of(plain)
    other = bytearray(blob.data)
    other[4:8] = b"\1\2\3\4"  # the time in gzip's header
    images.publish(registry, "x", "1", images.image([blob]))
    blob_fault(registry, blob, lambda handler: handler.answer(200, bytes(other)) or True)
    with pytest.raises(ImageError, match="what came has digest"):
        world.pull(f"{registry.address}/x:1")
    assert_nothing_kept(world, f"{registry.address}/x:1")


@pytest.mark.parametrize("extra", [-1, 1, 1 << 40])
def test_lying_content_length_is_refused(
    world: World, registry: Registry, made: images.MadeImage, extra: int
) -> None:
    data = made.layers[0].data

    def lie(handler: Handler) -> bool:
        handler.answer(200, data, length=len(data) + extra)
        handler.hang_up()
        return True

    blob_fault(registry, made.layers[0], lie)
    with pytest.raises(ImageError, match="is announced"):
        world.pull(f"{registry.address}/x:1")


def test_endless_body_is_cut(world: World, registry: Registry, made: images.MadeImage) -> None:
    sent = []

    def flood(handler: Handler) -> bool:
        handler.send_response(200)
        handler.end_headers()
        handler.hang_up()
        handler.wfile.write(made.layers[1].data)
        while True:
            handler.wfile.write(bytes(1 << 16))
            sent.append(1 << 16)

    blob_fault(registry, made.layers[1], flood)
    with pytest.raises(ImageError):
        world.pull(f"{registry.address}/x:1")
    assert world.store.get(f"{registry.address}/x:1") is None
    assert sum(sent) < 64 << 20


def test_truncated_body_is_taken_up_where_it_broke(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    data, broken = made.layers[0].data, []

    def break_once(handler: Handler) -> bool:
        if broken:
            return False
        broken.append(True)
        handler.answer(200, data[:3000], length=len(data))
        handler.hang_up()
        return True

    blob_fault(registry, made.layers[0], break_once)
    image = world.pull(f"{registry.address}/x:1")
    assert contents(world, image)["big"] == BIG
    ranges = [seen.headers.get("range") for seen in registry.paths("blobs")]
    assert "bytes=3000-" in ranges


def test_server_without_ranges_sends_from_the_start(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    data, broken = made.layers[0].data, []

    def no_ranges(handler: Handler) -> bool:
        whole = bool(broken)
        broken.append(True)
        handler.answer(200, data if whole else data[:3000], length=len(data))
        handler.hang_up()
        return True

    blob_fault(registry, made.layers[0], no_ranges)
    assert contents(world, world.pull(f"{registry.address}/x:1"))["big"] == BIG


def test_body_that_always_breaks_ends_with_an_error(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    def always(handler: Handler) -> bool:
        handler.answer(200, b"", length=len(made.layers[0].data))
        handler.hang_up()
        return True

    blob_fault(registry, made.layers[0], always)
    with pytest.raises(RegistryError, match="does not answer"):
        world.pull(f"{registry.address}/x:1")


def test_killed_pull_is_taken_up(world: World, registry: Registry, made: images.MadeImage) -> None:
    """What a dead process left is kept, checked with the rest, and not asked for again."""
    descriptor = made.layers[0].layer.descriptor
    part = world.store.incoming(descriptor.digest.removeprefix("sha256:"))
    part.write_bytes(made.layers[0].data[:2000])
    assert contents(world, world.pull(f"{registry.address}/x:1"))["big"] == BIG
    (seen,) = registry.paths(descriptor.digest)
    assert seen.headers["range"] == "bytes=2000-"


def test_damaged_leftover_is_thrown_away(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    descriptor = made.layers[0].layer.descriptor
    part = world.store.incoming(descriptor.digest.removeprefix("sha256:"))
    part.write_bytes(b"\0" * 2000)
    with pytest.raises(ImageError):
        world.pull(f"{registry.address}/x:1")
    assert contents(world, world.pull(f"{registry.address}/x:1"))["big"] == BIG


def test_stalled_body_is_given_up(world: World, registry: Registry, made: images.MadeImage) -> None:
    over = threading.Event()

    def drip(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(made.layers[0].data)))
        handler.end_headers()
        for byte in made.layers[0].data[:40]:
            handler.wfile.write(bytes([byte]))
            if over.wait(0.02):
                break
        handler.hang_up()
        return True

    blob_fault(registry, made.layers[0], drip)
    try:
        with pytest.raises(RegistryError, match=r"stalls|ends early|without"):
            world.pull(f"{registry.address}/x:1")
    finally:
        over.set()


def test_manifest_beyond_four_mebibytes_is_refused(world: World, registry: Registry) -> None:
    registry.put("x", "1", MANIFEST_OCI, b'{"schemaVersion":2}' + b" " * MANIFEST_BYTES_MAX)
    with pytest.raises(ImageError, match="more than 4194304 bytes"):
        world.pull(f"{registry.address}/x:1")


def test_endless_manifest_is_cut(world: World, registry: Registry) -> None:
    def flood(handler: Handler) -> bool:
        handler.send_response(200)
        handler.end_headers()
        handler.hang_up()
        while True:
            handler.wfile.write(bytes(1 << 16))

    registry.faults["manifests/1"] = flood
    with pytest.raises(ImageError, match="more than 4194304 bytes"):
        world.pull(f"{registry.address}/x:1")


def test_config_that_announces_itself_huge_is_refused(world: World, registry: Registry) -> None:
    made = images.image([])
    document = json.loads(made.manifest)
    document["config"]["size"] = 1 << 33
    registry.put("x", "1", MANIFEST_OCI, json.dumps(document).encode())
    with pytest.raises(ImageError, match="its config would have"):
        world.pull(f"{registry.address}/x:1")


def test_manifest_of_another_digest_is_refused(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    other = images.image([], labels={"evil": "yes"})
    registry.manifests["x", made.digest] = (MANIFEST_OCI, other.manifest)
    with pytest.raises(ImageError, match="sent a manifest with digest"):
        world.pull(f"{registry.address}/x@{made.digest}")


def test_manifest_of_an_index_with_another_size_is_refused(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    index = json.loads(images.index((images.AMD64, made)))
    index["manifests"][0]["size"] += 1
    registry.put("x", "i", INDEX_OCI, json.dumps(index).encode())
    with pytest.raises(ImageError, match="its index says"):
        world.pull(f"{registry.address}/x:i")


def test_layer_of_another_diff_id_leaves_nothing(world: World, registry: Registry) -> None:
    blob, other = images.layer([images.file("a")]), images.layer([images.file("b")])
    honest = images.image([other])
    manifest = images.encode_manifest(honest.config, [blob.layer])
    registry.put_blob(honest.config)
    registry.put_blob(blob.data)
    registry.put("x", "1", MANIFEST_OCI, manifest)
    with pytest.raises(ImageError, match="the image's config names"):
        world.pull(f"{registry.address}/x:1")
    assert world.store.get(f"{registry.address}/x:1") is None
    assert not list(Path(world.paths.snapshots).iterdir())


def test_bomb_leaves_nothing(world: World, registry: Registry) -> None:
    blob = images.layer([images.file("zeros", bytes(8 << 20))])
    images.publish(registry, "x", "1", images.image([blob]))
    limits = Limits(free_bytes=1 << 20, ratio=10)
    world.settings = RegistrySettings(limits=limits)
    with pytest.raises(ImageError, match="grows beyond"):
        world.pull(f"{registry.address}/x:1")
    assert not list(Path(world.paths.snapshots).iterdir())


# Redirects and credentials.


def test_redirect_to_another_host_carries_no_credentials(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    with serve_registry() as elsewhere:
        elsewhere.blobs |= registry.blobs
        secured(registry, tmp_path)
        world.settings = RegistrySettings(docker_config=tmp_path / "config.json")

        def away(handler: Handler) -> bool:
            if "authorization" not in {name.lower() for name in handler.headers}:
                return False
            handler.answer(307, Location=f"http://{elsewhere.address}{handler.path}")
            return True

        registry.faults = {"/blobs/": away, **registry.faults}
        image = world.pull(f"{registry.address}/x:1")
    assert contents(world, image)["big"] == BIG
    assert len(elsewhere.requests) == 3
    assert all("authorization" not in seen.headers for seen in elsewhere.requests)


def test_another_host_that_asks_for_a_login_gets_none(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    secured(registry, tmp_path)
    world.settings = RegistrySettings(docker_config=tmp_path / "config.json")
    with serve_registry() as elsewhere:
        realm = f'Bearer realm="http://{elsewhere.address}/token"'

        def ask(handler: Handler) -> bool:
            handler.answer(401, WWW_Authenticate=realm)
            return True

        def away(handler: Handler) -> bool:
            handler.answer(307, Location=f"http://{elsewhere.address}{handler.path}")
            return True

        elsewhere.faults = {"/": ask}
        registry.faults = {"/blobs/": away, **registry.faults}
        with pytest.raises(RegistryError, match="asks for a login"):
            world.pull(f"{registry.address}/x:1")
        assert elsewhere.requests
        assert elsewhere.paths("/token") == []
        assert all("authorization" not in seen.headers for seen in elsewhere.requests)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "javascript:x"]
)
def test_redirect_to_another_scheme_is_refused(
    world: World, registry: Registry, made: images.MadeImage, location: str
) -> None:
    registry.faults["/blobs/"] = lambda handler: handler.answer(302, Location=location) or True
    with pytest.raises(RegistryError, match="redirects to"):
        world.pull(f"{registry.address}/x:1")


@pytest.mark.parametrize("location", ["http://host/x", "http://other/x", "file:///x"])
def test_redirect_from_https_stays_with_https(location: str) -> None:
    start = httpx2.URL("https://host/v2/x/blobs/y")
    assert str(redirect_target(start, "//other/z")) == "https://other/z"
    assert str(redirect_target(start, "https://user:pw@other/z")) == "https://other/z"
    with pytest.raises(RegistryError, match="redirects"):
        redirect_target(start, location)


def test_redirects_in_circles_end(world: World, registry: Registry) -> None:
    registry.faults["/v2/"] = lambda handler: handler.answer(302, Location=handler.path) or True
    with pytest.raises(RegistryError, match="in circles"):
        world.pull(f"{registry.address}/x:1")
    assert len(registry.requests) == 6


PASSWORD = "hunter2-secret"


def secured(registry: Registry, directory: Path, realm: str | None = None) -> None:
    """Let a registry ask for tokens, and give them to user:PASSWORD alone; write the login."""
    login = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    (directory / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": login}}})
    )
    where = realm or f"http://{registry.address}/token"

    def ask(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == "Bearer abc":
            return False
        challenge = f'Bearer realm="{where}",service="here",scope="repository:x:pull"'
        handler.error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
        return True

    def token(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == f"Basic {login}":
            handler.answer(200, b'{"token":"abc"}')
        else:
            handler.error(401, "UNAUTHORIZED")
        return True

    registry.faults["/token"] = token
    registry.faults["/v2/"] = ask


def test_login_of_docker_is_exchanged_for_a_token(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    secured(registry, tmp_path)
    world.settings = RegistrySettings(docker_config=tmp_path / "config.json")
    world.pull(f"{registry.address}/x:1")
    (token,) = registry.paths("/token")
    assert "scope=repository" in token.path
    assert "service=here" in token.path
    assert len([seen for seen in registry.requests if "authorization" not in seen.headers]) == 1


def test_wrong_login_is_told_and_no_secret_with_it(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    secured(registry, tmp_path)
    wrong = base64.b64encode(f"other:{PASSWORD}".encode()).decode()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {registry.address: {"auth": wrong}}}))
    world.settings = RegistrySettings(docker_config=config)
    with pytest.raises(RegistryError, match="answers 401") as caught:
        world.pull(f"{registry.address}/x:1")
    assert f"orchestra login {registry.address}" in str(caught.value.hint)
    assert PASSWORD not in repr(caught.value) + str(caught.value.hint) + str(world.told)


def test_token_server_of_another_scheme_gets_no_login(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    secured(registry, tmp_path, realm="file:///etc/passwd")
    world.settings = RegistrySettings(docker_config=tmp_path / "config.json")
    with pytest.raises(RegistryError, match="token server that is refused"):
        world.pull(f"{registry.address}/x:1")


def test_login_goes_to_its_own_registry_only(
    world: World, registry: Registry, made: images.MadeImage, tmp_path: Path
) -> None:
    """A mirror must not get what was meant for the registry that it mirrors."""
    with serve_registry() as mirror:
        mirror.faults["/v2/"] = lambda handler: (
            handler.error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="x"') or True
        )
        secured(registry, tmp_path)
        world.settings = RegistrySettings(
            mirrors={registry.address: (f"http://{mirror.address}",)},
            docker_config=tmp_path / "config.json",
        )
        world.pull(f"{registry.address}/x:1")
        assert mirror.requests
        assert all("authorization" not in seen.headers for seen in mirror.requests)


# Trouble, and what is said about it.


def test_mirror_is_asked_first_and_alone(world: World, registry: Registry) -> None:
    made = images.image([])
    images.publish(registry, "library/x", "1", made)
    world.settings = RegistrySettings(mirrors={"docker.io": (f"http://{registry.address}",)})
    assert world.pull("x:1").manifest == made.digest
    assert world.store.get("docker.io/library/x:1") is not None


def test_registry_steps_in_for_its_mirror(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    with serve_registry() as mirror:
        world.settings = RegistrySettings(mirrors={registry.address: (f"http://{mirror.address}",)})
        world.pull(f"{registry.address}/x:1")
        assert mirror.paths("manifests/1")
        said = [event.action for event in world.told if "mirror" in event.action]
        where = f'http://{mirror.address} failed: registry "{mirror.address}"'
        assert said == [f'mirror {where} has no repository "x"']


def test_error_tells_of_registry_and_mirror(world: World, registry: Registry) -> None:
    with serve_registry() as mirror:
        world.settings = RegistrySettings(mirrors={registry.address: (f"http://{mirror.address}",)})
        with pytest.raises(RegistryError) as caught:
            world.pull(f"{registry.address}/x:1")
    assert caught.value.message.startswith(f'cannot pull "{registry.address}/x:1": registry')
    assert f"its mirror http://{mirror.address} was tried too" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (401, "asks for a login, or has no such image", "orchestra login"),
        (403, "denies access", "orchestra login"),
        (404, 'has no "1" of "x"', "spelling"),
        (429, "too many requests", "mirror"),
        (500, "is out of order (500)", "try again later"),
        (503, "is out of order (503)", "try again later"),
        (418, "answers 418", "its own log"),
    ],
)
def test_each_status_has_its_own_words(
    world: World, registry: Registry, status: int, message: str, hint: str
) -> None:
    registry.faults["/v2/"] = lambda handler: handler.error(status, "X") or True
    with pytest.raises(RegistryError) as caught:
        world.pull(f"{registry.address}/x:1")
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
    assert caught.value.message.startswith("cannot pull ")


def test_unreachable_registry_is_told_with_the_ways_out(world: World, registry: Registry) -> None:
    with serve_registry() as gone:
        address = gone.address
    with pytest.raises(RegistryError, match="does not answer: connection refused") as caught:
        world.pull(f"{address}/x:1")
    assert "ORCHESTRA_REGISTRY_MIRROR" in str(caught.value.hint)
    assert world.slept == []


@pytest.mark.parametrize(
    ("header", "slept"),
    [("3", 3.0), (None, 0.5), ("Fri, 01 Jan 1990 00:00:00 GMT", 0.0), ("nonsense", 0.5)],
)
def test_passing_trouble_is_waited_for_as_asked(
    world: World, registry: Registry, made: images.MadeImage, header: str | None, slept: float
) -> None:
    failed = []

    def once(handler: Handler) -> bool:
        if failed:
            return False
        failed.append(True)
        handler.error(429, "TOOMANYREQUESTS", **({"Retry-After": header} if header else {}))
        return True

    registry.faults["manifests/1"] = once
    world.pull(f"{registry.address}/x:1")
    assert world.slept == [slept]


def test_long_wait_is_told_and_not_waited(world: World, registry: Registry) -> None:
    registry.faults["/v2/"] = lambda h: h.error(429, "TOOMANYREQUESTS", Retry_After="3600") or True
    with pytest.raises(RegistryError) as caught:
        world.pull(f"{registry.address}/x:1")
    assert "wait 3600 s" in str(caught.value.hint)
    assert world.slept == []


def test_reset_connection_is_tried_again(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    failed = []

    def reset(handler: Handler) -> bool:
        if len(failed) == 2:
            return False
        failed.append(True)
        handler.connection.close()
        handler.hang_up()
        raise ConnectionResetError

    registry.faults["manifests/1"] = reset
    world.pull(f"{registry.address}/x:1")
    assert world.slept == [0.5, 1.0]


def test_damaged_blob_in_the_store_is_noticed_and_fetched_again(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    descriptor = made.layers[0].layer.descriptor
    image = world.pull(f"{registry.address}/x:1")
    blob = Path(world.paths.images) / "blobs/sha256" / descriptor.digest.removeprefix("sha256:")
    blob.write_bytes(bytes(descriptor.size))
    for layer in world.snapshotter.layers(image) or ():
        run(lambda layer=layer: world.snapshotter.remove(layer))
    with pytest.raises(ImageError):
        run(lambda: world.snapshotter.ensure_layers(image))
    assert contents(world, world.pull(f"{registry.address}/x:1"))["big"] == BIG


# Policy.


def policy(world: World, reference: str, pull_policy: PullPolicy) -> Image:
    return run(
        lambda: resolve(
            reference,
            pull_policy,
            store=world.store,
            snapshotter=world.snapshotter,
            settings=world.settings,
            platform=world.platform,
            progress=world.told.append,
        )
    )


def test_policy_missing_asks_only_when_there_is_none(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    reference = f"{registry.address}/x:1"
    policy(world, reference, PullPolicy.MISSING)
    registry.requests.clear()
    policy(world, reference, PullPolicy.MISSING)
    assert registry.requests == []


def test_policy_always_takes_the_new_image(
    world: World, registry: Registry, made: images.MadeImage
) -> None:
    reference = f"{registry.address}/x:1"
    policy(world, reference, PullPolicy.ALWAYS)
    newer = images.image([], labels={"new": "yes"})
    images.publish(registry, "x", "1", newer)
    assert policy(world, reference, PullPolicy.MISSING).manifest == made.digest
    assert policy(world, reference, PullPolicy.ALWAYS).manifest == newer.digest


def test_policy_never_asks_nobody(world: World, registry: Registry, made: images.MadeImage) -> None:
    with pytest.raises(ImageError, match="not in the store"):
        policy(world, f"{registry.address}/x:1", PullPolicy.NEVER)
    assert registry.requests == []


def test_image_of_another_platform_counts_as_missing(world: World, registry: Registry) -> None:
    arm = parse_platform("linux/arm64")
    pairs = [(p, images.image([], p)) for p in (images.AMD64, arm)]
    for _, made in pairs:
        images.publish(registry, "x", made.digest, made)
    registry.put("x", "1", INDEX_OCI, images.index(*pairs))
    policy(world, f"{registry.address}/x:1", PullPolicy.MISSING)
    world.platform = arm
    image = policy(world, f"{registry.address}/x:1", PullPolicy.MISSING)
    assert image.config.platform == arm


def test_digest_of_an_index_names_the_image(world: World, registry: Registry) -> None:
    made = images.image([])
    images.publish(registry, "x", made.digest, made)
    index = images.index((images.AMD64, made))
    digest = registry.put("x", "1", INDEX_OCI, index)
    assert digest == digest_of(index)
    image = world.pull(f"{registry.address}/x:1")
    registry.requests.clear()
    found = policy(world, f"{registry.address}/x@{digest}", PullPolicy.MISSING)
    assert found == image
    assert registry.requests == []
