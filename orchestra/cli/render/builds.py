"""Records of builds, in buildx's columns and field names."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra.cli.render.tables import ago, moment_text
from orchestra.engine.events import Event, LogLine

if TYPE_CHECKING:
    from datetime import timedelta

    from orchestra.engine.build.history import BuildRecord
    from orchestra.engine.build.results import Built

HEADER = {
    "Ref": "BUILD ID",
    "Name": "NAME",
    "Status": "STATUS",
    "CreatedAt": "CREATED AT",
    "Duration": "DURATION",
}
_NAME_WIDTH = 36
_LOGS_MAX = 16
_BUILDER = "default/default"
"""The builder and the node of BuildKit's full ids: there is one of each here."""
_TITLES = {
    "Network": "Network",
    "ExtraHosts": "Extra Hosts",
    "CgroupParent": "Cgroup Parent",
    "ImageResolveMode": "Image Resolve Mode",
    "MultiPlatform": "Multi-Platform",
    "NoCache": "No Cache",
    "NoCacheFilter": "No Cache Filter",
    "ShmSize": "Shm Size",
    "Ulimit": "Resource Limits",
    "Memory": "Memory",
    "MemorySwap": "Memory Swap",
    "CPUShares": "CPU Shares",
    "CPUPeriod": "CPU Period",
    "CPUQuota": "CPU Quota",
    "CPUSetCPUs": "CPUSet CPUs",
}


def full_reference(identity: str) -> str:
    """Return the id of a build as BuildKit gives it: builder/node/id."""
    return f"{_BUILDER}/{identity}"


