"""Images of several platforms: an index stays what it is, from registry and archive to both."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from support import images
from support.debian_registry import PASSWORD, USER, serve_debian_registry
from support.machine import Run
from support.registry import Registry
from support.storecheck import check_store, leftovers

from orchestra.cli.render.tables import size_text
from orchestra.engine.image.document import encode_json
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.wire import Manifest
from orchestra.engine.local.library import ImageLibrary
from orchestra.engine.paths import Paths
from orchestra.engine.state.store import Store
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, digest_of
from orchestra.oci.image import INDEX_OCI, MANIFEST_OCI
from orchestra.oci.platform import Platform
from orchestra.planner.observed import ObservedContainer, Phase

pytestmark = pytest.mark.kernel
ARM64 = Platform("linux", "arm64")
S390X = Platform("linux", "s390x")


def made(text: str, platform: Platform) -> images.MadeImage:
    return images.image([images.layer([images.file("f", text.encode())])], platform)


AMD = made("amd64", images.AMD64)
ARM = made("arm64", ARM64)
BIG_IRON = made("s390x", S390X)
INDEX = images.index((ARM64, ARM), (images.AMD64, AMD), (S390X, BIG_IRON))


def publish(registry: Registry, repository: str, tag: str, index: bytes) -> Digest:
    for one in (AMD, ARM, BIG_IRON):
        images.publish(registry, repository, one.digest, one)
    registry.put(repository, tag, INDEX_OCI, index)
    return digest_of(index)


def inspected(run: Run, *words: str) -> dict[str, object]:
    code, out, err = run("image", "inspect", *words)
    assert code == 0, err
    [document] = json.loads(out)
    assert isinstance(document, dict)
    return document


def test_an_index_stays_what_it_is(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    digest = publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    assert run("image", "pull", "-q", name)[0] == 0
    target = store.target(name)
    assert target is not None
    assert (target.digest, target.media_type) == (digest, INDEX_OCI)
    assert not store.has_blob(ARM.digest), "what nobody asked for is not fetched"
    document = inspected(run, name)
    assert document["Architecture"] == "amd64"
    assert document["RepoDigests"] == [f"{registry.address}/x@{digest}"]
    assert digest in run("image", "ls", "--digests")[1]
    for reference in (f"{registry.address}/x@{digest}", f"{registry.address}/x@{AMD.digest}"):
        found = store.get(reference)
        assert found is not None
        assert found.manifest == AMD.digest
    assert check_store(paths) == []


def test_another_platform_comes_beside_the_first(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    code, _, err = run("image", "pull", "-q", "--platform", "linux/arm64", name)
    assert code == 0, err
    assert inspected(run, name)["Architecture"] == "arm64", "the only one that is here"
    assert run("image", "pull", "-q", name)[0] == 0
    assert inspected(run, name)["Architecture"] == "amd64", "this machine's"
    assert inspected(run, "--platform", "linux/arm64", name)["Id"] == digest_of(ARM.config)
    code, _, err = run("image", "inspect", "--platform", "linux/s390x", name)
    assert code == 5
    assert "linux/s390x" in err
    assert run("image", "ls", "-q")[1].split() == [digest_of(AMD.config)[7:19]]
    found = store.by_id(digest_of(ARM.config))
    assert found is not None, "a container made of it knows it by its id"
    # A sweep keeps what is here, and misses nothing that is not.
    assert run("image", "prune", "-f")[0] == 0
    assert store.has_blob(ARM.digest)
    assert store.has_blob(ARM.layers[0].layer.descriptor.digest)
    assert run("rmi", name)[0] == 0
    assert store.blobs() == ()
    assert check_store(paths) == []


def test_the_platform_comes_from_the_environment_too(
    run: Run, store: ImageStore, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    assert run("image", "pull", "-q", name)[0] == 0
    assert inspected(run, name)["Architecture"] == "arm64"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert run("image", "build", "-q", "-t", "y", ".")[0] == 0
    assert inspected(run, "y")["Architecture"] == "arm64"
    assert run("image", "build", "-q", "--platform", "linux/s390x", "-t", "y", ".")[0] == 0
    assert inspected(run, "y")["Architecture"] == "s390x"


def test_a_projects_images_are_of_the_environments_platform(
    run: Run, store: ImageStore, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    (tmp_path / "Dockerfile").write_text(f"FROM {name}\nCOPY Dockerfile /\n")
    (tmp_path / "compose.yaml").write_text(
        f"name: p\nservices:\n  a: {{image: '{name}'}}\n  b: {{build: .}}\n"
    )
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    code, _, err = run("pull", "a")
    assert code == 0, err
    assert store.get(name, ARM64) is not None
    assert store.get(name, images.AMD64) is None
    code, _, err = run("build", "b")
    assert code == 0, err
    assert inspected(run, "p-b")["Architecture"] == "arm64"


def test_a_pull_that_breaks_off_leaves_no_platform_behind(
    run: Run, store: ImageStore, registry: Registry
) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    assert run("image", "pull", "-q", name)[0] == 0
    del registry.blobs[ARM.layers[0].layer.descriptor.digest]
    assert run("image", "pull", "-q", "--platform", "linux/arm64", name)[0] == 5
    assert store.get(name, ARM64) is None
    assert inspected(run, name)["Architecture"] == "amd64"


def test_an_index_is_pushed_whole_where_the_rest_is_known(
    run: Run, store: ImageStore, registry: Registry
) -> None:
    digest = publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x"
    assert run("image", "pull", "-q", f"{name}:1")[0] == 0
    run("tag", f"{name}:1", f"{name}:2")
    code, out, err = run("image", "push", f"{name}:2")
    assert code == 0, err
    assert out == f"2: digest: {digest} size: {len(INDEX)}\n"
    assert registry.manifests["x", "2"] == (INDEX_OCI, INDEX)
    # Another repository knows the others not: the one image that is here goes.
    run("tag", f"{name}:1", f"{registry.address}/y:1")
    code, out, err = run("image", "push", f"{registry.address}/y:1")
    assert code == 0, err
    assert f"digest: {AMD.digest} " in out
    assert f"{digest} -> {AMD.digest}" in err
    # With every platform it is the very index again.
    for platform in ("linux/arm64", "linux/s390x"):
        assert run("image", "pull", "-q", "--platform", platform, f"{name}:1")[0] == 0
    run("tag", f"{name}:1", f"{registry.address}/z:1")
    assert f"digest: {digest} " in run("image", "push", f"{registry.address}/z:1")[1]
    assert {key for key in registry.manifests if key[0] == "z"} >= {("z", ARM.digest)}
    code, out, err = run("image", "push", "--platform", "linux/arm64", f"{registry.address}/z:1")
    assert f"digest: {ARM.digest} " in out, err
    assert registry.manifests["z", "1"][1] == ARM.manifest
    code, _, err = run("image", "push", "--platform", "linux/386", f"{registry.address}/z:1")
    assert code == 5
    assert "linux/386" in err
    assert store.get(f"{registry.address}/z:1") is not None


def test_which_of_several_is_meant_has_to_be_said(run: Run, registry: Registry) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    for platform in ("linux/arm64", "linux/s390x"):
        assert run("image", "pull", "-q", "--platform", platform, name)[0] == 0
    run("tag", name, f"{registry.address}/y:1")
    code, _, err = run("image", "push", f"{registry.address}/y:1")
    assert code == 5
    assert "only linux/arm64, linux/s390x of its platforms" in err
    assert "--platform" in err


def nested() -> bytes:
    """An index within an index, and something that tells of an image."""
    told = images.image([images.layer([images.file("sbom")])], Platform("unknown", "unknown"))
    inner = json.loads(images.index((ARM64, ARM), (images.AMD64, AMD)))
    inner["manifests"].append(
        {
            "mediaType": MANIFEST_OCI,
            "digest": told.digest,
            "size": len(told.manifest),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": AMD.digest,
            },
        }
    )
    return encode_json(inner)


def test_indexes_in_indexes_are_followed(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    inner = nested()
    entry = {"mediaType": INDEX_OCI, "digest": digest_of(inner), "size": len(inner)}
    outer = encode_json({"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": [entry]})
    publish(registry, "x", "inner", inner)
    digest = publish(registry, "x", "1", outer)
    name = f"{registry.address}/x:1"
    assert run("image", "pull", "-q", name)[0] == 0
    assert inspected(run, name)["RepoDigests"] == [f"{registry.address}/x@{digest}"]
    assert run("image", "save", "-o", "x.tar", name)[0] == 0
    assert run("rmi", name)[0] == 0
    assert store.blobs() == ()
    code, out, err = run("image", "load", "-i", "x.tar")
    assert code == 0, err
    assert out == f"Loaded image: {name}\n"
    target = store.target(name)
    assert target is not None
    assert target.digest == digest
    assert check_store(paths) == []


def test_a_tree_shows_the_platforms_of_an_index(
    run: Run, store: ImageStore, registry: Registry
) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    assert run("image", "pull", "-q", name)[0] == 0
    images.store_image(store, "plain:1", AMD)
    code, out, err = run("image", "ls", "--tree")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines() if line]
    assert rows[0] == ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"]
    assert [row[:2] if row[0] in "├─└─" else row[:1] for row in rows[1:]] == [
        [name],
        ["├─", "linux/arm64"],
        ["├─", "linux/amd64"],
        ["└─", "linux/s390x"],
        ["plain:1"],
        ["└─", "linux/amd64"],
    ]
    arm, amd = rows[2], rows[3]
    assert arm[2:] == [ARM.digest[7:19], "0B", "0B"], "known by its manifest, and not here"
    content = sum(map(len, (AMD.config, AMD.manifest, AMD.layers[0].data)))
    assert amd[2:] == [digest_of(AMD.config)[7:19], size_text(content + 5), size_text(content)]
    assert rows[1][2:] == [size_text(content + len(INDEX) + 5), size_text(content + len(INDEX))]
    code, _, err = run("image", "ls", "--tree", "-q")
    assert (code, "--tree goes with none" in err) == (2, True)


def test_one_platform_of_an_index_is_removed(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    digest, of_arm = attested(registry, "x", "1")
    name = f"{registry.address}/x:1"
    for platform in ("linux/amd64", "linux/arm64"):
        assert run("image", "pull", "-q", "--platform", platform, name)[0] == 0
    code, out, err = run("image", "rm", "--platform", "linux/arm64", name)
    assert (code, out) == (0, f"Deleted: {digest_of(ARM.config)}\n"), err
    left = store.blobs()
    assert not {ARM.digest, ARM.layers[0].layer.descriptor.digest, of_arm.digest} & set(left)
    assert AMD.digest in left
    target = store.target(name)
    assert target is not None
    assert target.digest == digest, "the index is what it was"
    assert check_store(paths) == []
    code, _, err = run("image", "rm", "--platform", "linux/arm64", name)
    assert (code, "for linux/arm64 here" in err) == (5, True)
    code, _, err = run("image", "rm", "--platform", "linux/amd64", name)
    assert (code, "cannot remove all platforms" in err) == (5, True)
    assert run("image", "pull", "-q", "--platform", "linux/arm64", name)[0] == 0
    store.tag(ARM.digest, "own:1")
    code, _, err = run("image", "rm", "--platform", "linux/arm64", name)
    assert (code, "it has a name of its own" in err) == (5, True)


def test_a_platform_that_a_container_has_stays(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    for platform in ("linux/amd64", "linux/arm64"):
        assert run("image", "pull", "-q", "--platform", platform, name)[0] == 0
    user = ObservedContainer(
        id="ab" * 32,
        name="shop-web-1",
        service="web",
        number=1,
        config_hash="v1:",
        phase=Phase.EXITED,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        image=name,
        image_id=digest_of(ARM.config),
    )
    snapshotter = open_snapshotter(paths, store)
    library = ImageLibrary(paths, Store(paths), store, lambda: snapshotter, lambda: (user,))
    with pytest.raises(ImageError, match='the container "shop-web-1" uses it'):
        anyio.run(library.remove_platforms, name, [ARM64])
    assert store.has_blob(ARM.digest)


def attested(registry: Registry, repository: str, tag: str) -> tuple[Digest, images.MadeImage]:
    """Publish AMD and ARM with an attestation each, as BuildKit does; return ARM's."""
    index = json.loads(images.index((images.AMD64, AMD), (ARM64, ARM)))
    told = {}
    for one in (AMD, ARM):
        text = json.dumps({"predicateType": "https://slsa.dev/provenance/v1", "of": one.digest})
        layer = images.layer([images.file("statement", text.encode())])
        told[one.digest] = images.image([layer], Platform("unknown", "unknown"))
        images.publish(registry, repository, one.digest, one)
        images.publish(registry, repository, told[one.digest].digest, told[one.digest])
        index["manifests"].append(
            {
                "mediaType": MANIFEST_OCI,
                "digest": told[one.digest].digest,
                "size": len(told[one.digest].manifest),
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {
                    "vnd.docker.reference.type": "attestation-manifest",
                    "vnd.docker.reference.digest": one.digest,
                },
            }
        )
    data = encode_json(index)
    registry.put(repository, tag, INDEX_OCI, data)
    return digest_of(data), told[ARM.digest]


