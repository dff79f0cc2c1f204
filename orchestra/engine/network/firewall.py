"""Puts a project's nftables tables into the kernel, keeps them whole, and takes them away.

What the tables say is ruleset.py's. Besides them, a host whose own firewall drops what it forwards
(Docker's FORWARD policy, firewalld, a hand-made table) needs accepts inside that very chain, for a
drop in any base chain wins: two rules per bridge are inserted there, and found again by their
comment. All calls block for some milliseconds: run them in a thread.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from contextlib import suppress

from orchestra.engine.linux import nftables
from orchestra.engine.linux.nfobjects import (
    Chain,
    add_members,
    count_rules,
    delete_members,
    list_chains,
)
from orchestra.engine.linux.nftables import NftablesError
from orchestra.engine.network.members import member_of
from orchestra.engine.network.naming import TABLE_PREFIX
from orchestra.engine.network.ruleset import (
    PORT_RULE_COUNT,
    RULE_COUNT,
    Element,
    add_text,
    delete_text,
    port_table_text,
    table_text,
    with_closed,
)
from orchestra.errors import NetworkError

_HINT = "check that the kernel has nf_tables with nat, and that you are root"
_PROTOCOLS = {"6": "tcp", "17": "udp", "132": "sctp"}


class ChangedError(Exception):
    """The firewall is another one than that which was looked at."""


def ensure_table(table: str, elements: Iterable[Element]) -> None:
    """Make a project's tables with these elements; whole ones only get what they lack.

    :raises NetworkError: when nftables refuses.
    """
    wanted = tuple(elements)
    text = "" if _rules("inet", table) == RULE_COUNT else table_text(table) + "\n"
    _run(text + add_text(table, [e for e in wanted if e.family == "inet"]))
    if _rules("bridge", table) != PORT_RULE_COUNT:
        # Kernels without nf_tables for bridges keep all walls but the one inside a network.
        with suppress(NftablesError):
            nftables.run(port_table_text(table))


def _rules(family: str, table: str) -> int:
    """Count the rules of a table; 0 when there is none."""
    try:
        return count_rules(family, table)
    except OSError:
        return 0


def has_table(table: str) -> bool:
    """Tell whether a project's table is there with every rule."""
    return _rules("inet", table) == RULE_COUNT


def put(table: str, elements: Iterable[Element], *, generation: int = 0) -> int:
    """Add elements, whatever stood under their keys before.

    ``generation``: the one of the firewall that the caller has looked at. Returns the one that
    this has led to, 0 where that is not known or nothing has changed.

    :raises ChangedError: when the firewall is another one by now; nothing is done.
    :raises NetworkError: when nftables refuses.
    """
    wanted = tuple(elements)
    try:
        members = [member_of(table, element) for element in with_closed(wanted)]
        return add_members(members, generation=generation)
    except (OSError, ValueError) as err:  # in text, for who explains it better
        if generation and isinstance(err, OSError) and err.errno == errno.ERESTART:
            raise ChangedError from err
        for element in wanted:
            if element.value:
                with suppress(NftablesError):
                    nftables.run(delete_text(table, [element]))
        _run(add_text(table, wanted))
    return 0


def published(table: str) -> dict[tuple[str, str], str]:
    """Return what the maps of published ports hold: (map, key) to "address . port"."""
    found: dict[tuple[str, str], str] = {}
    for name in ("published", "published_at"):
        try:
            listing = _listed(f"map inet {table} {name}")
        except NftablesError:
            return {}
        elements = re.search(r"elements = \{(.*?)\}", listing, re.DOTALL)
        for pair in elements.group(1).split(",") if elements else []:
            key, _, value = pair.strip().rpartition(" : ")
            found[name, key] = value
    return found


def _listed(what: str) -> str:
    """List something with protocols by name: nft says numbers where there is no /etc/protocols."""
    text = nftables.run(f"list {what}")
    return re.sub(r"(?<![\w.])(6|17|132) \. ", lambda found: f"{_PROTOCOLS[found[1]]} . ", text)


