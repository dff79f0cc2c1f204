from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import anyio
import pytest

from orchestra.engine.image.auth import Credentials, Login
from orchestra.engine.image.certificates import Certificates, for_another_host
from orchestra.engine.image.settings import RegistrySettings, load_settings
from orchestra.engine.paths import paths_of
from orchestra.errors import ImageError, SpecError


def load(tmp_path: Path, text: str = "", **environment: str) -> RegistrySettings:
    config = tmp_path / "config.toml"
    if text:
        config.write_text(text)
    return load_settings(paths_of({"ORCHESTRA_CONFIG": str(config)}, uid=0), environment)


def urls(settings: RegistrySettings, registry: str) -> list[str]:
    return [endpoint.url for endpoint in settings.endpoints(registry)]


def test_mirrors_of_file_and_environment_come_first(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[registry."docker.io"]\nmirrors = ["https://a.example/", "b.example:5000"]\n',
        ORCHESTRA_REGISTRY_MIRROR="docker.io=http://127.0.0.1:5055, quay.io=https://q.example",
    )
    assert urls(settings, "docker.io") == [
        "http://127.0.0.1:5055",
        "https://a.example",
        "https://b.example:5000",
        "https://registry-1.docker.io",
    ]
    assert urls(settings, "quay.io") == ["https://q.example", "https://quay.io"]
    assert [endpoint.mirror for endpoint in settings.endpoints("quay.io")] == [True, False]


def test_plain_http_is_for_loopback_and_insecure_registries_only(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[registry."lab:5000"]\ninsecure = true\n',
        ORCHESTRA_INSECURE_REGISTRIES="other:80",
    )
    assert urls(settings, "example.com") == ["https://example.com"]
    assert settings.endpoints("example.com")[0].verify
    assert urls(settings, "lab:5000") == ["https://lab:5000", "http://lab:5000"]
    assert urls(settings, "other:80")[1] == "http://other:80"
    for local in ("localhost:5000", "127.0.0.1:5000", "[::1]:5000"):
        assert urls(settings, local)[0] == f"http://{local}"
    assert urls(settings, "localhost.example.com") == ["https://localhost.example.com"]


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("[registry", ""),
        ("registry = 1", ""),
        ('[registry."x"]\nmirrors = "http://a"', ""),
        ('[registry."x"]\nmirrors = [1]', ""),
        ('[registry."x"]\nmirors = []', ""),
        ('[registry."x"]\nmirrors = ["ftp://a"]', ""),
        ('[registry."x"]\nmirrors = ["http://user:pw@a"]', ""),
        ("", "http://127.0.0.1:5055"),
        ("", "docker.io=file:///x"),
    ],
)
def test_malformed_settings_are_told(tmp_path: Path, text: str, mirror: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text, ORCHESTRA_REGISTRY_MIRROR=mirror)
    assert caught.value.location or caught.value.hint


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert urls(load(tmp_path), "docker.io") == ["https://registry-1.docker.io"]


def login(config: object, host: str, tmp_path: Path) -> Login | None:
    path = tmp_path / "docker.json"
    path.write_text(json.dumps(config))
    return anyio.run(Credentials(path).login, host)


def packed(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("server", "host", "known"),
    [
        ("https://index.docker.io/v1/", "registry-1.docker.io", True),
        ("docker.io", "registry-1.docker.io", True),
        ("example.com", "example.com", True),
        ("https://example.com/v2/", "example.com", True),
        ("http://example.com", "example.com", True),
        ("example.com", "example.com:5000", False),
        ("example.com", "sub.example.com", False),
        ("https://index.docker.io/v1/", "example.com", False),
    ],
)
def test_login_is_found_under_dockers_names(
    tmp_path: Path, server: str, host: str, known: bool
) -> None:
    found = login({"auths": {server: packed("me:pass:word")}}, host, tmp_path)
    assert found == (Login("me", "pass:word") if known else None)


