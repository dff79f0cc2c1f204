"""SELinux: the contexts of a container that asks for some by ``security_opt: label=...``.

What a policy has for containers it names in a file (containers' contexts, else lxc_contexts), and
the options change that as Docker does (go-selinux label.InitLabels). Where the host does not
confine by SELinux they mean nothing. A container that asks for none has none: Docker's default,
which its daemon's --selinux-enabled changes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestra.engine.container.security_options import Contexts
from orchestra.engine.linux import host
from orchestra.errors import ContainerError
from orchestra.hashing import sha256

_CONTEXTS = Path("/usr/share/containers/selinux/contexts")
_POLICIES = Path("/etc/selinux")
_CHECK = Path("/sys/fs/selinux/context")
_CATEGORIES = 1024
_SHARED_LEVEL = "s0"
_PARTS = ("user", "role", "type", "level")
_XATTR = "security.selinux"


def contexts_of(labels: Sequence[str]) -> Contexts:
    """Return what the label options ask for on this host.

    :raises ContainerError: when its policy has nothing for containers, or not what is asked for.
    """
    if not labels or "disable" in labels or not host.has_selinux():
        return Contexts()
    known = _read_contexts()
    process, files = (_split(known.get(key, "")) for key in ("process", "file"))
    if not process or not files:
        raise ContainerError(
            f'cannot set the label "{labels[0]}": the SELinux policy of this host has no contexts '
            "for containers",
            hint="install container-selinux, or remove label=... from security_opt",
        )
    if "level" in process:
        process["level"] = files["level"] = _new_level()
    for label in labels:
        key, _, value = label.partition(":")
        if key == "filetype":
            files["type"] = value
            continue
        process[key] = value
        if key in {"level", "user"}:
            files[key] = value
    found = Contexts(_join(process), _join(files))
    for context in (found.process, found.files):
        _check(context, labels)
    return found


def _check(context: str, labels: Sequence[str]) -> None:
    try:
        _CHECK.write_bytes(context.encode() + b"\0")
    except OSError as err:
        raise ContainerError(
            f'cannot set the label "{", ".join(labels)}": the SELinux policy of this host does not '
            f'know "{context}"',
            hint="change label=... in security_opt",
        ) from err


def _read_contexts() -> dict[str, str]:
    found = {}
    for line in _contexts_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            found[key.strip()] = value.strip().strip('"')
    return found


def _contexts_text() -> str:
    for path in (_CONTEXTS, _policy() / "contexts/lxc_contexts"):
        try:
            return path.read_text(encoding="utf-8")
        except OSError:
            continue
    return ""


def _policy() -> Path:
    """Return the directory of the policy that the host is set to."""
    try:
        lines = (_POLICIES / "config").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition("=")[2].strip() for line in lines if line.startswith("SELINUXTYPE=")]
    return _POLICIES / (names[0] if names else "targeted")


def _split(context: str) -> dict[str, str]:
    """Return a context's parts by name; nothing of what is no context."""
    parts = context.split(":", 3)
    return dict(zip(_PARTS, parts, strict=False)) if len(parts) >= 3 else {}


def _join(parts: dict[str, str]) -> str:
    return ":".join(parts[name] for name in _PARTS if parts.get(name))


def files_context(seed: str) -> str:
    """Return the policy's context of containers' files, with categories that follow from a seed.

    It is for a container without a label. "" where the policy has none.
    """
    parts = _split(_read_contexts().get("file", ""))
    if "level" in parts:
        digest = sha256(seed.encode()).digest()
        first = int.from_bytes(digest[:2]) % _CATEGORIES
        second = (first + 1 + int.from_bytes(digest[2:4]) % (_CATEGORIES - 1)) % _CATEGORIES
        parts["level"] = _level(first, second)
    return _join(parts)


def shared(context: str) -> str:
    """Return a context without categories: each container may have its files."""
    parts = _split(context)
    return _join({**parts, "level": _SHARED_LEVEL} if "level" in parts else parts)


def _level(first: int, second: int) -> str:
    low, high = sorted((first, second))
    return f"{_SHARED_LEVEL}:c{low},c{high}"


def _new_level() -> str:
    """Return two categories of its own: with those of others it shares neither process nor file."""
    import secrets  # noqa: PLC0415 - takes longer than most of what is done here

    first = secrets.randbelow(_CATEGORIES)
    second = secrets.choice([number for number in range(_CATEGORIES) if number != first])
    return _level(first, second)


def relabel(path: str, context: str) -> None:
    """Give a file of ours the context of a container's files; "" leaves it.

    :raises OSError: when the policy knows no such context.
    """
    if context:
        os.setxattr(path, _XATTR, context.encode() + b"\0")
