"""``RUN --mount=``: what a build step sees beyond its root file system.

Pure: text -> RunMount (docs of BuildKit's Dockerfile reference, "RUN --mount").
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Callable
from typing import Literal

from orchestra.engine.build.nearest import did_you_mean
from orchestra.errors import BuildError
from orchestra.values import dataclass

Kind = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_FILES = ("cache", "secret", "ssh")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMount:
    """One mount of a RUN; ``target`` is absolute.

    It is "" for a secret that is only in ``env``, and for an agent's socket at its usual place.
    """

    kind: Kind
    target: str
    stage: str = ""
    source: str = ""
    read_only: bool = False
    size_bytes: int | None = None
    id: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def _fields(text: str) -> list[tuple[str, str | None]]:
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise BuildError(f'--mount "{text[:200]}" is not comma-separated') from error
    out: list[tuple[str, str | None]] = []
    for field in row:
        key, equals, value = field.partition("=")
        key = key.lower()
        out.append((_ALIASES.get(key, key), value if equals else None))
    return out


def check_early(text: str) -> None:
    """Refuse what can be refused before variables are known.

    :raises BuildError: when the mount is not comma-separated, or of a kind that is not supported.
    """
    for key, value in _fields(text):
        if key == "type" and value is not None and "$" not in value:
            _kind(value)


def stages_of(mounts: tuple[str, ...]) -> tuple[str, ...]:
    """Return what --mount=from= names: stages or images, never a variable."""
    return tuple(
        value for mount in mounts for key, value in _fields(mount) if key == "from" and value
    )


def _kind(value: str) -> Kind:
    match value.lower():
        case "bind":
            return "bind"
        case "cache":
            return "cache"
        case "tmpfs":
            return "tmpfs"
        case "secret":
            return "secret"
        case "ssh":
            return "ssh"
        case _:
            raise BuildError(
                f"--mount=type={value[:50]} is not supported",
                hint=did_you_mean(value, _KINDS) or f"it is one of {', '.join(_KINDS)}",
            )


def read_mount(text: str, expand: Callable[[str], str], cwd: str) -> RunMount:
    """Read one --mount, its variables expanded, its target made absolute from ``cwd``.

    :raises BuildError: when a field is unknown, or makes no sense for the kind.
    """
    fields: dict[str, str] = {}
    for key, value in _fields(text):
        if value is None:
            if key not in ("readonly", "readwrite", "required"):
                raise BuildError(f'--mount: "{key[:50]}" needs a value')
            value = "true"  # noqa: PLW2901
        elif key == "from":
            if "$" in value[:-1]:
                raise BuildError("--mount: from cannot hold a variable")
        else:
            value = expand(value)  # noqa: PLW2901
        if key not in _KEYS:
            raise BuildError(
                f'--mount: unknown key "{key[:50]}"', hint=did_you_mean(key, list(_KEYS)) or None
            )
        fields[key] = value
    kind = _kind(fields.get("type", "bind"))
    _check(kind, fields)
    return _made(kind, fields, cwd)


def _made(kind: Kind, fields: dict[str, str], cwd: str) -> RunMount:
    target = fields.get("target", "")
    identity = fields.get("id", "")
    source = fields.get("source", "")
    if kind == "secret":
        identity = source or identity or posixpath.basename(target)
        if not target and "env" not in fields:
            target = f"/run/secrets/{posixpath.basename(identity)}"
    elif kind == "cache":
        identity = identity or posixpath.normpath(target)
    elif kind == "ssh":
        identity = identity or "default"
    if target or kind not in ("secret", "ssh"):
        target = posixpath.normpath(posixpath.join("/", cwd, target))
        target = "/" + target.lstrip("/")
        if target == "/":
            raise BuildError('--mount: "/" cannot be a target')
    read_only = kind in ("bind", "secret", "ssh")
    if "readonly" in fields:
        read_only = _flag("readonly", fields["readonly"])
    if "readwrite" in fields:
        read_only = not _flag("readwrite", fields["readwrite"])
    return RunMount(
        kind=kind,
        target=target,
        stage=fields.get("from", ""),
        source=source,
        read_only=read_only,
        size_bytes=_size(fields["size"]) if "size" in fields else None,
        id=identity,
        sharing=_sharing(fields.get("sharing", "shared")),
        required=_flag("required", fields.get("required", "false")),
        env=fields.get("env"),
        mode=_number("mode", fields["mode"], 8) if "mode" in fields else None,
        uid=_number("uid", fields["uid"], 10) if "uid" in fields else None,
        gid=_number("gid", fields["gid"], 10) if "gid" in fields else None,
    )


def _check(kind: str, fields: dict[str, str]) -> None:
    for key, kinds in _KEYS.items():
        if key in fields and kind not in kinds:
            raise BuildError(f"--mount: {key} is not allowed for type={kind}")
    if kind == "secret":
        if not any(fields.get(key) for key in ("source", "target", "id")):
            raise BuildError("--mount: a secret needs an id or a target")
        if fields.get("source") and fields.get("id"):
            raise BuildError("--mount: a secret has either id or source")


_KEYS: dict[str, tuple[str, ...]] = {
    "type": _KINDS,
    "from": ("bind", "cache"),
    "source": ("bind", "cache", "secret"),
    "target": _KINDS,
    "readonly": _KINDS,
    "readwrite": _KINDS,
    "size": ("tmpfs",),
    "id": _KINDS,
    "sharing": ("cache",),
    "required": ("secret", "ssh"),
    "env": ("secret",),
    "mode": _FILES,
    "uid": _FILES,
    "gid": _FILES,
}
"""Keys, and the kinds that may have them."""


def _flag(key: str, text: str) -> bool:
    if text not in (*_TRUE, *_FALSE):
        raise BuildError(f'--mount: {key} is true or false, not "{text[:50]}"')
    return text in _TRUE


def _number(key: str, text: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not text or text.strip(digits) or int(text, base) >= 2**32:
        raise BuildError(f'--mount: {key} "{text[:50]}" is not a number')
    return int(text, base)


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BuildError(f'--mount: size "{text[:50]}" is not a size', hint="write it as 64m")
    return int(float(match[1]) * (1 << _UNITS[match[2].lower()]))


def _sharing(text: str) -> Literal["shared", "private", "locked"]:
    match text.lower():
        case "shared":
            return "shared"
        case "private":
            return "private"
        case "locked":
            return "locked"
        case _:
            raise BuildError(f'--mount: sharing is shared, private or locked, not "{text[:50]}"')
