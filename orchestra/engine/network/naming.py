"""Names and addresses derived from other names: links, tables, MACs; and which names are valid.

Pure. Names of links and tables carry a hash that also covers the data directory, so that two
installations on one machine do not take each other's links for their own.
"""

from __future__ import annotations

import re

from orchestra.errors import NetworkError
from orchestra.hashing import sha256

BRIDGE_PREFIX = "orc"
VETH_PREFIX = "orcv"
TABLE_PREFIX = "orchestra_"
_RESOURCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")
_INTERFACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}")
_NAME_BYTES_MAX = 253


def _hash(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:10]


def bridge_name(data: str, network: str) -> str:
    """Return the link name of a network's bridge; ``data`` is the data directory."""
    return BRIDGE_PREFIX + _hash(data, "network", network)


def veth_name(data: str, container: str, network: str, number: int = 0) -> str:
    """Return the host's link name of a container's attachment to a network."""
    return VETH_PREFIX + _hash(data, "veth", container, network, str(number))


def table_name(data: str, project: str) -> str:
    """Return the name of a project's nftables tables (families inet and bridge)."""
    return TABLE_PREFIX + _hash(data, "project", project)


def mac_of(address: str, network: str) -> str:
    """Return a locally administered MAC for an address on a network: same address, same MAC.

    A container that takes over an address then answers to what its peers have in their caches.
    """
    return "02:" + sha256(f"{network}\0{address}".encode()).digest()[:5].hex(":")


def check_resource(kind: str, name: str) -> None:
    """Refuse a name that could not be a file's or a network's.

    :raises NetworkError: when it is not made of letters, digits, "_", "." and "-".
    """
    if not _RESOURCE.fullmatch(name):
        raise NetworkError(
            f"cannot use {name!r} as the name of a {kind}: it has characters that are not allowed",
            hint='use letters, digits, "_", "." and "-", starting with a letter or digit',
        )


def is_dns_name(name: str) -> bool:
    """Tell whether a name may stand in a hosts file and in DNS: labels of 1 to 63 characters."""
    return len(name) <= _NAME_BYTES_MAX and all(map(_LABEL.fullmatch, name.split(".")))


def check_dns_name(kind: str, name: str) -> None:
    """Refuse a name that must not stand in a hosts file or in DNS.

    :raises NetworkError: when it is not a host name ("_" is allowed, as services use it).
    """
    if not is_dns_name(name):
        raise NetworkError(
            f"cannot use {name!r} as {kind}: it is not a host name",
            hint='use labels of letters, digits, "-" and "_", at most 63 characters each',
        )


def check_interface(name: str) -> None:
    """Refuse a name that no link can have.

    :raises NetworkError: when it is too long or has odd characters.
    """
    if not _INTERFACE.fullmatch(name):
        raise NetworkError(
            f"cannot use {name!r} as the name of an interface",
            hint="use at most 15 letters and digits",
        )
