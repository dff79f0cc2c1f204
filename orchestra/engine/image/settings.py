"""Settings of the pull path: mirrors, registries without TLS, limits; from config.toml and env.

    [registry."docker.io"]
    mirrors = ["http://127.0.0.1:5055"]
    insecure = false
    ca = "/etc/ssl/our-ca.pem"
    cert = "/etc/ssl/our.cert"
    key = "/etc/ssl/our.key"

Certificates are taken from certs.d/HOST beside the config file too, and from docker's and podman's.
ORCHESTRA_REGISTRY_MIRROR="docker.io=http://127.0.0.1:5055 quay.io=https://mirror.example" adds to
it and comes first; ORCHESTRA_INSECURE_REGISTRIES="host:port ..." as well.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from orchestra.engine.image.certificates import (
    Certificates,
    Trust,
    certificate_directories,
    find_certificates,
)
from orchestra.engine.image.layer import Limits
from orchestra.engine.paths import Paths
from orchestra.errors import Location, SpecError
from orchestra.oci.reference import DOCKER_HUB
from orchestra.values import dataclass, field, replace

_HUB_HOST = "registry-1.docker.io"
_FILES = ("ca", "cert", "key")
_HINT = 'write [registry."docker.io"] mirrors = ["http://127.0.0.1:5055"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place to ask: ``url`` has scheme and host, and no slash at its end."""

    url: str
    verify: Trust = True
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
    certificates: Mapping[str, Certificates] = field(default_factory=dict)
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
        if is_loopback(host):
            return (*mirrors, plain, secure)
        if registry in self.insecure:
            return (*mirrors, secure, plain)
        return (*mirrors, secure)

    def _trust(self, host: str) -> Trust:
        found = self.certificates.get(host)
        if host not in self.insecure:
            return found or True
        return replace(found, verify=False) if found else False


def load_settings(paths: Paths, environment: Mapping[str, str]) -> RegistrySettings:
    """Read the settings from the config file, where there is one, and the environment.

    :raises SpecError: when the file or a variable is malformed.
    """
    config = Path(paths.config)
    mirrors, insecure, certificates = _from_file(config)
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
        certificates={
            **find_certificates(certificate_directories(config, environment)),
            **certificates,
        },
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


def _from_file(
    path: Path,
) -> tuple[dict[str, tuple[str, ...]], set[str], dict[str, Certificates]]:
    mirrors: dict[str, tuple[str, ...]] = {}
    insecure: set[str] = set()
    certificates: dict[str, Certificates] = {}
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return mirrors, insecure, certificates
    except (OSError, ValueError) as err:
        raise SpecError(f"cannot read the settings: {err}", location=Location(str(path))) from err
    tables = document.get("registry", {})
    if not isinstance(tables, dict):
        raise SpecError("not a table", location=Location(str(path), key="registry"), hint=_HINT)
    for registry, table in tables.items():
        place = Location(str(path), key=f'registry."{registry}"')
        if not isinstance(table, dict) or not table.keys() <= {"mirrors", "insecure", *_FILES}:
            raise SpecError(
                "only mirrors, insecure, ca, cert and key are known here",
                location=place,
                hint=_HINT,
            )
        urls = table.get("mirrors", [])
        if not isinstance(urls, list):
            raise SpecError("mirrors is not a list", location=place, hint=_HINT)
        mirrors[registry] = tuple(_mirror(url, place) for url in urls)
        if table.get("insecure", False) is True:
            insecure.add(registry)
        if table.keys() & set(_FILES):
            certificates[registry] = _named(table, place)
    return mirrors, insecure, certificates


def _named(table: Mapping[str, object], place: Location) -> Certificates:
    files = dict.fromkeys(_FILES, "")
    for name in _FILES:
        value = table.get(name, "/")
        if not isinstance(value, str) or not value.startswith("/"):
            raise SpecError(f"{name} is not the path of a file", location=place, hint=_HINT)
        files[name] = value if name in table else ""
    authorities = (files["ca"],) if files["ca"] else ()
    return Certificates(authorities=authorities, certificate=files["cert"], key=files["key"])


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


def is_loopback(host: str) -> bool:
    """Tell whether a host, with a port or without, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
