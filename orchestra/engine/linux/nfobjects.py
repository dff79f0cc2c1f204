"""What is in nftables' tables: base chains and rules looked at, elements added, in messages.

For what every start asks and does; the rest is text for libnftables (nftables.py).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from itertools import groupby

from orchestra.engine.linux.attributes import NESTED, attribute, read_attributes, text
from orchestra.engine.linux.nfmessages import CREATE, change, dump, transact
from orchestra.values import dataclass

FAMILIES = {"ip": 2, "inet": 1, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
_NAMES = {number: name for name, number in FAMILIES.items()}
_GETCHAIN, _GETRULE, _NEWSETELEM, _DELSETELEM = 4, 7, 12, 14
_HOOK_FORWARD = 2
"""NF_INET_FORWARD, and the same number of a bridge."""
_HOOKED = {"ip", "ip6", "inet", "bridge"}
_POLICY_DROP = 0
_AT_ONCE = 200
"""Elements in one message: its list is one attribute, of 64 KiB at most."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; ``forwards``: it is at the forward hook, ``drops``: what it lets through is lost."""

    family: str
    table: str
    name: str
    forwards: bool = False
    drops: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a set, or a pair of a map: bytes as the kernel compares them."""

    family: str
    table: str
    container: str
    key: bytes
    value: bytes = b""


def list_chains() -> tuple[Chain, ...]:
    """Return every chain of this network namespace.

    :raises OSError: when the kernel has no nf_tables, or refuses.
    """
    return tuple(_chain(family, data) for family, data in dump(_GETCHAIN, b"", socket.AF_UNSPEC))


def _chain(number: int, data: bytes) -> Chain:
    found = read_attributes(data)
    family = _NAMES.get(number, str(number))
    forwards = False
    if 4 in found and family in _HOOKED:
        hook = read_attributes(found[4]).get(1, b"")
        forwards = hook == struct.pack(">I", _HOOK_FORWARD)
    drops = found.get(5) == struct.pack(">I", _POLICY_DROP)
    return Chain(family, _text(found.get(1, b"")), _text(found.get(3, b"")), forwards, drops)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def count_rules(family: str, table: str) -> int:
    """Count a table's rules; there are none where there is no table.

    :raises OSError: when the kernel has no nf_tables, or refuses.
    """
    return len(dump(_GETRULE, text(1, table), FAMILIES[family]))


def add_members(members: Iterable[Member], *, generation: int = 0) -> int:
    """Add members to sets and maps, all or none; one that is there already is no error.

    ``generation`` and what is returned: see :func:`nfmessages.transact`; 0 for no members.

    :raises OSError: EEXIST when a map has another value for a key, ENOENT without the table.
    """
    changes = _changes(_NEWSETELEM, CREATE, members)
    return transact(changes, generation=generation) if changes else 0


def delete_members(members: Iterable[Member], *, generation: int = 0) -> int:
    """Delete members of sets and maps, all or none.

    :raises OSError: ENOENT when one is not there.
    """
    changes = _changes(_DELSETELEM, 0, members)
    return transact(changes, generation=generation) if changes else 0


def _changes(kind: int, flags: int, members: Iterable[Member]) -> list[bytes]:
    def place(member: Member) -> tuple[str, str, str]:
        return member.family, member.table, member.container

    changes: list[bytes] = []
    for (family, table, container), group in groupby(sorted(members, key=place), key=place):
        several = list(group)
        for at in range(0, len(several), _AT_ONCE):
            data = text(1, table) + text(2, container) + _listed(several[at : at + _AT_ONCE])
            changes.append(change(kind, flags, data, FAMILIES[family]))
    return changes


def _listed(members: Sequence[Member]) -> bytes:
    elements = b"".join(attribute(1 | NESTED, _element(member)) for member in members)
    return attribute(3 | NESTED, elements)


def _element(member: Member) -> bytes:
    key = attribute(1 | NESTED, attribute(1, member.key))
    return key + (attribute(2 | NESTED, attribute(1, member.value)) if member.value else b"")
