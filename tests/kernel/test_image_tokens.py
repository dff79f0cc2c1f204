"""Token authentication at Debian's docker-registry, which asks a token server for every right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from support import images
from support.debian_registry import PASSWORD, USER, DebianRegistry, serve_debian_registry
from support.machine import Run, own_paths
from support.tokens import TokenServer

from orchestra.engine.events import Progress
from orchestra.engine.image.push import push
from orchestra.engine.image.settings import load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths, paths_of

pytestmark = [pytest.mark.kernel, pytest.mark.registry]
SHORT_SECONDS = 8.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with serve_debian_registry(tmp_path_factory.mktemp("registry"), tokens=True) as running:
        yield running


@pytest.fixture
def tokens(registry: DebianRegistry) -> Iterator[TokenServer]:
    assert registry.tokens is not None
    registry.tokens.asked.clear()
    before = registry.tokens.seconds
    yield registry.tokens
    registry.tokens.seconds = before


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: DebianRegistry) -> Paths:
    paths = own_paths(tmp_path, monkeypatch)
    (tmp_path / "config.toml").write_text(
        f'[registry."{registry.address}"]\nca = "{registry.certificate}"\n'
    )
    return paths


def made(text: str, layers: int = 1) -> images.MadeImage:
    """Make an image whose layers are too large to go with the request that ends their upload."""
    content = text.encode() * (1 << 16)
    return images.image(
        [images.layer([images.file(f"{n}", bytes([n]) + content)]) for n in range(layers)]
    )


def test_anybody_pulls_what_is_public_and_nobody_pushes_unasked(
    run: Run, store: ImageStore, registry: DebianRegistry, tokens: TokenServer
) -> None:
    name = f"{registry.address}/public/app:1"
    images.store_image(store, name, made("p"))
    code, _, err = run("image", "push", name)
    assert code == 5
    assert "asks for a login" in err
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0
    assert run("image", "push", "-q", name)[0] == 0
    assert run("logout", registry.address)[0] == 0
    assert run("rmi", name)[0] == 0
    tokens.asked.clear()
    assert run("image", "pull", "-q", name)[0] == 0
    assert {(asked.user, asked.scopes) for asked in tokens.asked} == {
        ("", ("repository:public/app:pull",))
    }
    code, _, err = run("image", "pull", f"{registry.address}/private/app:1")
    assert code == 5
    assert "asks for a login" in err


def test_token_for_the_login_stands_in_for_the_password(
    run: Run, store: ImageStore, registry: DebianRegistry, tokens: TokenServer, tmp_path: Path
) -> None:
    name = f"{registry.address}/refreshed:1"
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0
    kept = (tmp_path / "docker/config.json").read_text()
    assert json.loads(kept)["auths"][registry.address]["identitytoken"] == tokens.refresh
    tokens.asked.clear()
    images.store_image(store, name, made("r"))
    code, _, err = run("image", "push", "-q", name)
    assert code == 0, err
    assert run("rmi", name)[0] == 0
    assert run("image", "pull", "-q", name)[0] == 0
    assert {asked.method for asked in tokens.asked} == {"POST"}
    tokens.refresh = "another"
    code, _, err = run("image", "pull", name)
    assert code == 5
    assert "its token server answers 401" in err
    assert f"orchestra login {registry.address}" in err


def test_mount_asks_once_for_what_it_needs_in_both_repositories(
    run: Run, store: ImageStore, registry: DebianRegistry, tokens: TokenServer
) -> None:
    one, two = (f"{registry.address}/{name}:1" for name in ("from/here", "to/there"))
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0
    images.store_image(store, one, made("m"))
    assert run("image", "push", "-q", one)[0] == 0
    run("tag", one, two)
    tokens.asked.clear()
    code, _, err = run("image", "push", "-q", two)
    assert code == 0, err
    both = {"repository:to/there:pull,push", "repository:from/here:pull"}
    assert both in [set(asked.scopes) for asked in tokens.asked]
    storage = registry.certificate.parent / "storage/docker/registry/v2/repositories/to/there"
    assert list(storage.glob("_uploads/*")) == []
    assert run("rmi", two)[0] == 0
    assert run("image", "pull", "-q", two)[0] == 0


def test_token_that_runs_out_during_a_push_is_renewed(
    run: Run, paths: Paths, registry: DebianRegistry, tokens: TokenServer, tmp_path: Path
) -> None:
    name = f"{registry.address}/long:1"
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0
    images.store_image(store := ImageStore(paths), name, made("l", layers=8))
    environment = {
        "ORCHESTRA_CONFIG": str(tmp_path / "config.toml"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }
    settings = load_settings(paths_of(environment, uid=0), environment)
    tokens.seconds = SHORT_SECONDS
    tokens.asked.clear()
    before = 0

    def outlive(progress: Progress) -> None:
        """Stop in the middle, until the token is no longer good."""
        nonlocal before
        if progress.current and tokens.seconds == SHORT_SECONDS:
            before = len(tokens.asked)
            while time.time() < tokens.good_until + 1:
                time.sleep(0.05)
            tokens.seconds = 300.0

    anyio.run(lambda: push(name, store=store, settings=settings, progress=outlive))
    assert before > 0
    renewed = len(tokens.asked) - before
    assert 1 <= renewed <= 3, "once for all that are under way, and for a mount"
    assert run("rmi", name)[0] == 0
    assert run("image", "pull", "-q", name)[0] == 0
