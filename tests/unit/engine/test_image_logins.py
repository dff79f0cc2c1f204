"""Logging in and out: tried at a registry, kept where docker keeps it, and told to nobody else."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.registry import Handler, Registry, serve_registry

from orchestra.cli import app
from orchestra.engine.image.auth import server_of
from orchestra.engine.image.logins import registry_of
from orchestra.errors import ImageError

SECRET = "s3cret-pass"
BASIC = "Basic " + base64.b64encode(f"joe:{SECRET}".encode()).decode()
HELPER = """#!/usr/bin/env python3
import json, os, pathlib, sys
kept = pathlib.Path(os.environ["HELPER_FILE"])
with pathlib.Path(os.environ["HELPER_FILE"] + ".calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
data = sys.stdin.read()
known = json.loads(kept.read_text()) if kept.exists() else {}
if sys.argv[1] == "store":
    entry = json.loads(data)
    known[entry["ServerURL"]] = entry
elif sys.argv[1] == "get":
    if data.strip() not in known:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(known[data.strip()]))
elif sys.argv[1] == "erase":
    known.pop(data.strip(), None)
kept.write_text(json.dumps(known))
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("ORCHESTRA_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("ORCHESTRA_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("ORCHESTRA_REGISTRY_MIRROR", raising=False)
    return tmp_path / "docker" / "config.json"


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "docker-credential-tiny"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HELPER_FILE", str(tmp_path / "kept.json"))
    return tmp_path / "kept.json"


def basic(handler: Handler) -> bool:
    if handler.headers.get("Authorization") == BASIC:
        return False
    handler.answer(401, WWW_Authenticate='Basic realm="here"')
    return True


def tokens(registry: Registry, *, refresh: str = "") -> None:
    """Let the registry ask for tokens, which it gives for the login, or for its refresh token."""

    def token(handler: Handler) -> bool:
        form = handler.body().decode()
        good = handler.headers.get("Authorization") == BASIC
        good = good or (bool(refresh) and f"refresh_token={refresh}" in form)
        if not good:
            handler.error(401, "UNAUTHORIZED")
            return True
        body = {"token": "T0KEN"} | ({"refresh_token": refresh} if refresh else {})
        handler.answer(200, json.dumps(body).encode())
        return True

    def api(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == "Bearer T0KEN":
            return False
        realm = f'Bearer realm="http://{registry.address}/token",service="here"'
        handler.answer(401, WWW_Authenticate=realm)
        return True

    registry.faults |= {"/token": token, "/v2/": api}


class Typed:
    """What comes on stdin, which is no terminal."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, count: int = -1) -> str:
        return self.text

    def isatty(self) -> bool:
        return False


def log_in(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, password: str = SECRET, name: str = "joe"
) -> int:
    monkeypatch.setattr("sys.stdin", Typed(f"{password}\n"))
    return app.run(["login", "-u", name, "--password-stdin", registry.address])


def test_login_is_kept_as_docker_keeps_it_for_nobody_else_to_read(
    registry: Registry,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.faults["/v2/"] = basic
    config.parent.mkdir()
    config.write_text('{"auths": {"other.example": {"auth": "eDp5"}}, "psFormat": "x"}')
    assert log_in(registry, monkeypatch) == 0
    captured = capsys.readouterr()
    assert captured.out == "Login Succeeded\n"
    assert "unencrypted" in captured.err
    assert SECRET not in captured.out + captured.err
    document = json.loads(config.read_text())
    assert document["psFormat"] == "x"
    assert document["auths"]["other.example"] == {"auth": "eDp5"}
    packed = document["auths"][registry.address]["auth"]
    assert base64.b64decode(packed).decode() == f"joe:{SECRET}"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert app.run(["logout", registry.address]) == 0
    assert capsys.readouterr().out == f"Removing login credentials for {registry.address}\n"
    assert set(json.loads(config.read_text())["auths"]) == {"other.example"}
    assert app.run(["logout", registry.address]) == 0
    assert capsys.readouterr().out == f"Not logged in to {registry.address}\n"


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_wrong_login_is_told_and_not_kept(
    registry: Registry,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    if kind == "basic":
        registry.faults["/v2/"] = basic
    else:
        tokens(registry)
    assert log_in(registry, monkeypatch, password="wr0ng") == 5
    err = capsys.readouterr().err
    assert "refuses this name and password" in err
    assert "wr0ng" not in err
    assert not config.exists()


def test_token_for_the_login_is_kept_in_place_of_the_password(
    registry: Registry, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens(registry, refresh="R3FRESH")
    assert log_in(registry, monkeypatch) == 0
    entry = json.loads(config.read_text())["auths"][registry.address]
    assert entry["identitytoken"] == "R3FRESH"
    assert SECRET not in config.read_text()
    assert base64.b64decode(entry["auth"]).decode() == "joe:"
    registry.requests.clear()
    assert app.run(["login", registry.address]) == 0, "what is known already is good"
    assert [seen.method for seen in registry.paths("/token")] == ["POST"]
    assert json.loads(config.read_text())["auths"][registry.address]["identitytoken"] == "R3FRESH"


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_helper_keeps_the_login_and_no_file_does(
    registry: Registry,
    config: Path,
    helper: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
) -> None:
    registry.faults["/v2/"] = basic
    config.parent.mkdir()
    chosen: object = "tiny" if key == "credsStore" else {registry.address: "tiny"}
    config.write_text(json.dumps({key: chosen}))
    assert log_in(registry, monkeypatch) == 0
    assert "unencrypted" not in capsys.readouterr().err
    assert json.loads(helper.read_text())[registry.address]["Secret"] == SECRET
    assert SECRET not in config.read_text()
    assert base64.b64encode(f"joe:{SECRET}".encode()).decode() not in config.read_text()
    calls = Path(f"{helper}.calls").read_text()
    assert SECRET not in calls, "arguments are seen by everybody"
    assert app.run(["logout", registry.address]) == 0
    assert json.loads(helper.read_text()) == {}


def test_helper_that_is_missing_is_told(
    registry: Registry,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.faults["/v2/"] = basic
    config.parent.mkdir()
    config.write_text('{"credsStore": "nowhere-to-be-found"}')
    assert log_in(registry, monkeypatch) == 5
    err = capsys.readouterr().err
    assert '"docker-credential-nowhere-to-be-found" cannot store a login' in err
    assert SECRET not in err


def test_a_known_login_that_cannot_be_tried_is_not_called_wrong(
    registry: Registry,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens(registry)
    assert log_in(registry, monkeypatch) == 0
    ask = registry.faults["/v2/"]
    registry.faults = {"/token": lambda handler: handler.error(418, "TEAPOT") or True, "/v2/": ask}
    assert app.run(["login", registry.address]) == 5
    assert "its token server answers 418" in capsys.readouterr().err
    with socket.socket() as deaf:  # bound and not listening, so that nobody else does
        deaf.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{deaf.getsockname()[1]}"
        document = json.loads(config.read_text())
        config.write_text(json.dumps({"auths": {nobody: document["auths"][registry.address]}}))
        assert app.run(["login", nobody]) == 5
    assert "connection refused" in capsys.readouterr().err


def test_password_on_the_command_line_is_warned_of(
    registry: Registry, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.faults["/v2/"] = basic
    assert app.run(["login", "-u", "joe", "-p", SECRET, registry.address]) == 0
    err = capsys.readouterr().err
    assert "--password-stdin" in err
    assert SECRET not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "x", "--password-stdin", "-u", "a"], "mutually exclusive"),
        (["--password-stdin"], "needs --username"),
        (["-u", "a", "--password-stdin"], "no password came on stdin"),
        (["-u", "a"], "no terminal to ask"),
        ([], "no terminal to ask"),
        (["UPPER CASE"], "not an image reference"),
    ],
)
def test_what_makes_no_sense_is_told(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("sys.stdin", Typed(""))
    assert app.run(["login", *words]) in {2, 5}
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_debugging_shows_no_secret(
    registry: Registry,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens(registry, refresh="R3FRESH")
    with caplog.at_level(logging.DEBUG):
        assert log_in(registry, monkeypatch) == 0
        monkeypatch.setenv("ORCHESTRA_DEBUG", "1")
        assert log_in(registry, monkeypatch, password="wr0ng") == 5
    captured = capsys.readouterr()
    told = captured.out + captured.err + caplog.text
    for secret in (SECRET, "wr0ng", "T0KEN", "R3FRESH", BASIC.partition(" ")[2]):
        assert secret not in told


@pytest.mark.parametrize(
    ("server", "registry", "known_as"),
    [
        ("", "docker.io", "https://index.docker.io/v1/"),
        ("docker.io", "docker.io", "https://index.docker.io/v1/"),
        ("https://index.docker.io/v1/", "docker.io", "https://index.docker.io/v1/"),
        ("ghcr.io", "ghcr.io", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io", "ghcr.io"),
        ("ghcr.io/owner", "ghcr.io", "ghcr.io"),
        ("localhost:5000", "localhost:5000", "localhost:5000"),
        ("registry", "registry", "registry"),
    ],
)
def test_registry_is_known_by_dockers_names(server: str, registry: str, known_as: str) -> None:
    assert registry_of(server) == registry
    assert server_of(registry) == known_as


@pytest.mark.parametrize("server", ["a b", "../x", "x:y:z", "-", "a\nb", "u:p@host"])
def test_what_is_no_registry_is_refused(server: str) -> None:
    with pytest.raises(ImageError):
        registry_of(server)
