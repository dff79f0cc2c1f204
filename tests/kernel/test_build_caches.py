"""Caches that machines share: written, read, foreign, damaged, and what they cannot do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from support import images
from support.builds import Builder, join_workers
from support.debian_registry import PASSWORD, USER, DebianRegistry, serve_debian_registry
from support.machine import Run
from support.registry import Handler, Registry

from orchestra.engine.build.cacheconfig import CACHE_CONFIG, INLINE
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.push import push
from orchestra.engine.image.settings import load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.errors import ImageError
from orchestra.oci.image import MANIFEST_OCI, Image
from orchestra.oci.platform import parse_platform
from orchestra.planner.exchange import CachePlace

pytestmark = pytest.mark.kernel

Json = dict[str, Any]
STAGES = """\
FROM test/box AS work
COPY f /f
RUN cp /f /made
RUN true
FROM test/box
COPY --from=work /made /copied
RUN echo last > /last
"""


class Machines:
    """Machines that have the same image of busybox and the same context, and nothing else."""

    def __init__(self, builder: Builder, root: Path) -> None:
        self.builder = builder
        self.root = root
        self.count = 0

    def new(self) -> Builder:
        self.count += 1
        root = self.root / f"machine{self.count}"
        root.mkdir(mode=0o755)
        other = Builder(root)
        other.write(f="content")
        box = self.builder.store.get("test/box")
        assert box is not None
        for digest in (*(layer.descriptor.digest for layer in box.layers), box.id):
            data = self.builder.store.blob_path(digest).read_bytes()
            other.store.put_blob(data)
        manifest = self.builder.store.read_blob(box.manifest)
        other.store.add_image(manifest, reference="test/box")
        return other


@pytest.fixture
def machines(builder: Builder, tmp_path: Path) -> Machines:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    return Machines(builder, tmp_path)


def at(directory: Path, **fields: object) -> CachePlace:
    return CachePlace(kind="local", directory=str(directory), **fields)  # type: ignore[arg-type]


def in_registry(registry: Registry, name: str = "team/cache:1", **fields: object) -> CachePlace:
    return CachePlace(kind="registry", reference=f"{registry.address}/{name}", **fields)  # type: ignore[arg-type]


def warnings(builder: Builder) -> list[str]:
    return [line for line in builder.lines if line.startswith("warning: build cache:")]


def files(builder: Builder, image: Image) -> dict[str, bytes]:
    """Return every file of an image, unpacked first where nothing was made of it yet."""
    snapshotter = open_snapshotter(builder.paths, builder.store)
    anyio.run(snapshotter.ensure_layers, image)
    join_workers()
    found: dict[str, bytes] = builder.layer_files(image)
    return found


def records(builder: Builder) -> list[str]:
    directory = Path(builder.paths.build_cache) / "records"
    return sorted(path.stem for path in directory.glob("*/*.json"))


@pytest.mark.parametrize("packing", ["", "zstd", "uncompressed"])
def test_what_is_in_a_directory_is_not_done_again(
    machines: Machines, tmp_path: Path, packing: str
) -> None:
    first, second = machines.new(), machines.new()
    place = at(tmp_path / "cache", every=True, compression=packing)
    image = first.build(STAGES, cache_to=(place,))
    assert len(first.done()) == 5
    again = second.build(STAGES, cache_from=(place,))
    assert second.done() == []
    assert warnings(second) == []
    assert again.config == image.config
    assert files(second, again) == files(first, image)
    assert again.id == image.id


def test_a_registry_keeps_a_cache_that_is_an_image_manifest(
    machines: Machines, registry: Registry
) -> None:
    first, second = machines.new(), machines.new()
    image = first.build(STAGES, cache_to=(in_registry(registry, every=True),))
    kind, data = registry.manifests["team/cache", "1"]
    manifest = json.loads(data)
    assert kind == MANIFEST_OCI
    assert manifest["config"]["mediaType"] == CACHE_CONFIG
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    assert second.build(STAGES, cache_from=(in_registry(registry),)).id == image.id
    assert second.done() == []


def test_layers_that_nothing_is_made_of_are_not_fetched(
    machines: Machines, registry: Registry
) -> None:
    first, second = machines.new(), machines.new()
    image = first.build(STAGES, cache_to=(in_registry(registry, every=True),))
    registry.requests.clear()
    second.build(STAGES, cache_from=(in_registry(registry),))
    fetched = {seen.path.rpartition("/")[2] for seen in registry.paths("/blobs/")}
    own = {layer.descriptor.digest for layer in image.layers[-2:]}
    config = json.loads(registry.manifests["team/cache", "1"][1])["config"]["digest"]
    assert fetched == own | {config}


def test_with_mode_min_there_is_what_the_result_is_made_of(
    machines: Machines, tmp_path: Path
) -> None:
    first, second = machines.new(), machines.new()
    image = first.build(STAGES, cache_to=(at(tmp_path / "min"),))
    first.build(STAGES, cache_to=(at(tmp_path / "max", every=True),))
    blobs = {
        name: {path.name for path in (tmp_path / name / "blobs/sha256").iterdir()}
        for name in ("min", "max")
    }
    own = {layer.descriptor.digest.removeprefix("sha256:") for layer in image.layers[-2:]}
    assert own < blobs["min"]
    assert len(blobs["min"]) == len(own) + 2, "and its two documents"
    assert len(blobs["max"]) == len(blobs["min"]) + 2
    assert second.build(STAGES, cache_from=(at(tmp_path / "min"),)).id == image.id
    assert second.done() == [], "what the other stage gave is known, though nobody has it"
    changed = STAGES.replace("RUN true", "RUN cp /f /copy")
    third = machines.new()
    again = third.build(changed, cache_from=(at(tmp_path / "min"),))
    assert warnings(third) == []
    assert "RUN cp /f /made" in third.done(), "and done again where it is needed"
    assert files(third, again) == files(first, image)
    fourth = machines.new()
    fourth.build(STAGES, cache_from=(at(tmp_path / "min"),), cache_to=(at(tmp_path / "re"),))
    fourth.build(
        STAGES,
        cache_from=(at(tmp_path / "min"),),
        cache_to=(at(tmp_path / "more", every=True),),
    )
    for name in ("re", "more"):
        fifth = machines.new()
        assert fifth.build(STAGES, cache_from=(at(tmp_path / name),)).id == image.id
        assert fifth.done() == []


def test_an_image_holds_its_own_cache(machines: Machines, registry: Registry) -> None:
    text = "FROM test/box\nCOPY f /f\nRUN cp /f /made\n"
    name = f"{registry.address}/team/app:1"
    first, second = machines.new(), machines.new()
    image = first.build(text, reference=name, cache_to=(CachePlace(kind="inline"),))
    config = json.loads(first.store.read_blob(image.id))
    assert json.loads(base64.b64decode(config[INLINE]))["orchestra"] == 1
    for layer in image.layers:
        registry.put_blob(first.store.blob_path(layer.descriptor.digest).read_bytes())
    registry.put_blob(first.store.read_blob(image.id))
    registry.put("team/app", "1", MANIFEST_OCI, first.store.read_blob(image.manifest))
    again = second.build(text, cache_from=(in_registry(registry, "team/app:1"),))
    assert second.done() == []
    assert again.layers == image.layers
    assert INLINE not in json.loads(second.store.read_blob(again.id))


def test_what_changed_is_done_and_the_rest_is_not(machines: Machines, tmp_path: Path) -> None:
    first, second = machines.new(), machines.new()
    place = at(tmp_path / "cache", every=True)
    first.build(STAGES, cache_to=(place,))
    changed = STAGES.replace("echo last", "echo other")
    image = second.build(changed, cache_from=(place,), cache_to=(place,))
    assert second.done() == ["RUN echo other > /last"]
    assert files(second, image)["copied"] == b"content"
    third = machines.new()
    third.build(changed, cache_from=(place,))
    assert third.done() == []
    third.build(STAGES, cache_from=(place,), no_cache=True)
    assert len(third.done()) == 5


def test_tags_of_a_directory_are_caches_of_their_own(machines: Machines, tmp_path: Path) -> None:
    first, second = machines.new(), machines.new()
    for tag in ("one", "two"):
        text = f"FROM test/box\nRUN echo {tag} > /f\n"
        first.build(text, cache_to=(at(tmp_path / "cache", tag=tag),))
    second.build(text, cache_from=(at(tmp_path / "cache", tag="one"),))
    assert second.done() == ["RUN echo two > /f"]
    third = machines.new()
    third.build(text, cache_from=(at(tmp_path / "cache", tag="two"),))
    assert third.done() == []


def test_a_borrowed_record_never_becomes_one_of_this_machine(
    machines: Machines, tmp_path: Path
) -> None:
    """Who writes to a cache decides what its readers build, and nobody else."""
    first, second = machines.new(), machines.new()
    place = at(tmp_path / "cache", every=True)
    first.build(STAGES, cache_to=(place,))
    poisoned = poison(tmp_path / "cache", b"evil")
    again = second.build(STAGES, cache_from=(place,))
    assert files(second, again)["copied"] == b"evil", "the build that named it believes it"
    assert second.done() == ["RUN true", "COPY --from=work /made /copied", "RUN echo last > /last"]
    kept = set(records(second))
    assert not kept & poisoned
    clean = Builder(second.root, scope="other")
    result = clean.build(STAGES)
    assert files(clean, result)["copied"] == b"content"


def poison(directory: Path, content: bytes) -> set[str]:
    """Let every record of the file "made" lead to a layer of another content."""
    layer = images.layer([images.file("made", content, mtime_ns=0)])
    index = json.loads((directory / "index.json").read_bytes())
    manifest = json.loads(blob(directory, index["manifests"][0]["digest"]))
    config = json.loads(blob(directory, manifest["config"]["digest"]))
    chosen = []
    for number, entry in enumerate(config["layers"]):
        if b"made" in gzip.decompress(blob(directory, entry["blob"])):
            digest, size = put(directory, layer.data)
            manifest["layers"][number] |= {"digest": digest, "size": size}
            entry["blob"], entry["annotations"]["diffID"] = digest, layer.layer.diff_id
            chosen.append(number)
    write(directory, index, manifest, config)
    return {
        record["digest"].removeprefix("sha256:")
        for record in config["records"]
        if any(result["layer"] in chosen for result in record["results"])
    }


def blob(directory: Path, digest: str) -> bytes:
    return (directory / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def put(directory: Path, data: bytes) -> tuple[str, int]:
    name = hashlib.sha256(data).hexdigest()
    (directory / "blobs/sha256" / name).write_bytes(data)
    return f"sha256:{name}", len(data)


def write(directory: Path, index: Json, manifest: Json, config: Json | bytes) -> None:
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    digest, size = put(directory, data)
    manifest["config"] |= {"digest": digest, "size": size}
    digest, size = put(directory, json.dumps(manifest).encode())
    index["manifests"][0] |= {"digest": digest, "size": size}
    (directory / "index.json").write_text(json.dumps(index))


def lie(config: Json) -> None:
    diffs = [layer["annotations"]["diffID"] for layer in config["layers"]]
    for layer, diff in zip(config["layers"], [*diffs[1:], diffs[0]], strict=True):
        layer["annotations"]["diffID"] = diff


WRONG: dict[str, Callable[[Json], object]] = {
    "foreign": lambda config: config.pop("orchestra"),
    "another version": lambda config: config.update(orchestra=2),
    "no layers": lambda config: config.update(layers={}),
    "no path": lambda config: config["layers"][0].update(blob="sha256:../../etc/passwd"),
    "no layer": lambda config: config["records"][0].update(results=[{"layer": 99}]),
    "no key": lambda config: config["records"][0].update(digest="sha256:../x"),
    "no time": lambda config: config["records"][0].update(created="\x1b[31mnow"),
    "no type": lambda config: config["layers"][0]["annotations"].pop("mediaType"),
    "no size": lambda config: config["layers"][0]["annotations"].update(size=-1),
    "a lie": lie,
}


def damaged(directory: Path, how: str) -> None:
    """Damage a cache in one of many ways; documents have their right digests again."""
    index = json.loads((directory / "index.json").read_bytes())
    manifest = json.loads(blob(directory, index["manifests"][0]["digest"]))
    config = json.loads(blob(directory, manifest["config"]["digest"]))
    layers = [directory / "blobs/sha256" / each["digest"][7:] for each in manifest["layers"]]
    if how in WRONG:
        WRONG[how](config)
        write(directory, index, manifest, config)
    elif how == "no json":
        write(directory, index, manifest, b"{" * 1000)
    elif how == "no index":
        (directory / "index.json").write_text("{")
    elif how == "gone":
        shutil.rmtree(directory)
    for layer in layers if how == "lost layers" else ():
        layer.unlink()
    for layer in layers if how == "damaged layers" else ():
        layer.write_bytes(bytes(layer.stat().st_size))


@pytest.mark.parametrize(
    "how", [*WRONG, "no json", "no index", "gone", "lost layers", "damaged layers"]
)
def test_a_cache_that_is_not_as_it_should_be_fails_no_build(
    machines: Machines, tmp_path: Path, how: str
) -> None:
    first, second = machines.new(), machines.new()
    place = at(tmp_path / "cache", every=True)
    image = first.build(STAGES, cache_to=(place,))
    damaged(tmp_path / "cache", how)
    again = second.build(STAGES, cache_from=(place,))
    assert warnings(second) != []
    assert files(second, again) == files(first, image)
    second.build(STAGES)
    assert second.done() == []


def test_a_layer_that_is_said_to_be_another_harms_no_other_image(
    machines: Machines, tmp_path: Path
) -> None:
    first, second = machines.new(), machines.new()
    place = at(tmp_path / "cache", every=True)
    image = first.build(STAGES, cache_to=(place,))
    box = second.store.get("test/box")
    assert box is not None
    index = json.loads((tmp_path / "cache/index.json").read_bytes())
    manifest = json.loads(blob(tmp_path / "cache", index["manifests"][0]["digest"]))
    config = json.loads(blob(tmp_path / "cache", manifest["config"]["digest"]))
    for entry in config["layers"]:
        entry["blob"] = box.layers[0].descriptor.digest
        entry["annotations"]["size"] = box.layers[0].descriptor.size
    write(tmp_path / "cache", index, manifest, config)
    again = second.build(STAGES, cache_from=(place,))
    assert files(second, again) == files(first, image)
    for layer in box.layers:
        assert second.store.has_blob(layer.descriptor.digest, layer.descriptor.size)


def test_a_registry_that_fails_later_fails_no_build(machines: Machines, registry: Registry) -> None:
    first, second = machines.new(), machines.new()
    image = first.build(STAGES, cache_to=(in_registry(registry, every=True),))
    config = json.loads(registry.manifests["team/cache", "1"][1])["config"]["digest"]

    def gone(handler: Handler) -> bool:
        if config in handler.path:
            return False
        handler.error(404, "BLOB_UNKNOWN")
        return True

    registry.faults["/blobs/"] = gone
    again = second.build(STAGES, cache_from=(in_registry(registry),))
    assert files(second, again) == files(first, image)
    assert "begins again without it" in "".join(warnings(second))
    third = machines.new()
    third.build(STAGES, cache_from=(in_registry(registry, "no/such:1"),))
    assert "is not used" in "".join(warnings(third))


def test_an_ordinary_image_gives_no_hits(machines: Machines, registry: Registry) -> None:
    images.publish(registry, "some/image", "1", images.image([images.layer([])]))
    first = machines.new()
    first.build(STAGES, cache_from=(in_registry(registry, "some/image:1"),))
    assert "it is an image, and holds no cache" in "".join(warnings(first))


def test_a_cache_that_cannot_be_written_is_told(machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    first = machines.new()
    with pytest.raises(ImageError, match="cannot write the build cache"):
        first.build(STAGES, cache_to=(at(tmp_path / "file"),))
    first.build(STAGES, cache_to=(at(tmp_path / "file", optional=True),))
    assert "cannot write the build cache" in "".join(warnings(first))


def test_layers_of_a_build_that_used_a_cache_are_swept_like_others(
    machines: Machines, tmp_path: Path
) -> None:
    first, second = machines.new(), machines.new()
    place = at(tmp_path / "cache", every=True)
    first.build(STAGES, cache_to=(place,))
    image = second.build(STAGES, cache_from=(place,))
    second.build(STAGES, reference="test/again")
    for layer in image.layers:
        assert second.store.has_blob(layer.descriptor.digest, layer.descriptor.size)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with serve_debian_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.mark.registry
def test_debians_registry_takes_a_cache_and_skopeo_reads_it(
    run: Run, store: ImageStore, debian: DebianRegistry, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(
        f'[registry."{debian.address}"]\nca = "{debian.certificate}"\n'
    )
    assert run("login", "-u", USER, "-p", PASSWORD, debian.address)[0] == 0
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /d\n")
    name = f"{debian.address}/team/cache:1"
    words = ("--cache-to", f"type=registry,ref={name},mode=max,compression=zstd")
    code, _, err = run("image", "build", "-t", "x:1", *words, ".")
    assert code == 0, err
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"--creds={USER}:{PASSWORD}",
         f"docker://{name}"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    manifest = json.loads(done.stdout)
    assert manifest["config"]["mediaType"] == CACHE_CONFIG
    assert [layer["mediaType"][-5:] for layer in manifest["layers"]] == ["+zstd"]
    image = store.get("x:1")
    assert run("rmi", "x:1")[0] == 0
    assert run("system", "prune", "-af")[0] == 0
    assert store.blobs() == ()
    code, _, err = run("image", "build", "-t", "x:1", "--cache-from", name, ".")
    assert code == 0
    assert "COPY Dockerfile /d CACHED" in err
    again = store.get("x:1")
    assert image is not None
    assert again is not None
    assert again.id == image.id


def test_a_cache_is_read_and_written_at_one_place(machines: Machines, tmp_path: Path) -> None:
    """BuildKit's testExportCacheLoop: stages that copy from one another, with one ground."""
    text = (
        "FROM test/box AS base\nRUN echo aa > /foo\nWORKDIR /bar\n"
        "FROM base AS base1\nCOPY f .\n"
        "FROM base AS base2\nCOPY --from=base1 /bar/f .\nRUN true\n"
        "FROM scratch\nCOPY --from=base2 /foo /f\n"
    )
    place = at(tmp_path / "cache")
    made = []
    for _ in range(3):
        machine = machines.new()
        made.append(machine.build(text, cache_from=(place,), cache_to=(place,)).id)
    assert len(set(made)) == 1
    assert machine.done() == []