@pytest.mark.parametrize(
    "entry",
    [{}, {"auth": ""}, {"auth": "%%%"}, packed("nocolon"), {"auth": 5}, [], {"auth": "/w=="}],
)
def test_malformed_login_is_none(tmp_path: Path, entry: object) -> None:
    assert login({"auths": {"example.com": entry}}, "example.com", tmp_path) is None


def test_secrets_are_not_shown() -> None:
    shown = repr(Login("me", "hunter2", "token2"))
    assert "hunter2" not in shown
    assert "token2" not in shown


def helper(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = directory / "docker-credential-fake"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(
        tmp_path,
        'read server; echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}"',
        monkeypatch,
    )
    config = {"credHelpers": {"example.com": "fake"}, "auths": {"example.com": packed("a:b")}}
    assert login(config, "example.com", tmp_path) == Login("example.com", "s")
    assert login({"credsStore": "fake"}, "registry-1.docker.io", tmp_path) == Login(
        "https://index.docker.io/v1/", "s"
    )


def test_helper_that_knows_nothing_leaves_it_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, "echo credentials not found; exit 1", monkeypatch)
    config = {"credsStore": "fake", "auths": {"example.com": packed("a:b")}}
    assert login(config, "example.com", tmp_path) == Login("a", "b")


def test_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="names no credential helper"):
        login({"credsStore": "x/../../../../bin/sh"}, "example.com", tmp_path)


def test_certificates_lie_where_docker_and_podman_have_theirs(tmp_path: Path) -> None:
    ours, dockers = tmp_path / "certs.d", tmp_path / ".config/docker/certs.d"
    podmans = tmp_path / ".config/containers/certs.d"
    for place, names in (
        (ours / "a:5000", ("ca.crt", "me.cert", "me.key")),
        (dockers / "a:5000", ("other.crt", "other.cert", "other.key")),
        (dockers / "b", ("one.crt", "two.crt", "lonely.cert")),
        (podmans / "c", ("client.key", "client.cert", "notes.txt")),
        (podmans / "empty", ()),
    ):
        place.mkdir(parents=True)
        for name in names:
            (place / name).touch()
    settings = load(tmp_path, HOME=str(tmp_path), ORCHESTRA_INSECURE_REGISTRIES="c")

    def trust(host: str) -> object:
        return settings.endpoints(host)[0].verify

    assert trust("a:5000") == Certificates(
        authorities=(f"{ours}/a:5000/ca.crt", f"{dockers}/a:5000/other.crt"),
        certificate=f"{ours}/a:5000/me.cert",
        key=f"{ours}/a:5000/me.key",
    )
    assert trust("b") == Certificates(
        authorities=(f"{dockers}/b/one.crt", f"{dockers}/b/two.crt"),
        certificate=f"{dockers}/b/lonely.cert",
    )
    assert trust("c") == Certificates(
        certificate=f"{podmans}/c/client.cert", key=f"{podmans}/c/client.key", verify=False
    )
    assert trust("empty") is True


def test_certificates_of_the_config_file_go_before_those_found(tmp_path: Path) -> None:
    (tmp_path / "certs.d/a").mkdir(parents=True)
    (tmp_path / "certs.d/a/ca.crt").touch()
    settings = load(tmp_path, '[registry."a"]\ncert = "/x/y.pem"\n', HOME=str(tmp_path))
    assert settings.endpoints("a")[0].verify == Certificates(certificate="/x/y.pem")
    for line in ('cert = "y.pem"', "key = 1", 'ca = ""'):
        with pytest.raises(SpecError, match="is not the path of a file"):
            load(tmp_path, f'[registry."a"]\n{line}\n')


def test_who_we_are_is_not_told_where_a_registry_leads_us() -> None:
    trust = Certificates(authorities=("/ca",), certificate="/c", key="/k")
    assert for_another_host(trust) == Certificates(authorities=("/ca",))
    assert (for_another_host(True), for_another_host(False)) == (True, False)