def test_what_others_say_of_an_image_comes_with_it_and_goes_on(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    digest, of_arm = attested(registry, "x", "1")
    name = f"{registry.address}/x:1"
    assert run("image", "pull", "-q", name)[0] == 0
    blobs = set(store.blobs())
    assert not blobs & {of_arm.digest, of_arm.layers[0].layer.descriptor.digest}
    assert len(blobs) == 1 + 3 + 3, "the index, the image, and what is said of it"
    assert run("image", "prune", "-f")[0] == 0
    assert set(store.blobs()) == blobs, "a sweep keeps it"
    asked = len(registry.requests)
    assert run("image", "pull", "-q", name)[0] == 0
    assert len(registry.requests) <= asked + 3, "what is here is not asked for again"
    assert run("image", "pull", "-q", "--platform", "linux/arm64", name)[0] == 0
    assert of_arm.digest in store.blobs()
    # All of it is here now, so another repository gets the index as it is.
    run("tag", name, f"{registry.address}/other:1")
    code, out, err = run("image", "push", f"{registry.address}/other:1")
    assert (code, f"digest: {digest} " in out) == (0, True), err
    assert ("other", of_arm.digest) in registry.manifests
    assert run("image", "save", "-o", "x.tar", name)[0] == 0
    assert run("rmi", name, f"{registry.address}/other:1")[0] == 0
    assert store.blobs() == ()
    assert run("image", "load", "-q", "-i", "x.tar")[0] == 0
    assert of_arm.layers[0].layer.descriptor.digest in store.blobs()
    assert check_store(paths) == []


def test_what_is_said_and_not_to_be_had_or_large_is_left(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    _, of_arm = attested(registry, "x", "1")
    name = f"{registry.address}/x:1"
    del registry.blobs[of_arm.layers[0].layer.descriptor.digest]
    code, _, err = run("image", "pull", "-q", "--platform", "linux/arm64", name)
    assert code == 0, err
    assert of_arm.digest not in store.blobs()
    large = json.loads(of_arm.manifest)
    large["layers"][0]["size"] = 40 << 20
    document = encode_json(large)
    registry.put("x", digest_of(document), MANIFEST_OCI, document)
    text = registry.manifests["x", "1"][1].decode()
    text = text.replace(of_arm.digest, digest_of(document))
    text = text.replace(f'"size":{len(of_arm.manifest)}', f'"size":{len(document)}')
    registry.put("x", "2", INDEX_OCI, text.encode())
    code, _, err = run("image", "pull", "-q", "--platform", "linux/arm64", f"{name[:-1]}2")
    assert code == 0, err
    assert digest_of(document) not in store.blobs()
    assert run("image", "prune", "-f")[0] == 0
    assert check_store(paths) == []


def test_archive_of_an_index_holds_what_is_here(
    run: Run, store: ImageStore, paths: Paths, registry: Registry
) -> None:
    digest = publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    for platform in ("linux/amd64", "linux/arm64"):
        assert run("image", "pull", "-q", "--platform", platform, name)[0] == 0
    assert run("image", "save", "-o", "all.tar", name)[0] == 0
    assert run("image", "save", "--platform", "linux/arm64", "-o", "arm.tar", name)[0] == 0
    run("rmi", name)
    assert run("image", "load", "-i", "all.tar", "--platform", "linux/arm64")[0] == 0
    assert store.get(name, ARM64) is not None
    assert store.get(name, images.AMD64) is None
    assert run("image", "load", "-i", "all.tar")[0] == 0
    assert store.get(name, images.AMD64) is not None
    target = store.target(name)
    assert target is not None
    assert target.digest == digest
    code, _, err = run("image", "load", "-i", "all.tar", "--platform", "linux/s390x")
    assert code == 5
    assert "it is not made for linux/s390x" in err
    run("rmi", name)
    assert run("image", "load", "-i", "arm.tar")[0] == 0
    target = store.target(name)
    assert target is not None
    assert target.digest == ARM.digest
    assert check_store(paths) == []


def test_a_store_of_lone_images_goes_on(run: Run, store: ImageStore, registry: Registry) -> None:
    """A record of before: the manifest of this machine's platform, and the index's digest."""
    digest = publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    image = images.store_image(store, name, AMD)
    store.note(name, {"org.orchestra.source.digest": digest})
    assert inspected(run, name)["RepoDigests"] == [f"{registry.address}/x@{digest}"]
    assert store.get(f"{registry.address}/x@{digest}") == image
    # The next pull makes an index of it, and leaves no nameless twin.
    assert run("image", "pull", "-q", name)[0] == 0
    assert [line.reference for line in store.list()] == [name]
    target = store.target(name)
    assert target is not None
    assert target.digest == digest


def skopeo(*words: str) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(["skopeo", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_skopeo_reads_what_is_saved_and_its_archives_are_loaded(
    run: Run, store: ImageStore, registry: Registry, tmp_path: Path
) -> None:
    digest = publish(registry, "x", "1", INDEX)
    source = f"docker://{registry.address}/x:1"
    skopeo("copy", "--src-tls-verify=false", "--all", source, f"oci-archive:{tmp_path}/s.tar:x:1")
    code, out, err = run("image", "load", "-i", "s.tar")
    assert code == 0, err
    assert out == "Loaded image: x:1\n"
    target = store.target("x:1")
    assert target is not None
    assert target.digest == digest
    assert store.get("x:1", S390X) is not None
    assert run("image", "save", "-o", "ours.tar", "x:1")[0] == 0
    skopeo("copy", "--all", f"oci-archive:{tmp_path}/ours.tar", f"dir:{tmp_path}/out")
    assert (tmp_path / "out/manifest.json").read_bytes() == INDEX


@pytest.mark.registry
def test_a_real_registry_keeps_the_index(
    run: Run, store: ImageStore, registry: Registry, tmp_path: Path
) -> None:
    digest = publish(registry, "x", "1", INDEX)
    name = f"{registry.address}/x:1"
    for platform in ("linux/amd64", "linux/arm64", "linux/s390x"):
        assert run("image", "pull", "-q", "--platform", platform, name)[0] == 0
    directory = tmp_path / "registry"
    directory.mkdir()
    with serve_debian_registry(directory) as real:
        (tmp_path / "config.toml").write_text(
            f'[registry."{real.address}"]\nca = "{real.certificate}"\n'
        )
        assert run("login", "-u", USER, "-p", PASSWORD, real.address)[0] == 0
        there = f"{real.address}/team/x:1"
        run("tag", name, there)
        code, out, err = run("image", "push", there)
        assert code == 0, err
        assert f"digest: {digest} " in out
        run("image", "prune", "-af")
        assert run("image", "pull", "-q", "--platform", "linux/s390x", there)[0] == 0
        target = store.target(there)
        assert target is not None
        assert target.digest == digest


@pytest.mark.registry
def test_what_a_build_says_of_itself_goes_where_it_goes(
    run: Run, store: ImageStore, paths: Paths, tmp_path: Path
) -> None:
    """To a registry, into an archive, through skopeo, and back: provenance, bill and digest."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    directory = tmp_path / "registry"
    directory.mkdir()
    with serve_debian_registry(directory) as real:
        (tmp_path / "config.toml").write_text(
            f'[registry."{real.address}"]\nca = "{real.certificate}"\n'
        )
        assert run("login", "-u", USER, "-p", PASSWORD, real.address)[0] == 0
        name = f"{real.address}/told:1"
        words = ("--platform", "linux/amd64,linux/arm64", "--provenance=mode=max", "--sbom=true")
        code, out, err = run("image", "build", "-q", *words, "-t", name, ".")
        assert code == 0, err
        target = store.target(name)
        assert target is not None
        assert out.strip() == inspected(run, name)["Id"]
        code, out, err = run("image", "push", name)
        assert code == 0, err
        assert f"digest: {target.digest} " in out
        source = f"docker://{real.address}/told:1"
        skopeo(
            "copy", "--all", "--src-tls-verify=false", f"--src-creds={USER}:{PASSWORD}",
            source, f"oci-archive:{tmp_path}/told.tar:{name}",
        )  # fmt: skip
    assert run("image", "save", "-o", "ours.tar", name)[0] == 0
    everything = set(store.blobs())
    for archive in ("ours.tar", "told.tar"):
        assert run("image", "prune", "-af")[0] == 0
        assert run("rmi", name)[0] != 0
        code, _, err = run("image", "load", "-i", archive)
        assert code == 0, err
        assert store.target(name) == target
        assert {node.descriptor.digest for node in store.nodes(target) if node.present} == {
            node.descriptor.digest for node in store.nodes(target)
        }
        assert set(store.blobs()) == everything - unreached(store)
    assert check_store(paths) == []


def unreached(store: ImageStore) -> set[Digest]:
    """Return the blobs that only builds remember."""
    reached = {
        digest for line in store.list() for n in store.nodes(line.target) for digest in n.digests
    }
    return set(store.blobs()) - reached


def statements(store: ImageStore, name: str) -> list[dict[str, object]]:
    target = store.target(name)
    assert target is not None
    found = []
    for node in store.nodes(target):
        if node.descriptor.annotations and isinstance(node.document, Manifest):
            found += [json.loads(store.read_blob(one.digest)) for one in node.document.layers]
    return found


def test_exported_files_come_with_what_is_said_of_them(
    run: Run, paths: Paths, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /d/f\n")
    asked = ("--provenance=mode=min", "--sbom=true")
    code, _, err = run("image", "build", "-q", *asked, "-o", "out", ".")
    assert code == 0, err
    found = {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()}
    assert found == {"d/f", "provenance.json", "sbom.spdx.json"}
    statement = json.loads(Path("out/provenance.json").read_text())
    digest = images.sha256((tmp_path / "Dockerfile").read_bytes())
    assert statement["subject"] == [{"name": "d/f", "digest": {"sha256": digest}}]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    bill = json.loads(Path("out/sbom.spdx.json").read_text())
    assert bill["predicate"]["spdxVersion"] == "SPDX-2.3"
    both = ("--platform", "linux/amd64,linux/arm64", "-o", "type=tar,dest=two.tar")
    named = "--provenance=mode=min,filename=p.json"
    assert run("image", "build", "-q", named, *both, ".")[0] == 0
    with tarfile.open("two.tar") as archive:
        names = [member.name for member in archive if member.isfile()]
    assert names == [f"linux_{a}/{f}" for a in ("amd64", "arm64") for f in ("d/f", "p.json")]
    # What is for images only does not lie among files.
    words = ("--provenance=mode=min,inline-only=true", "-o", "alone")
    assert run("image", "build", "-q", *words, ".")[0] == 0
    assert [path.name for path in Path("alone").iterdir()] == ["d"]
    assert leftovers(paths) == []


def test_statements_are_about_what_is_stored(run: Run, store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    output = "type=image,name=x:1,compression=zstd"
    code, _, err = run("image", "build", "-q", "--provenance=true", "-o", output, ".")
    assert code == 0, err
    image = store.get("x:1")
    assert image is not None
    assert image.layers[0].descriptor.media_type.endswith("zstd")
    [statement] = statements(store, "x:1")
    [subject] = statement["subject"]  # type: ignore[misc]
    assert subject["digest"] == {"sha256": image.manifest[7:]}  # type: ignore[has-type]


def put_both(store: ImageStore, name: str) -> None:
    """Put the index into the store with its images for amd64 and arm64."""
    for one in (AMD, ARM):
        for data in (*(blob.data for blob in one.layers), one.config):
            store.put_blob(data)
        store.add_manifest(one.manifest)
    store.add_index(INDEX, reference=name)


def test_a_service_runs_the_image_of_its_platform(
    run: Run, store: ImageStore, paths: Paths, tmp_path: Path
) -> None:
    put_both(store, "both:1")
    service = "network_mode: none, image: 'both:1', pull_policy: missing, command: [/f]"
    (tmp_path / "compose.yaml").write_text(f"services:\n  here: {{{service}}}\n")
    (tmp_path / "other.yaml").write_text(
        f"services:\n  there: {{platform: linux/arm64, {service}}}\n"
    )
    try:
        for file, made in (("compose.yaml", AMD), ("other.yaml", ARM)):
            words = ("-f", file, "-p", f"index-{file[0]}", "create")
            code, _, err = run(*words)
            assert code == 0, err
            [record] = Store(paths).containers(f"index-{file[0]}")
            assert record.image_id == digest_of(made.config)
            # The next one sees the very image, and has nothing to do.
            assert run(*words)[0] == 0
            assert Store(paths).containers(f"index-{file[0]}") == (record,)
    finally:
        for file in ("compose.yaml", "other.yaml"):
            run("-f", file, "-p", f"index-{file[0]}", "down")


def test_compose_builds_for_several_platforms(
    run: Run, store: ImageStore, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    name = f"{registry.address}/app:1"
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  app:\n    image: {name}\n    build:\n      context: .\n"
        "      platforms: [linux/amd64, linux/arm64]\n      provenance: mode=min\n"
    )
    code, _, err = run("-p", "index-b", "build", "--sbom", "true")
    assert code == 0, err
    kinds = {statement["predicateType"] for statement in statements(store, name)}
    assert kinds == {"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"}
    target = store.target(name)
    assert target is not None
    assert len(store.images_of(target)) == 2
    code, _, err = run("-p", "index-b", "push")
    assert code == 0, err
    assert digest_of(registry.manifests["app", "1"][1]) == target.digest
    code, _, err = run("-p", "index-b", "build", "--provenance", "false")
    assert code == 0, err
    assert statements(store, name) == []
