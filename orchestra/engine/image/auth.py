"""Logins of registries: docker's own config file and helpers, and the exchange for a token.

Secrets live in these objects' fields alone: nothing here is logged, and no repr shows one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from orchestra.engine.image.http import HttpClient
from orchestra.engine.image.settings import Endpoint
from orchestra.engine.image.wire import parse_token
from orchestra.engine.process import run_command
from orchestra.errors import CommandError, ImageError, RegistryError
from orchestra.values import dataclass, field

_TOKEN_BYTES_MAX = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}
TOKEN_USER = "<token>"  # noqa: S105 - what helpers say in place of a name
_HUB_SERVER = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Login:
    """Name and password, or a token that stands for both."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """Return the value of an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class Credentials:
    """What docker's config.json knows; read when first asked."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._document: Mapping[str, object] | None = None

    async def login(self, host: str) -> Login | None:
        """Return the login for a registry's host, None where there is none.

        :raises ImageError: when the file is malformed.
        """
        document = self._read()
        if helper := helper_of(document, host):
            found = await _ask_helper(helper, host)
            if found is not None:
                return found
        auths = document.get("auths")
        for server, entry in auths.items() if isinstance(auths, dict) else ():
            if same_host(str(server), host) and isinstance(entry, dict):
                return _login(entry)
        return None

    def _read(self) -> Mapping[str, object]:
        if self._document is None:
            self._document = read_config(self._path) if self._path else {}
        return self._document


class Logins(Protocol):
    """Who knows a login for a registry's host."""

    async def login(self, host: str) -> Login | None:
        """Return the login, None where there is none."""
        ...


class NoToken(RegistryError):
    """A token server gave none, but this status."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(
            f'registry "{host}" gives no access: its token server answers {status}',
            hint=login_hint(host),
        )
        self.status = status


class Authorizer:
    """Answers the challenges of one endpoint; its login goes to it and its token server alone.

    With ``lasting`` a token server is asked for a token that stands for the login from now on;
    ``identity`` is that token, "" where none was given.
    """

    def __init__(
        self, http: HttpClient, endpoint: Endpoint, credentials: Logins, *, lasting: bool = False
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._credentials = credentials
        self._lasting = lasting
        self.identity = ""
        self.logged_in = False
        """A login was there to answer with."""

    async def answer(self, challenges: list[str], scope: str) -> str | None:
        """Return the Authorization header that a 401 asks for, None when we have nothing to say.

        :raises RegistryError: when the token server refuses, or is one that we must not trust.
        """
        login = await self._credentials.login(self._endpoint.host)
        self.logged_in = login is not None
        bearer = next((c for c in challenges if c.lower().startswith("bearer ")), None)
        if bearer is not None:
            parameters = {key.lower(): value for key, value in _PARAMETER.findall(bearer)}
            return "Bearer " + await self._token(parameters, scope, login)
        if login and any(c.lower().startswith("basic") for c in challenges):
            return login.basic
        return None

    async def _token(self, parameters: Mapping[str, str], scope: str, login: Login | None) -> str:
        realm = parameters.get("realm", "")
        self._check(realm)
        scopes = (parameters.get("scope") or scope).split()
        service = {"service": parameters["service"]} if parameters.get("service") else {}
        headers: dict[str, str] = {}
        form: dict[str, str] | None = None
        url = httpx2.URL(realm)
        if login and login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "orchestra",
                "scope": " ".join(scopes),
                **service,
            }
        else:
            asked = {"offline_token": "true", "client_id": "orchestra"} if self._lasting else {}
            wanted = {"scope": scopes} if scopes else {}
            url = url.copy_merge_params({**wanted, **service, **asked})
            if login:
                headers["authorization"] = login.basic
        async with self._http.send(
            "POST" if form else "GET",
            str(url),
            headers=headers,
            form=form,
            verify=self._endpoint.verify,
            redirects=False,
        ) as response:
            if response.status_code != 200:
                raise NoToken(self._endpoint.host, response.status_code)
            token = parse_token(await self._http.document(response, _TOKEN_BYTES_MAX, "a token"))
            self.identity = token.refresh
            return token.access

    def _check(self, realm: str) -> None:
        parts = urlsplit(realm)
        secure = urlsplit(self._endpoint.url).scheme == "https"
        if not parts.hostname or parts.scheme not in ({"https"} if secure else {"http", "https"}):
            raise RegistryError(
                f'registry "{self._endpoint.host}" names a token server that is refused: '
                f'"{realm[:200]}"'
            )


def login_hint(host: str) -> str:
    """Say how to log in."""
    server = "" if host in _HUB else f" {host}"
    return (
        f"check the spelling; a private image needs `orchestra login{server}` first "
        "(or docker's: both keep it in ~/.docker/config.json)"
    )


async def _ask_helper(helper: str, host: str) -> Login | None:
    try:
        answer = json.loads(await call_helper(helper, "get", server_of(host).encode()))
    except (CommandError, ValueError):
        return None  # helpers exit with 1 when they know nothing of a server
    if not isinstance(answer, dict):
        return None
    username, secret = str(answer.get("Username", "")), str(answer.get("Secret", ""))
    if username == TOKEN_USER:
        return Login("", "", secret)
    return Login(username, secret) if username else None


async def call_helper(helper: str, action: str, data: bytes) -> bytes:
    """Run a credential helper of docker's: get, store, erase. What is secret goes by stdin alone.

    :raises ImageError: when its name is none.
    :raises CommandError: when it fails, or is not there.
    """
    if not _HELPER.fullmatch(helper):
        raise ImageError(f'"{helper[:100]}" in docker\'s config.json names no credential helper')
    return await run_command([f"docker-credential-{helper}", action], stdin=data)


def server_of(host: str) -> str:
    """Return the name by which docker's config file and helpers know a registry."""
    return _HUB_SERVER if host in _HUB else host


def helper_of(document: Mapping[str, object], host: str) -> str:
    """Return the credential helper for a registry, "" for none."""
    helpers = document.get("credHelpers")
    helper = helpers.get(_known_as(host)) if isinstance(helpers, dict) else None
    helper = helper or document.get("credsStore")
    return helper if isinstance(helper, str) else ""


def read_config(path: Path) -> Mapping[str, object]:
    """Read docker's config file; empty when there is none.

    :raises ImageError: when it is no JSON.
    """
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, ValueError) as err:
        raise ImageError(f'cannot read "{path}": it is not JSON') from err
    return document if isinstance(document, dict) else {}


def _login(entry: Mapping[str, object]) -> Login | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Login("", "", token)
    packed = entry.get("auth")
    if isinstance(packed, str) and packed:
        try:
            text = base64.b64decode(packed, validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeDecodeError):
            return None
        username, colon, password = text.partition(":")
        return Login(username, password) if colon else None
    username_, password_ = entry.get("username"), entry.get("password")
    if isinstance(username_, str) and isinstance(password_, str) and username_:
        return Login(username_, password_)
    return None


def _known_as(host: str) -> str:
    return "docker.io" if host in _HUB else host


def same_host(server: str, host: str) -> bool:
    """Tell whether an entry of docker's config file is that of a registry."""
    bare = server.partition("://")[2] or server
    name = bare.partition("/")[0]
    return _known_as(name) == _known_as(host)