def drop(table: str, elements: Iterable[Element], *, generation: int = 0) -> int:
    """Delete elements; those that are not there are no error.

    A listing costs half a millisecond, a deletion (and one that fails) the kernel's grace period.
    ``generation`` and what is returned: see :func:`put`, but at another one it is done as well.
    """
    wanted = _present(table, tuple(elements))
    if not wanted:
        return generation
    if generation:
        with suppress(OSError, ValueError):
            members = [member_of(table, element) for element in with_closed(wanted)]
            return delete_members(members, generation=generation)
    _drop(table, wanted)
    return 0


def _drop(table: str, wanted: tuple[Element, ...]) -> None:
    try:
        nftables.run(delete_text(table, wanted))
    except NftablesError:
        for command in delete_text(table, wanted).splitlines():
            with suppress(NftablesError):
                nftables.run(command)


def _present(table: str, elements: tuple[Element, ...]) -> tuple[Element, ...]:
    """Leave out elements that are not in a table: parts of their keys stand nowhere in it."""
    listings: dict[str, str] = {}
    for family in {element.family for element in elements}:
        try:
            listings[family] = _listed(f"table {family} {table}")
        except NftablesError:
            listings[family] = ""
    return tuple(
        element
        for element in elements
        if all(part in listings[element.family] for part in element.key.split(" . "))
    )


def remove_table(table: str) -> None:
    """Delete a project's tables; none is no error.

    :raises NetworkError: when nftables refuses.
    """
    # "add" first, so that "delete" finds something whatever a user has done.
    _run(f"add table inet {table}\ndelete table inet {table}")
    with suppress(NftablesError):
        nftables.run(f"add table bridge {table}\ndelete table bridge {table}")


def _run(commands: str) -> None:
    try:
        nftables.run(commands)
    except NftablesError as err:
        raise NetworkError(f"{err}", hint=_HINT) from err


def dropping_chains(chains: Iterable[Chain]) -> tuple[Chain, ...]:
    """Return the chains that drop forwarded packets of ours.

    DOCKER-USER stands for the whole of Docker's; iptables' FORWARD and any other base chain at the
    forward hook count when their policy is drop, firewalld's always (it rejects at its end).
    """
    known = tuple(chains)
    docker = {(c.family, c.table): c for c in known if c.name == "DOCKER-USER"}
    others = (
        chain
        for chain in known
        if chain.forwards
        and not chain.table.startswith(TABLE_PREFIX)
        and (chain.drops or (chain.table, chain.name) == ("firewalld", "filter_FORWARD"))
        and (chain.family, chain.table) not in docker
    )
    return (*docker.values(), *others)


def admit(bridge: str) -> None:
    """Insert accepts for a bridge where the host's own firewall would drop; once each.

    :raises NetworkError: when nftables refuses.
    """
    for chain in dropping_chains(_chains()):
        if _ours(chain, bridge):
            continue
        place = f"{chain.family} {chain.table} {chain.name}"
        _run(
            f'insert rule {place} iifname "{bridge}" counter accept comment "orchestra {bridge}"\n'
            f'insert rule {place} oifname "{bridge}" counter accept comment "orchestra {bridge}"'
        )


def lacks_admission(bridge: str) -> bool:
    """Tell whether a chain of the host drops what a bridge forwards, and has no accept of ours."""
    return any(not _ours(chain, bridge) for chain in dropping_chains(_chains()))


def dismiss(bridge: str) -> None:
    """Delete our accepts for a bridge from the host's chains, and nothing else."""
    for chain in dropping_chains(_chains()):
        place = f"{chain.family} {chain.table} {chain.name}"
        for handle in _ours(chain, bridge):
            with suppress(NftablesError):
                nftables.run(f"delete rule {place} handle {handle}")


def _chains() -> tuple[Chain, ...]:
    try:
        return list_chains()
    except OSError:
        return ()


def _ours(chain: Chain, bridge: str) -> list[str]:
    try:
        listing = nftables.run(f"list chain {chain.family} {chain.table} {chain.name}")
    except NftablesError:
        return []
    return re.findall(rf'comment "orchestra {re.escape(bridge)}" # handle (\d+)', listing)
