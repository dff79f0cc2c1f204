"""Rows of the image commands, in docker's columns and field names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra.cli.render.tables import ago, moment_text, size_text

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.engine.image.catalogue import Listed
    from orchestra.oci.image import Image

HEADER = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
}
HISTORY = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_NONE = "<none>"
_COMMAND_WIDTH = 45


def header_of(*, digests: bool) -> dict[str, str]:
    """Return the columns of ``image ls``."""
    return {field: title for field, title in HEADER.items() if digests or field != "Digest"}


def image_row(line: Listed, size: int, users: int, *, whole: bool) -> dict[str, str]:
    """Return the fields of one name of an image of ``size`` bytes; ``whole``: nothing is cut."""
    image, created = line.image, line.created
    return {
        "Containers": str(users),
        "CreatedAt": created.astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z"),
        "CreatedSince": f"{ago(created)} ago" if created.timestamp() else "N/A",
        "Digest": line.digest or _NONE,
        "ID": _id(image.id, whole=whole),
        "Repository": line.repository or _NONE,
        "SharedSize": "N/A",
        "Size": size_text(size),
        "Tag": line.tag or _NONE,
        "UniqueSize": "N/A",
        "VirtualSize": size_text(size),
    }


def history_rows(
    image: Image,
    moments: Sequence[datetime | None],
    layer_sizes: Sequence[int],
    *,
    whole: bool,
    human: bool,
) -> list[dict[str, str]]:
    """Return the lines of an image's history, newest first; ``moments``: when each was made."""
    sizes = list(layer_sizes)
    rows = []
    for line, created in zip(image.config.history, moments, strict=True):
        size = sizes.pop(0) if sizes and not line.empty_layer else 0
        command = " ".join(line.created_by.split())
        since = f"{ago(created)} ago" if created else "N/A"
        rows.append(
            {
                "Comment": line.comment,
                "CreatedAt": moment_text(created) if created else "N/A",
                "CreatedBy": command if whole else _cut(command),
                "CreatedSince": since if human else (moment_text(created) if created else "N/A"),
                "ID": "<missing>",
                "Size": size_text(size) if human else str(size),
            }
        )
    rows.reverse()
    if rows:
        rows[0]["ID"] = _id(image.id, whole=whole)
    return rows


def inspected(
    lines: Sequence[Listed],
    image: Image,
    raw: Mapping[str, object],
    directories: Sequence[str],
    size: int,
) -> dict[str, object]:
    """Return docker's document of one image; ``raw`` is its config as it was made."""
    names = [line for line in lines if line.reference]
    digests = {f"{line.repository}@{line.digest}" for line in names if line.digest}
    driver: dict[str, object] = {"Name": "overlay2", "Data": None}
    if directories:
        data = {"LowerDir": ":".join(directories[1:]), "UpperDir": directories[0]}
        driver["Data"] = {key: text for key, text in data.items() if text}
    return {
        "Id": image.id,
        "RepoTags": sorted(line.name for line in names if line.tag),
        "RepoDigests": sorted(digests),
        "Parent": "",
        "Comment": image.config.history[-1].comment if image.config.history else "",
        "Created": image.config.created or "",
        "DockerVersion": "",
        "Author": image.config.author,
        "Config": raw.get("config") or {},
        "Architecture": image.config.platform.architecture,
        "Variant": image.config.platform.variant,
        "Os": image.config.platform.os,
        "Size": size,
        "GraphDriver": driver,
        "RootFS": {"Type": "layers", "Layers": list(image.config.diff_ids)},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Descriptor": {"digest": image.manifest},
    }


def _id(identity: str, *, whole: bool) -> str:
    return identity if whole else identity.removeprefix("sha256:")[:12]


def _cut(text: str) -> str:
    return text if len(text) <= _COMMAND_WIDTH else text[: _COMMAND_WIDTH - 1] + "…"
