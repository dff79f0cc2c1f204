"""Files made of a small description, the same each time: contents, modes, links, archives, times.

A name maps to its text, or to one of: {link: TARGET}, {hardlink: NAME}, {fifo: true},
{socket: true}, {size: BYTES}, {hex: BYTES}, {archive: {NAME: ...}, format: gz}; a name that ends
with "/" is a directory. ``mode``, ``mtime`` and ``xattrs`` (in hex) may stand beside.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MTIME = 1612345678


def fill(root: Path, recipe: Mapping[str, object], mtime: int = MTIME) -> None:
    """Make the files of a recipe below a directory; all their times are ``mtime``, or given."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    times: dict[Path, int] = {}
    for name, value in recipe.items():
        spec = _spec(value)
        path = root / name.rstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(root, path, name, spec)
        if not path.is_symlink() and not {"hardlink", "socket"} & spec.keys():
            path.chmod(_mode(spec, directory=path.is_dir()))
            for key, data in spec.get("xattrs", {}).items():
                os.setxattr(path, key, bytes.fromhex(data))
        if "mtime" in spec:
            times[path] = spec["mtime"]
    found = sorted(root.rglob("*"), key=lambda path: len(path.parts), reverse=True)
    for path in (*found, root):
        time = times.get(path, mtime)
        os.utime(path, (time, time), follow_symlinks=False)


def _spec(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {"text": "" if value is None else str(value)}


def _mode(spec: Mapping[str, Any], *, directory: bool) -> int:
    """Read a mode: a number, or octal digits such as "0o755"."""
    mode = spec.get("mode", 0o755 if directory else 0o644)
    return int(mode, 8) if isinstance(mode, str) else int(mode)


def _make(root: Path, path: Path, name: str, spec: dict[str, Any]) -> None:
    if name.endswith("/"):
        path.mkdir(exist_ok=True)
    elif "link" in spec:
        path.symlink_to(spec["link"])
    elif "hardlink" in spec:
        os.link(root / spec["hardlink"], path)
    elif "fifo" in spec:
        os.mkfifo(path)
    elif "socket" in spec:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        path.write_bytes(content(spec))


def content(spec: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file."""
    if "archive" in spec:
        return archive(spec["archive"], str(spec.get("format", "")))
    if "size" in spec:
        return bytes(index % 251 for index in range(spec["size"]))
    if "hex" in spec:
        return bytes.fromhex(spec["hex"])
    return str(spec.get("text", "")).encode("utf-8", "surrogateescape")


def archive(recipe: Mapping[str, object], compression: str) -> bytes:
    """Write a tar whose members have the given mode, owner, time and kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, value in recipe.items():
            spec = _spec(value)
            if "hardlink" in spec:
                spec = {**_spec(recipe[spec["hardlink"]]), **spec}
            member = tarfile.TarInfo(name.rstrip("/"))
            member.mtime = spec.get("mtime", MTIME)
            member.uid, member.gid = spec.get("owner", (0, 0))
            member.mode = _mode(spec, directory=name.endswith("/"))
            data = b""
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            elif "link" in spec:
                member.type, member.linkname = tarfile.SYMTYPE, spec["link"]
            elif "hardlink" in spec:
                member.type, member.linkname = tarfile.LNKTYPE, spec["hardlink"]
            elif "fifo" in spec:
                member.type = tarfile.FIFOTYPE
            elif "device" in spec:
                member.type = tarfile.CHRTYPE
                member.devmajor, member.devminor = spec["device"]
            else:
                data = content(spec)
                member.size = len(data)
            member.pax_headers = {
                f"SCHILY.xattr.{key}": bytes.fromhex(text).decode("utf-8", "surrogateescape")
                for key, text in spec.get("xattrs", {}).items()
            }
            file.addfile(member, io.BytesIO(data))
    return _packed(buffer.getvalue(), compression)


def _packed(data: bytes, compression: str) -> bytes:
    match compression:
        case "gz":
            return gzip.compress(data, mtime=0)
        case "bz2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case _:
            return data
