"""Who a container runs as: "user[:group]" looked up in the passwd and group files of its root.

The files are read from the layers (layers.py); nothing is mounted for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from orchestra.engine.container.failures import StartError
from orchestra.engine.container.layers import read_in_layers
from orchestra.values import dataclass

_ID_MAX = 2**31 - 1
_KNOWN_LENGTH = 1 << 14
_HINT = "the image's /etc/passwd and /etc/group know the names; ids always work"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedUser:
    """Ids of a process; ``groups`` holds the supplementary ones, the primary one among them."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = (0,)
    home: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFiles:
    """The lines of a root's /etc/passwd and /etc/group, split at colons."""

    passwd: tuple[tuple[str, ...], ...] = ()
    group: tuple[tuple[str, ...], ...] = ()


def read_user_files(layers: Sequence[str]) -> UserFiles:
    """Read both files from the topmost layer that has them; ``layers`` are topmost first."""
    return UserFiles(
        passwd=_fields(read_in_layers(layers, "etc/passwd"), 6),
        group=_fields(read_in_layers(layers, "etc/group"), 3),
    )


def resolve_user(text: str, files: UserFiles, group_add: Iterable[str] = ()) -> ResolvedUser:
    """Look up "user", "user:group", ids or names; "" is root.

    A numeric user that passwd does not know has group 0. Without a group of its own, the user has
    the supplementary groups of /etc/group. As Docker and runc do.

    :raises StartError: when a name is unknown or an id is out of range.
    """
    user, colon, group = text.partition(":")
    entry = _passwd_entry(user or "0", files)
    if entry is not None:
        uid, gid, home, name = int(entry[2]), int(entry[3]), entry[5] or "/", entry[0]
    else:
        uid, gid, home, name = _identifier(user, "user"), 0, "/", ""
    groups: tuple[int, ...] = ()
    if colon and group:
        gid = _group_id(group, files)
    elif name:
        groups = tuple(
            int(line[2]) for line in files.group if len(line) > 3 and name in line[3].split(",")
        )
    added = tuple(_group_id(added, files) for added in group_add)
    ordered = tuple(dict.fromkeys((gid, *groups, *added)))
    return ResolvedUser(uid=uid, gid=gid, groups=ordered, home=home)


def _fields(text: str, at_least: int) -> tuple[tuple[str, ...], ...]:
    """Split the lines; those too short or without numeric ids are left out."""
    return (_known if len(text) <= _KNOWN_LENGTH else _split)(text, at_least)


@lru_cache(maxsize=64)
def _known(text: str, at_least: int) -> tuple[tuple[str, ...], ...]:
    """Split a file like the last container's."""
    return _split(text, at_least)


def _split(text: str, at_least: int) -> tuple[tuple[str, ...], ...]:
    lines = (tuple(line.strip().split(":")) for line in text.splitlines())
    numeric = 4 if at_least > 3 else 3
    return tuple(
        line
        for line in lines
        if len(line) >= at_least and all(field.isdigit() for field in line[2:numeric])
    )


def _passwd_entry(user: str, files: UserFiles) -> tuple[str, ...] | None:
    for line in files.passwd:
        if line[0] == user:
            return line
    for line in files.passwd:
        if user.isdigit() and int(line[2]) == int(user):
            return line
    return None


def _group_id(group: str, files: UserFiles) -> int:
    for line in files.group:
        if line[0] == group:
            return int(line[2])
    return _identifier(group, "group")


def _identifier(text: str, what: str) -> int:
    if not text and what == "user":
        return 0
    if not (text.isascii() and text.isdigit()):
        raise StartError(f'cannot find the {what} "{text}" in the image', hint=_HINT)
    number = int(text)
    if number > _ID_MAX:
        raise StartError(f"the {what} id {text} is out of range", hint=_HINT)
    return number
