"""Settings of the pull path: mirrors, registries without TLS, limits; from config.toml and env.

    [registry."docker.io"]
    mirrors = ["http://127.0.0.1:5055"]
    insecure = false
    ca = "/etc/ssl/our-ca.pem"

Authorities are taken from docker's /etc/docker/certs.d/HOST/*.crt, too.
ORCHESTRA_REGISTRY_MIRROR="docker.io=http://127.0.0.1:5055 quay.io=https://mirror.example" adds to
it and comes first; ORCHESTRA_INSECURE_REGISTRIES="host:port ..." as well.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from orchestra.engine.image.layer import Limits
from orchestra.engine.paths import Paths
from orchestra.errors import Location, SpecError
from orchestra.oci.reference import DOCKER_HUB
from orchestra.values import dataclass, field

_HUB_HOST = "registry-1.docker.io"
_CERTIFICATES = Path("/etc/docker/certs.d")
_HINT = 'write [registry."docker.io"] mirrors = ["http://127.0.0.1:5055"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place to ask: ``url`` has scheme and host, and no slash at its end."""

    url: str
    verify: bool | str = True
    """False trusts anybody; a path is that of more authorities to trust."""
    mirror: bool = False

    @property
    def host(self) -> str:
        """Return host and port as people write them."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Where images come from; ``docker_config`` is docker's own file of logins."""

    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    insecure: frozenset[str] = frozenset()
    authorities: Mapping[str, str] = field(default_factory=dict)
    docker_config: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def endpoints(self, registry: str) -> tuple[Endpoint, ...]:
        """Return where to ask for a registry's images, in order: its mirrors, then itself.

        Plain HTTP is spoken with loopback addresses, with hosts set as insecure (after HTTPS
        failed), and with mirrors that are written with http://; with nobody else.
        """
        mirrors = [
            Endpoint(url=url, mirror=True, verify=self._trust(urlsplit(url).netloc))
            for url in self.mirrors.get(registry, ())
        ]
        host = _HUB_HOST if registry == DOCKER_HUB else registry
        secure = Endpoint(url=f"https://{host}", verify=self._trust(registry))
        plain = Endpoint(url=f"http://{host}", verify=False)
        if _is_loopback(host):
            return (*mirrors, plain, secure)
        if registry in self.insecure:
            return (*mirrors, secure, plain)
        return (*mirrors, secure)

    def _trust(self, host: str) -> bool | str:
        return host not in self.insecure and self.authorities.get(host, True)


def load_settings(paths: Paths, environment: Mapping[str, str]) -> RegistrySettings:
    """Read the settings from the config file, where there is one, and the environment.

    :raises SpecError: when the file or a variable is malformed.
    """
    mirrors, insecure, authorities = _from_file(Path(paths.config))
    for assignment in _words(environment.get("ORCHESTRA_REGISTRY_MIRROR", "")):
        registry, equals, url = assignment.partition("=")
        if not equals:
            raise SpecError(
                f'ORCHESTRA_REGISTRY_MIRROR: "{assignment}" names no registry',
                hint='write it as "docker.io=http://127.0.0.1:5055"',
            )
        checked = _mirror(url, Location("ORCHESTRA_REGISTRY_MIRROR"))
        mirrors[registry] = (checked, *mirrors.get(registry, ()))
    insecure |= set(_words(environment.get("ORCHESTRA_INSECURE_REGISTRIES", "")))
    home = environment.get("HOME", "/root")
    docker = Path(environment.get("DOCKER_CONFIG", f"{home}/.docker")) / "config.json"
    return RegistrySettings(
        mirrors=mirrors,
        insecure=frozenset(insecure),
        authorities={**_of_docker(_CERTIFICATES), **authorities},
        docker_config=docker,
        limits=_limits(environment),
    )


def _limits(environment: Mapping[str, str]) -> Limits:
    text = environment.get("ORCHESTRA_LAYER_BYTES_MAX", "")
    if not text:
        return Limits()
    if not text.isdigit():
        raise SpecError(
            f'ORCHESTRA_LAYER_BYTES_MAX: "{text}" is not a number of bytes', hint="write digits"
        )
    return Limits(bytes_max=int(text), free_bytes=int(text))


def _of_docker(directory: Path) -> dict[str, str]:
    """Return the authorities that docker trusts for some hosts: the first of each."""
    found: dict[str, str] = {}
    for path in sorted(directory.glob("*/*.crt")):
        found.setdefault(path.parent.name, str(path))
    return found


def _from_file(path: Path) -> tuple[dict[str, tuple[str, ...]], set[str], dict[str, str]]:
    mirrors: dict[str, tuple[str, ...]] = {}
    insecure: set[str] = set()
    authorities: dict[str, str] = {}
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return mirrors, insecure, authorities
    except (OSError, ValueError) as err:
        raise SpecError(f"cannot read the settings: {err}", location=Location(str(path))) from err
    tables = document.get("registry", {})
    if not isinstance(tables, dict):
        raise SpecError("not a table", location=Location(str(path), key="registry"), hint=_HINT)
    for registry, table in tables.items():
        place = Location(str(path), key=f'registry."{registry}"')
        if not isinstance(table, dict) or not table.keys() <= {"mirrors", "insecure", "ca"}:
            raise SpecError(
                "only mirrors, insecure and ca are known here", location=place, hint=_HINT
            )
        urls = table.get("mirrors", [])
        if not isinstance(urls, list):
            raise SpecError("mirrors is not a list", location=place, hint=_HINT)
        mirrors[registry] = tuple(_mirror(url, place) for url in urls)
        if table.get("insecure", False) is True:
            insecure.add(registry)
        if (authority := table.get("ca")) is not None:
            if not isinstance(authority, str) or not authority.startswith("/"):
                raise SpecError("ca is not the path of a file", location=place, hint=_HINT)
            authorities[registry] = authority
    return mirrors, insecure, authorities


def _mirror(value: object, place: Location) -> str:
    url = value if isinstance(value, str) else ""
    if "://" not in url:
        url = f"https://{url}"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise SpecError(
            f'"{value}" is not the address of a registry',
            location=place,
            hint='write it as "http://127.0.0.1:5055"; logins belong into ~/.docker/config.json',
        )
    return url.rstrip("/")


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
