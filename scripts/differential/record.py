"""What a build came to, as it is compared and kept: less what its base has, which all know."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts.differential.tree import flatten, line

_CONFIG = (
    "Env", "Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "Volumes", "Labels",
    "StopSignal", "Healthcheck", "OnBuild", "Shell", "ArgsEscaped",
)  # fmt: skip
_MARK = " # buildkit"
"""What BuildKit puts behind its own lines of history, as others do in the comment."""
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Built:
    """An image out of an archive: its config, and its layers as plain tars."""

    config: Mapping[str, Any]
    layers: tuple[bytes, ...]


def read_archive(path: Path) -> Built:
    """Read the one image of an OCI archive, or of docker's."""
    with tarfile.open(path) as file:
        names = set(file.getnames())

        def member(name: str) -> bytes:
            stream = file.extractfile(name)
            assert stream is not None
            return stream.read()

        def blob(descriptor: Mapping[str, Any]) -> bytes:
            return member("blobs/" + descriptor["digest"].replace(":", "/"))

        if "index.json" not in names:
            (entry,) = json.loads(member("manifest.json"))
            config, layers = member(entry["Config"]), [member(name) for name in entry["Layers"]]
        else:
            (first, *_) = json.loads(member("index.json"))["manifests"]
            manifest = json.loads(blob(first))
            if "manifests" in manifest:
                manifest = json.loads(blob(manifest["manifests"][0]))
            config = blob(manifest["config"])
            layers = [blob(layer) for layer in manifest["layers"] or []]
    return Built(json.loads(config), tuple(_plain(data) for data in layers))


@lru_cache(maxsize=64)
def _plain(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def record(
    built: Built, bases: Mapping[str, Sequence[bytes]], *, now: float, epoch: int | None
) -> Record:
    """Tell an image as text: its base, what differs from it, and the whole config."""
    base, below = _base_of(built, bases)
    above = flatten(built.layers[len(below) :], below)
    known = {path: line(node, now) for path, node in flatten((), below).items()}
    tree = {path: line(node, now) for path, node in above.items()}
    process = built.config.get("config") or {}
    found: dict[str, Any] = {
        "base": base,
        "tree": {path: tree[path] for path in sorted(tree) if tree[path] != known.get(path)},
        "gone": sorted(known.keys() - tree.keys()),
        "config": {key: process[key] for key in _CONFIG if process.get(key)},
        "platform": f"{built.config.get('os')}/{built.config.get('architecture')}",
        "layers": len(built.config["rootfs"].get("diff_ids") or []),
        "history": [
            ("  " if entry.get("empty_layer") else "+ ")
            + entry.get("created_by", "").removesuffix(_MARK)
            for entry in built.config.get("history") or []
        ],
    }
    if built.config.get("author"):
        found["author"] = built.config["author"]
    if epoch is not None:
        found["created"] = _second(built.config.get("created"))
        found["times"] = sorted(
            {_second(one.get("created")) for one in built.config.get("history") or []}
        )
    return found


def _second(time: object) -> str:
    return str(time).partition(".")[0].rstrip("Z")


def _base_of(built: Built, bases: Mapping[str, Sequence[bytes]]) -> tuple[str, tuple[bytes, ...]]:
    for name, layers in bases.items():
        if built.layers[: len(layers)] == tuple(layers):
            return name, tuple(layers)
    return "", ()


def replaced(found: Record, words: Mapping[str, str]) -> Record:
    """Put names in the place of what differs from run to run, such as a server's address."""
    text = json.dumps(found)
    for word, name in words.items():
        text = text.replace(word, name)
    changed: Record = json.loads(text)
    return changed


def flat(found: Record) -> dict[str, str]:
    """Return a record as keys, such as tree:/etc/x or config.Env.1, and texts."""
    keys: dict[str, str] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, Mapping):
            for name, below in value.items():
                walk(f"{prefix}:{name}" if prefix == "tree" else f"{prefix}.{name}", below)
        elif isinstance(value, list):
            for number, below in enumerate(value):
                walk(f"{prefix}.{number}", below)
        else:
            keys[prefix] = str(value)

    for name, value in found.items():
        walk(name, value)
    return keys


def write(path: Path, found: Record) -> None:
    """Keep a record, one value a line."""
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=False)
    path.write_bytes(text.encode("utf-8", "surrogateescape") + b"\n")


def stored(path: Path) -> Record:
    """Read a record that was kept."""
    kept: Record = json.loads(path.read_text(encoding="utf-8"))
    return kept