@pytest.mark.parametrize("inline", [False, True])
def test_caches_of_several_platforms(machines: Machines, registry: Registry, inline: bool) -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM test/box AS base\nARG TARGETARCH\n"
        "RUN echo -n $TARGETARCH > /arch; cat /proc/sys/kernel/random/uuid > /unique\n"
        "FROM scratch\nCOPY --from=base /unique /\nCOPY --from=base /arch /\n"
    )
    platforms = ("linux/amd64", "linux/arm/v7")
    name = f"{registry.address}/team/app:1"
    place = in_registry(registry, "team/app:1") if inline else in_registry(registry)
    first, second = machines.new(), machines.new()
    target = CachePlace(kind="inline") if inline else place
    first.build(text, reference=name, platforms=platforms, cache_to=(target,))
    if inline:
        settings = load_settings(first.paths, {})

        async def pushed() -> None:
            await push(name, store=first.store, settings=settings, progress=lambda _: None)

        anyio.run(pushed)
        join_workers()
    second.build(text, reference=name, platforms=platforms, cache_from=(place,))
    assert second.done() == []
    for platform in platforms:
        mine, theirs = (each.store.get(name, parse_platform(platform)) for each in (first, second))
        assert mine is not None
        assert theirs is not None
        assert files(second, theirs) == files(first, mine)
