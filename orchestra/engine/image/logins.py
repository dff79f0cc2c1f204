"""Log in to registries and out again, in docker's own config file or its credential helpers.

A login is tried at the registry before it is kept. Secrets pass through stdin of helpers and
files of mode 0600, and through nothing else.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

from orchestra.engine.image.auth import (
    TOKEN_USER,
    Authorizer,
    Credentials,
    Login,
    NoToken,
    call_helper,
    helper_of,
    read_config,
    same_host,
    server_of,
)
from orchestra.engine.image.http import HttpClient, Unreachable
from orchestra.engine.image.settings import Endpoint, RegistrySettings
from orchestra.engine.state.atomic import write_atomic
from orchestra.errors import CommandError, ImageError, RegistryError
from orchestra.oci.reference import DOCKER_HUB, parse_reference

_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


class Accounts:
    """The logins of one user at registries."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    @property
    def path(self) -> Path:
        """Return docker's config file.

        :raises ImageError: when there is no place for it.
        """
        if self._settings.docker_config is None:
            raise ImageError("there is no place for logins", hint="set HOME or DOCKER_CONFIG")
        return self._settings.docker_config

    async def known(self, server: str) -> Login | None:
        """Return what is known of a registry already."""
        return await Credentials(self.path).login(_asked(registry_of(server)))

    async def log_in(self, server: str, login: Login) -> str:
        """Try a login and keep it; return the helper that has it, "" for the config file.

        :raises RegistryError: when the registry refuses it or does not answer.
        :raises ImageError: when it cannot be kept.
        """
        registry = registry_of(server)
        identity = await self._tried(registry, login) or login.identity_token
        host = server_of(_asked(registry))
        document = dict(read_config(self.path))
        helper = helper_of(document, registry)
        entry: dict[str, str] = {}
        if helper:
            stored = {
                "ServerURL": host,
                "Username": TOKEN_USER if identity else login.username,
                "Secret": identity or login.password,
            }
            await _helped(helper, "store", json.dumps(stored).encode())
        else:
            secret = "" if identity else login.password
            pair = f"{login.username}:{secret}".encode()
            entry = {"auth": base64.b64encode(pair).decode()}
            if identity:
                entry["identitytoken"] = identity
        self._write({**document, "auths": {**_without(document, registry), host: entry}})
        return helper

    async def log_out(self, server: str) -> bool:
        """Forget a login; False when there was none.

        :raises ImageError: when it cannot be forgotten.
        """
        registry = registry_of(server)
        host = _asked(registry)
        known = await Credentials(self.path).login(host) is not None
        document = dict(read_config(self.path))
        if helper := helper_of(document, registry):
            try:
                await _helped(helper, "erase", server_of(host).encode())
            except ImageError:
                if known:
                    raise
        left = _without(document, registry)
        if left != document.get("auths", {}):
            self._write({**document, "auths": left})
        return known

    def _write(self, document: Mapping[str, object]) -> None:
        path = self.path
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        write_atomic(target, json.dumps(document, indent="\t").encode() + b"\n")

    async def _tried(self, registry: str, login: Login) -> str:
        """Ask the registry whether a login is good; return a token for it, "" for none."""
        failure: RegistryError | None = None
        async with HttpClient() as http:
            for endpoint in self._settings.endpoints(registry):
                if endpoint.mirror:
                    continue
                try:
                    identity = await _try(http, endpoint, login)
                except Unreachable as err:
                    failure = failure or err
                    continue
                if identity is not None:
                    return identity
        raise failure or RegistryError(
            f'cannot log in to "{registry}": no registry answers there',
            hint="check the name and the port",
        )


class _Given:
    """One login, for whoever asks."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def login(self, host: str) -> Login | None:  # noqa: ARG002
        """Return the login."""
        return self._login


async def _try(http: HttpClient, endpoint: Endpoint, login: Login) -> str | None:
    """Try a login at one endpoint; None when that speaks another language."""
    url = f"{endpoint.url}/v2/"
    authorizer = Authorizer(http, endpoint, _Given(login), lasting=True)
    async with http.send("GET", url, verify=endpoint.verify) as response:
        status = response.status_code
        challenges = response.headers.get_list("www-authenticate")
    if status == 200:
        return ""
    if status != 401:
        return None
    try:
        header = await authorizer.answer(challenges, "")
    except NoToken as err:
        if err.status not in {400, 401, 403}:
            raise
        raise Refused(endpoint.host) from err
    headers = {"authorization": header or ""}
    async with http.send("GET", url, headers=headers, verify=endpoint.verify) as response:
        if response.status_code != 200:
            raise Refused(endpoint.host)
    return authorizer.identity


class Refused(RegistryError):
    """A registry does not take a login."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f'cannot log in to "{host}": it refuses this name and password',
            hint="check both; many registries want an access token in place of the password",
        )


async def _helped(helper: str, action: str, data: bytes) -> None:
    try:
        await call_helper(helper, action, data)
    except CommandError as err:
        raise ImageError(
            f'credential helper "docker-credential-{helper}" cannot {action} a login',
            hint="install it, or take it out of docker's config.json",
        ) from err


def registry_of(server: str) -> str:
    """Return the registry that somebody means; "" is Docker Hub.

    :raises ImageError: when it is no name of a registry.
    """
    bare = server.partition("://")[2] if "://" in server else server
    bare = bare.partition("/")[0]
    if not bare or bare in _HUB_NAMES:
        return DOCKER_HUB
    with_dot = bare if {".", ":"} & set(bare) or bare == "localhost" else f"{bare}:443"
    parse_reference(f"{with_dot}/x")
    return bare


def _asked(registry: str) -> str:
    return "registry-1.docker.io" if registry == DOCKER_HUB else registry


def _without(document: Mapping[str, object], registry: str) -> dict[str, object]:
    auths = document.get("auths")
    found = auths if isinstance(auths, dict) else {}
    return {key: value for key, value in found.items() if not same_host(str(key), registry)}
