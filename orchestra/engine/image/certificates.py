"""Certificates of registries, where docker and podman have theirs: certs.d/HOST[:PORT]/.

``*.crt`` are authorities to trust beside the system's; ``NAME.cert`` with ``NAME.key`` is what we
show of ourselves. Only found here; the HTTP client reads them when it talks to that host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestra.values import dataclass, replace

_SYSTEM = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files of one host; ``verify`` False trusts whatever it shows."""

    authorities: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    verify: bool = True


Trust = bool | Certificates
"""Whom TLS trusts: the system's roots, anybody (False), or some more; and who we are."""


def for_another_host(trust: Trust) -> Trust:
    """Return what holds where a registry leads us: we do not say there who we are."""
    if isinstance(trust, Certificates):
        return replace(trust, certificate="", key="")
    return trust


def certificate_directories(config: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where certificates may lie, our own place first."""
    home = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '/root')}/.config"
    users = (Path(home, "docker/certs.d"), Path(home, "containers/certs.d"))
    return (config.parent / "certs.d", *users, *_SYSTEM)


def find_certificates(directories: Iterable[Path]) -> dict[str, Certificates]:
    """Return what there is, by host; of several certificates to show, the first."""
    found: dict[str, Certificates] = {}
    for directory in directories:
        for place in sorted(directory.glob("*/")):
            known = found.get(place.name, Certificates())
            found[place.name] = _with(known, sorted(place.glob("*")))
    return {host: each for host, each in found.items() if each != Certificates()}


def _with(known: Certificates, files: list[Path]) -> Certificates:
    authorities = tuple(str(path) for path in files if path.suffix == ".crt")
    known = replace(known, authorities=known.authorities + authorities)
    own = [path for path in files if path.suffix in {".cert", ".key"}]
    if known.certificate or known.key or not own:
        return known
    first = own[0].stem
    named = {path.suffix: str(path) for path in own if path.stem == first}
    return replace(known, certificate=named.get(".cert", ""), key=named.get(".key", ""))