def duration_text(duration: timedelta) -> str:
    """Return a duration as buildx writes it."""
    seconds = duration.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{int(seconds // 60)}m {int(seconds) % 60:2d}s"


def build_row(record: BuildRecord, *, whole: bool) -> dict[str, str]:
    """Return the fields of one build; ``whole``: nothing is cut."""
    name = record.name
    if not whole and len(name) > _NAME_WIDTH:
        name = f"..{name[2 - _NAME_WIDTH :]}"
    return {
        "CreatedAt": f"{ago(record.began_at)} ago",
        "Duration": duration_text(record.duration) + ("+" if record.ended_at is None else ""),
        "FullRef": full_reference(record.id),
        "Link": "",
        "Name": name,
        "Ref": record.id,
        "Status": record.status.title(),
    }


def build_json(record: BuildRecord) -> dict[str, object]:
    """Return buildx's object of one build."""
    ended = record.ended_at
    return {
        "cached_steps": record.cached,
        **({"completed_at": moment_text(ended)} if ended else {}),
        "completed_steps": record.completed,
        "created_at": moment_text(record.began_at),
        "name": record.name,
        "ref": full_reference(record.id),
        "status": record.status.title(),
        "total_steps": record.total,
    }


def build_document(record: BuildRecord, *, whole: bool = False) -> dict[str, object]:
    """Return buildx's document of one build; what is empty is left out unless ``whole``."""
    ended = record.ended_at
    document: dict[str, object] = {
        "Name": record.name,
        "Ref": record.id,
        "Context": _here(record.context),
        "Dockerfile": _below(record.dockerfile, record.context),
        "Target": record.target,
        "Platform": list(record.platforms),
        "NamedContexts": [{"Name": k, "Value": v} for k, v in record.contexts.items()],
        "StartedAt": moment_text(record.began_at),
        "CompletedAt": moment_text(ended) if ended else "",
        "Duration": round(record.duration.total_seconds() * 1e9),
        "Status": {"error": "failed"}.get(record.status, record.status),
        "Error": {"Message": _wrong(record)} if record.status == "error" else {},
        "NumCompletedSteps": record.completed,
        "NumTotalSteps": record.total,
        "NumCachedSteps": record.cached,
        "BuildArgs": [{"Name": name} for name in record.arguments],
        "Config": dict(record.config),
        "Materials": [{"URI": uri, "Digests": [digest]} for uri, digest in record.materials],
        "Image": record.image,
        "Digest": record.digest,
        "Tags": list(record.names),
    }
    kept = {"NumCompletedSteps", "NumTotalSteps", "NumCachedSteps", "Config"}
    return {key: value for key, value in document.items() if whole or value or key in kept}


def metadata_of(built: Built, environment: Mapping[str, str]) -> str:
    """Return what ``--metadata-file`` is to hold, in buildx's words and on its conditions."""
    document: dict[str, object] = {
        "buildx.build.ref": full_reference(built.record),
        "containerimage.config.digest": built.id,
        "containerimage.descriptor": {
            "mediaType": built.target.media_type,
            "digest": built.target.digest,
            "size": built.target.size,
        },
        "containerimage.digest": built.target.digest,
    }
    if built.names:
        from orchestra.oci.reference import parse_reference

        document["image.name"] = ",".join(str(parse_reference(name)) for name in built.names)
    if environment.get("BUILDX_METADATA_WARNINGS", "").lower() in {"1", "t", "true"}:
        texts = [base64.b64encode(text.encode("utf-8", "replace")) for text in built.warnings]
        document["buildx.build.warnings"] = [
            {"level": 1, "short": text.decode("ascii")} for text in texts
        ]
    return json.dumps(document, indent=2)


def build_lines(record: BuildRecord, told: Iterable[Event], *, named: bool) -> list[str]:
    """Return a build as text; ``named``: who asks knows its id."""
    percent = record.cached * 100 // record.total if record.total else 0
    running = " (running)" if record.ended_at is None else ""
    of_it = {
        "Name": record.name,
        "Ref": "" if named else record.id,
        "Context": _here(record.context),
        "Dockerfile": _below(record.dockerfile, record.context),
        "Target": record.target,
        "Platforms": ", ".join(record.platforms),
    }
    became = {
        "Started": record.began_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        "Duration": f"{duration_text(record.duration)}{running}",
        "Error": _wrong(record, whole=False) if record.status == "error" else "",
        "Status": "Canceled" if record.status == "canceled" else "",
        "Build Steps": f"{record.completed}/{record.total} ({percent}% cached)",
        "Image": record.image,
        "Digest": record.digest,
        "Tags": ", ".join(record.names),
    }
    config = {_TITLES.get(key, key): _text(value) for key, value in record.config.items()}
    arguments = [(name, "") for name in record.arguments]
    blocks = [
        _pairs(of_it),
        _table(("NAMED CONTEXT", "VALUE"), list(record.contexts.items())),
        _pairs(became),
        _pairs(config),
        _table(("BUILD ARG", ""), arguments),
        ["Materials:", *_table(("URI", "DIGEST"), record.materials)] if record.materials else [],
        _last_said(told) if record.status == "error" else [],
        [f"Print build logs: orchestra builder history logs {record.id}"],
    ]
    lines = [line for block in blocks if block for line in (*block, "")]
    return lines[:-1]


def _pairs(fields: Mapping[str, str]) -> list[str]:
    shown = {key: text for key, text in fields.items() if text}
    width = max(map(len, shown), default=0) + 3
    return [f"{f'{key}:':{width}}{text}" for key, text in shown.items()]


def _table(header: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    width = max(len(key) for key, _ in (header, *rows)) + 3
    return [f"{key:{width}}{text}".rstrip() for key, text in (header, *rows)]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "true" if value is True else str(value)


def _last_said(told: Iterable[Event]) -> list[str]:
    """Return the end of what the step said that failed."""
    lines = [event for event in told if isinstance(event, LogLine)]
    own = [line for line in lines if line.source == lines[-1].source][-_LOGS_MAX:]
    said = [f"> {line.text.rstrip()}" for line in own]
    return ["Logs:", f"> => {own[-1].source}:", *said] if own else []


def _wrong(record: BuildRecord, *, whole: bool = True) -> str:
    """Return what was wrong; without ``whole`` not what the step said, which is told elsewhere."""
    error = record.error if whole else record.error.partition("; its last output:")[0]
    return f"{record.place}: {error}" if record.place else error


def _here(path: str) -> str:
    """Return a path as it is from here, where it is below."""
    return _below(path, os.getcwd())  # noqa: PTH109 - a text is wanted


def _below(path: str, directory: str) -> str:
    if path == directory:
        return "."
    return path.removeprefix(f"{directory.rstrip('/')}/") if directory else path
