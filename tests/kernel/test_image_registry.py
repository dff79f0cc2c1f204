"""Pull and push with Debian's docker-registry over TLS, with a login and with tokens for one.

The scenarios are those of the distribution-spec's conformance suite (01_pull, 02_push,
03_discovery), seen from the client's side.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

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
from support.storecheck import check_store

from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths
from orchestra.oci.digest import digest_of

pytestmark = [pytest.mark.kernel, pytest.mark.registry]
BIG = random.Random(3).randbytes(5 << 20)


registry = debian_registries
paths = trusting_paths


@pytest.fixture
def logged_in(run: Run, registry: DebianRegistry) -> None:
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0


@pytest.fixture
def made() -> images.MadeImage:
    low = images.layer([images.directory("d/"), images.file("d/big", BIG)])
    return images.image([low, images.layer([images.file("d/b", b"b")])])


def test_login_is_tried(run: Run, registry: DebianRegistry) -> None:
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[:2] == (
        0,
        "Login Succeeded\n",
    )
    code, _, err = run("login", "-u", USER, "-p", "other", registry.address)
    assert code == 5
    assert "refuses this name and password" in err


def test_without_a_login_nothing_is_given_and_nothing_taken(
    run: Run, store: ImageStore, registry: DebianRegistry, made: images.MadeImage
) -> None:
    code, _, err = run("image", "pull", f"{registry.address}/x:1")
    assert code == 5
    assert "asks for a login" in err
    assert f"orchestra login {registry.address}" in err
    images.store_image(store, f"{registry.address}/x:1", made)
    code, _, err = run("image", "push", f"{registry.address}/x:1")
    assert code == 5
    assert "asks for a login" in err


def test_unknown_authority_is_refused(run: Run, registry: DebianRegistry, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    code, _, err = run("image", "pull", f"{registry.address}/x:1")
    assert code == 5
    assert "cannot pull" in err
    (tmp_path / "config.toml").write_text(f'[registry."{registry.address}"]\ninsecure = true\n')
    assert "asks for a login" in run("image", "pull", f"{registry.address}/x:1")[2]
    (tmp_path / "config.toml").write_text(f'[registry."{registry.address}"]\nca = "/nowhere"\n')
    assert 'the certificates in "/nowhere"' in run("image", "pull", f"{registry.address}/x:1")[2]


@pytest.mark.usefixtures("logged_in")
def test_what_is_pushed_is_pulled_by_tag_and_by_digest(
    run: Run, store: ImageStore, paths: Paths, registry: DebianRegistry, made: images.MadeImage
) -> None:
    name = f"{registry.address}/team/app"
    image = images.store_image(store, f"{name}:1", made)
    code, out, err = run("image", "push", f"{name}:1")
    assert code == 0, err
    digest = digest_of(made.manifest)
    assert out == f"1: digest: {digest} size: {len(made.manifest)}\n"
    assert run("rmi", f"{name}:1")[0] == 0
    assert store.blobs() == ()
    for reference in (f"{name}:1", f"{name}@{digest}"):
        code, _, err = run("image", "pull", reference)
        assert code == 0, err
        found = store.get(reference)
        assert found is not None
        assert found.id == image.id
    assert check_store(paths) == []


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("never/pushed:1", 'of "never/pushed"'),
        ("known:nope", 'has no "nope" of "known"'),
        (f"known@sha256:{'0' * 64}", "has no"),
    ],
)
def test_nonexistent_manifest_is_told(
    run: Run,
    store: ImageStore,
    registry: DebianRegistry,
    made: images.MadeImage,
    name: str,
    message: str,
) -> None:
    images.store_image(store, f"{registry.address}/known:1", made)
    assert run("image", "push", "-q", f"{registry.address}/known:1")[0] == 0
    code, _, err = run("image", "pull", f"{registry.address}/{name}")
    assert code == 5
    assert message in err


@pytest.mark.usefixtures("logged_in")
def test_second_push_and_another_repository_send_no_blob(
    run: Run, store: ImageStore, registry: DebianRegistry, made: images.MadeImage, tmp_path: Path
) -> None:
    """A blob that is there is not sent; one of another repository is mounted."""
    storage = registry.certificate.parent / "storage/docker/registry/v2/blobs/sha256"
    name = f"{registry.address}/mount/one"
    images.store_image(store, f"{name}:1", made)
    assert run("image", "push", "-q", f"{name}:1")[0] == 0

    def written() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in storage.rglob("data")}

    before = written()
    assert run("image", "push", "-q", f"{name}:1")[0] == 0
    run("tag", f"{name}:1", f"{registry.address}/mount/two:1")
    assert run("image", "push", "-q", f"{registry.address}/mount/two:1")[0] == 0
    blobs = {digest_of(made.config), *(blob.layer.descriptor.digest for blob in made.layers)}
    for path, moment in written().items():
        if f"sha256:{Path(path).parent.name}" in blobs:
            assert before[path] == moment
    uploads = registry.certificate.parent / "storage/docker/registry/v2/repositories"
    assert list(uploads.rglob("_uploads/*")) == []


@pytest.mark.usefixtures("logged_in")
def test_tags_are_listed_and_pushed_all(
    run: Run, store: ImageStore, registry: DebianRegistry, made: images.MadeImage
) -> None:
    name = f"{registry.address}/many"
    image = images.store_image(store, f"{name}:0", made)
    for number in range(1, 5):
        store.tag(image.manifest, f"{name}:{number}")
    assert len(run("image", "push", "-aq", name)[1].splitlines()) == 5
    run("image", "prune", "-af")
    assert run("image", "pull", "-aq", name)[1].split() == [f"{name}:{n}" for n in range(5)]
    found = run("search", f"{registry.address}/many", "--format", "{{.Name}}")[1]
    assert found == f"{name}\n"


@pytest.mark.usefixtures("logged_in")
def test_skopeo_sees_what_we_push_and_we_pull_what_it_pushes(
    run: Run, store: ImageStore, registry: DebianRegistry, made: images.MadeImage, tmp_path: Path
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    images.store_image(store, f"{registry.address}/sk:1", made)
    assert run("image", "push", "-q", f"{registry.address}/sk:1")[0] == 0
    login = f"{USER}:{PASSWORD}"
    for form in ("v2s2", "oci"):
        done = subprocess.run(
            ["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
             f"--src-creds={login}", f"--dest-creds={login}", f"--format={form}",
             f"docker://{registry.address}/sk:1", f"docker://{registry.address}/sk:{form}"],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert run("image", "pull", "-q", f"{registry.address}/sk:{form}")[0] == 0
        image = store.get(f"{registry.address}/sk:{form}")
        assert image is not None
        assert [layer.diff_id for layer in image.layers] == [b.layer.diff_id for b in made.layers]
        media_type = json.loads(store.read_blob(image.manifest))["mediaType"]
        assert ("docker" in media_type) is (form == "v2s2")
        # docker's own form goes out as it came in
        run("tag", f"{registry.address}/sk:{form}", f"{registry.address}/again:{form}")
        out = run("image", "push", f"{registry.address}/again:{form}")[1]
        assert f"digest: {image.manifest} " in out
