"""Names of users and groups -> numbers, by the passwd and group of a root file system.

Reads through a tree, so that nothing outside the root is ever looked at.
"""

from __future__ import annotations

from orchestra.engine.build.tree import Tree
from orchestra.errors import BuildError

_FILE_BYTES_MAX = 4 << 20


def resolve_owner(text: str, tree: Tree) -> tuple[int, int]:
    """Return uid and gid of "user[:group]", as --chown takes it.

    A number without a group is its own group; a name without one has its passwd entry's. Without
    a user it is root.

    :raises BuildError: when a name is not in the root's passwd or group.
    """
    user, colon, group = text.partition(":")
    uid, gid = _user(user or "0", tree)
    return uid, _group(group, tree) if colon and group else gid


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) < 2**32 - 1 else None


def _user(user: str, tree: Tree) -> tuple[int, int]:
    number = _number(user)
    if number is not None:
        return number, number
    for fields in _database(tree, "/etc/passwd"):
        if len(fields) >= 4 and fields[0] == user:
            uid, gid = _number(fields[2]), _number(fields[3])
            if uid is not None and gid is not None:
                return uid, gid
    if user == "root":
        return 0, 0
    raise BuildError(
        f'there is no user "{user[:100]}" in the image',
        hint="add it in an earlier step, or use a number",
    )


def _group(group: str, tree: Tree) -> int:
    number = _number(group)
    if number is not None:
        return number
    for fields in _database(tree, "/etc/group"):
        gid = _number(fields[2]) if len(fields) >= 3 and fields[0] == group else None
        if gid is not None:
            return gid
    if group == "root":
        return 0
    raise BuildError(
        f'there is no group "{group[:100]}" in the image',
        hint="add it in an earlier step, or use a number",
    )


def _database(tree: Tree, path: str) -> list[list[str]]:
    data = tree.read(path, _FILE_BYTES_MAX) or b""
    return [line.split(":") for line in data.decode("utf-8", "replace").splitlines()]
