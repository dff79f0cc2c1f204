"""What an image's layers come to: every path, in one line of text; and its config.

Reads the layers with the standard library's tarfile: nothing of this project's own.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

_XATTR = "SCHILY.xattr."
_KINDS = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
}
_SHOWN_BYTES_MAX = 48


@dataclass(slots=True)
class Node:
    """A file of the tree; hard links are names of one node."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    detail: str
    xattrs: Mapping[str, str]
    names: set[str] = field(default_factory=set)


def flatten(layers: Iterable[bytes], below: tuple[bytes, ...] = ()) -> dict[str, Node]:
    """Lay layers, plain tars, over each other, lowest first (image-spec, layer.md).

    What those ``below`` come to is remembered.
    """
    tree = _copied(_remembered(below)) if below else {}
    for data in layers:
        with tarfile.open(fileobj=io.BytesIO(data)) as file:
            members = [(_path(member.name), member) for member in file]
            _white_out(tree, [path for path, _ in members])
            for path, member in members:
                if not path.rpartition("/")[2].startswith(".wh."):
                    _put(tree, path, file, member)
    for path, node in tree.items():
        node.names.add(path)
    return tree


@cache
def _remembered(layers: tuple[bytes, ...]) -> dict[str, Node]:
    return flatten(layers)


def _copied(tree: Mapping[str, Node]) -> dict[str, Node]:
    """Copy a tree; what were names of one node still are."""
    copies = {id(node): replace(node, names=set()) for node in tree.values()}
    return {path: copies[id(node)] for path, node in tree.items()}


def _path(name: str) -> str:
    name = name.removeprefix("./").strip("/")
    return "/" if name == "." else f"/{name}"


def _white_out(tree: dict[str, Node], paths: Iterable[str]) -> None:
    for path in paths:
        parent, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            _remove(tree, parent, itself=False)
        elif name.startswith(".wh."):
            _remove(tree, f"{parent}/{name[4:]}", itself=True)


def _remove(tree: dict[str, Node], path: str, *, itself: bool) -> None:
    below = f"{path}/"
    for known in [known for known in tree if known.startswith(below)]:
        del tree[known]
    if itself:
        tree.pop(path, None)


def _put(tree: dict[str, Node], path: str, file: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if not member.isdir():
        _remove(tree, path, itself=True)
    if member.islnk():
        tree[path] = tree[_path(member.linkname)]
        return
    xattrs = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape").hex()
        for key, value in member.pax_headers.items()
        if key.startswith(_XATTR)
    }
    tree[path] = Node(
        _KINDS.get(member.type, "file"),
        0o777 if member.issym() else member.mode & 0o7777,  # docker's have the kind in it as well
        (member.uid, member.gid),
        int(member.mtime),
        _detail(file, member),
        xattrs,
    )


def _detail(file: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    if member.issym():
        return f"-> {member.linkname}"
    if member.ischr() or member.isblk():
        return f"{member.devmajor}:{member.devminor}"
    if not member.isreg():
        return ""
    stream = file.extractfile(member)
    data = b"" if stream is None else stream.read()
    if len(data) <= _SHOWN_BYTES_MAX:
        return repr(data.decode("utf-8", "backslashreplace"))
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


def line(node: Node, now: float) -> str:
    """Tell all of a node; a time not before ``now`` is "now"."""
    uid, gid = node.owner
    words = [node.kind, f"{node.mode:o}", f"{uid}:{gid}"]
    words.append("@now" if node.mtime >= int(now) else f"@{node.mtime}")
    words += [f"{key}={value}" for key, value in sorted(node.xattrs.items())]
    if len(node.names) > 1:
        words.append(f"names={','.join(sorted(node.names))}")
    return " ".join([*words, node.detail]).rstrip()
