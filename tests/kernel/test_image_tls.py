"""The way to a registry with TLS: who we are, whom we trust, through a proxy, and cut on the way."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import images
from support.connecting import Proxy, serve_proxy
from support.debian_registry import NAME, PASSWORD, USER, DebianRegistry, serve_debian_registry
from support.machine import Run, own_paths
from support.storecheck import check_store

from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths

pytestmark = [pytest.mark.kernel, pytest.mark.registry]
BIG = random.Random(5).randbytes(6 << 20)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(scope="module", params=[False, True], ids=["open to all", "for who we are"])
def registry(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[DebianRegistry]:
    place = tmp_path_factory.mktemp("registry")
    with serve_debian_registry(place, clients=request.param) as running:
        yield running


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return own_paths(tmp_path, monkeypatch)


@pytest.fixture
def proxy(registry: DebianRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that alone knows where the registry's name leads."""
    with serve_proxy() as running:
        running.names[named(registry)] = registry.address
        monkeypatch.setenv("HTTPS_PROXY", f"http://{running.address}")
        yield running


def named(registry: DebianRegistry) -> str:
    return f"{NAME}:{registry.address.rpartition(':')[2]}"


def introduce(registry: DebianRegistry, host: str, tmp_path: Path, *, key: bool = True) -> None:
    """Put certificates where docker's users have them, for a host."""
    place = tmp_path / "certs.d" / host
    place.mkdir(parents=True)
    shutil.copy(registry.certificate, place / "ca.crt")
    shutil.copy(registry.certificate, place / "client.cert")
    if key:
        shutil.copy(registry.key, place / "client.key")


def made() -> images.MadeImage:
    return images.image([images.layer([images.file("big", BIG)])])


def log_in(run: Run, host: str) -> None:
    code, _, err = run("login", "-u", USER, "-p", PASSWORD, host)
    assert code == 0, err


def test_certificates_of_a_host_are_found_and_shown(
    run: Run, store: ImageStore, registry: DebianRegistry, tmp_path: Path
) -> None:
    introduce(registry, registry.address, tmp_path)
    log_in(run, registry.address)
    name = f"{registry.address}/shown:1"
    images.store_image(store, name, made())
    assert run("image", "push", "-q", name)[0] == 0
    assert run("rmi", name)[0] == 0
    assert run("image", "pull", "-q", name)[0] == 0


def test_certificates_are_named_in_the_config_file(
    run: Run, registry: DebianRegistry, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(
        f'[registry."{registry.address}"]\nca = "{registry.certificate}"\n'
        f'cert = "{registry.certificate}"\nkey = "{registry.key}"\n'
    )
    log_in(run, registry.address)


def test_who_shows_nothing_is_told_what_to_show(run: Run, tmp_path: Path) -> None:
    with serve_debian_registry(tmp_path, clients=True) as registry:
        place = tmp_path / "certs.d" / registry.address
        place.mkdir(parents=True)
        shutil.copy(registry.certificate, place / "ca.crt")
        code, _, err = run("image", "pull", f"{registry.address}/x:1")
        assert code == 5
        assert "does not answer: tls: " in err
        assert "NAME.cert and NAME.key" in err
        shutil.copy(registry.certificate, place / "client.cert")
        code, _, err = run("image", "pull", f"{registry.address}/x:1")
        assert code == 5
        assert f'cannot use "{place}/client.cert"' in err
        assert "in NAME.key beside it" in err


def test_unknown_authority_is_told_with_the_place_for_it(
    run: Run, registry: DebianRegistry
) -> None:
    code, _, err = run("image", "pull", f"{registry.address}/x:1")
    assert code == 5
    assert "certs.d/HOST:PORT/ca.crt" in err


def test_proxy_carries_a_push_and_a_pull(
    run: Run, store: ImageStore, registry: DebianRegistry, proxy: Proxy, tmp_path: Path
) -> None:
    introduce(registry, named(registry), tmp_path)
    log_in(run, named(registry))
    name = f"{named(registry)}/carried:1"
    images.store_image(store, name, made())
    code, _, err = run("image", "push", "-q", name)
    assert code == 0, err
    assert run("rmi", name)[0] == 0
    assert run("image", "pull", "-q", name)[0] == 0
    assert set(proxy.asked) == {f"CONNECT {named(registry)}"}


def test_proxy_that_wants_a_login_gets_it_and_no_error_shows_it(
    run: Run,
    registry: DebianRegistry,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    introduce(registry, named(registry), tmp_path)
    proxy.login = "ann:pr0xy-pass"
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.login}@{proxy.address}")
    log_in(run, named(registry))
    proxy.asked.clear()
    proxy.login = "ann:changed"
    code, out, err = run("--debug", "image", "pull", f"{named(registry)}/x:1")
    assert code == 5
    assert "407" in err
    assert "pr0xy-pass" not in out + err
    assert proxy.asked == []


def test_proxy_is_left_out_where_it_is_not_wanted(
    run: Run,
    registry: DebianRegistry,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    introduce(registry, registry.address, tmp_path)
    log_in(run, registry.address)  # this machine itself: never through a proxy
    monkeypatch.setenv("NO_PROXY", "example.com," + NAME)
    code, _, err = run("image", "pull", f"{named(registry)}/x:1")
    assert code == 5
    assert "does not answer" in err
    assert proxy.asked == []


@pytest.mark.parametrize("way", ["down", "up"])
def test_connection_that_is_cut_is_taken_up(
    run: Run,
    store: ImageStore,
    paths: Paths,
    registry: DebianRegistry,
    proxy: Proxy,
    tmp_path: Path,
    way: str,
) -> None:
    introduce(registry, named(registry), tmp_path)
    log_in(run, named(registry))
    name = f"{named(registry)}/cut-{way}:1"
    image = images.store_image(store, name, made())
    if way == "up":
        proxy.cut_up = [2 << 20, 1 << 20]
    code, _, err = run("image", "push", "-q", name)
    assert code == 0, err
    assert run("rmi", name)[0] == 0
    if way == "down":
        proxy.asked.clear()
        proxy.cut_down = [2 << 20, 2 << 20]
    code, _, err = run("image", "pull", "-q", name)
    assert code == 0, err
    assert (proxy.cut_down, proxy.cut_up) == ([], [])
    if way == "down":
        # 2 + 2 MiB came, the rest is asked for: were it sent anew, both would have been cut again
        assert 3 <= len(proxy.asked) <= 5
    found = store.get(name)
    assert found is not None
    assert found.id == image.id
    assert check_store(paths) == []
