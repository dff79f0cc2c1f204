"""Is an image store whole? Every blob what its name says, every reference complete."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from orchestra.engine.paths import Paths


def check_store(paths: Paths) -> list[str]:
    """Return what is wrong with a store; whoever writes to it must have ended."""
    root = Path(paths.images)
    blobs = root / "blobs" / "sha256"
    wrong = []
    for path in blobs.glob("*") if blobs.is_dir() else ():
        if path.name.startswith("."):
            continue  # a writer's temporary file, which the next sweep removes
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            wrong.append(f"blob {path.name[:12]} is damaged")
    try:
        entries = json.loads((root / "index.json").read_bytes())["manifests"]
    except FileNotFoundError:
        entries = []
    for entry in entries:
        manifest = _blob(blobs, entry["digest"])
        if manifest is None:
            wrong.append(f"manifest {entry['digest'][7:19]} is missing")
            continue
        wrong += _lacking(blobs, json.loads(manifest))
    return wrong


def _lacking(blobs: Path, document: dict) -> list[str]:  # type: ignore[type-arg]
    """Return what a manifest lacks; of an index, what those lack that are here."""
    if "manifests" in document:
        inner = [_blob(blobs, entry["digest"]) for entry in document["manifests"]]
        return [text for data in inner if data for text in _lacking(blobs, json.loads(data))]
    wrong = []
    for one in (document["config"], *document["layers"]):
        data = _blob(blobs, one["digest"])
        if data is None or len(data) != one["size"]:
            wrong.append(f"{document['config']['digest'][7:19]} lacks {one['digest'][7:19]}")
    return wrong


def leftovers(paths: Paths) -> list[str]:
    """Return what lies in a store that nothing leads to: what a prune has to remove."""
    root = Path(paths.images)
    found = [path for path in (root / "ingest").glob("*") if path.name != "lock"]
    found += list((root / "blobs" / "sha256").glob(".*"))
    found += list(root.glob(".*"))
    snapshots = Path(paths.snapshots)
    found += [path for path in snapshots.glob(".*") if not path.name.startswith(".lock-")]
    return sorted(path.name for path in found)


def _blob(blobs: Path, digest: str) -> bytes | None:
    path = blobs / digest.removeprefix("sha256:")
    return path.read_bytes() if path.exists() else None
