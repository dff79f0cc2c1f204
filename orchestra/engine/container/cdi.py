"""CDI, the Container Device Interface: what vendors say that a device needs, put into a bundle.

Specs are JSON or YAML files in two directories; a name is VENDOR/CLASS=DEVICE. The edits of a spec
and of the devices asked for of it are merged into config.json (container-device-interface,
SPEC.md). Files that are damaged matter only to who asks for what they may hold.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from orchestra.errors import ContainerError
from orchestra.oci.runtime import Device, Hook, Hooks, OciMount
from orchestra.values import dataclass, field, replace

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Later ones win, as with docker."""
QUALIFIED = re.compile(
    r"(?P<kind>[A-Za-z](?:[\w.-]*[A-Za-z0-9])?/[A-Za-z](?:[\w.-]*[A-Za-z0-9])?)"
    r"=(?P<name>[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?)",
    re.ASCII,
)
_SPEC_BYTES_MAX = 16 * 1024 * 1024
_VERSION = re.compile(r"v?\d+\.\d+\.\d+")
_HOOKS = frozenset(
    {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
)
_EDITS = frozenset({"env", "deviceNodes", "mounts", "hooks", "additionalGids", "additionalGIDs"})
_KINDS = {"b": stat.S_ISBLK, "c": stat.S_ISCHR, "u": stat.S_ISCHR, "p": stat.S_ISFIFO}

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What devices add to a container: in config.json's words, devices with their permissions."""

    env: tuple[str, ...] = ()
    devices: tuple[tuple[Device, str], ...] = ()
    mounts: tuple[OciMount, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)
    gids: tuple[int, ...] = ()

    def plus(self, other: Edits) -> Edits:
        """Return both, the other's after these."""
        hooks = cast("dict[str, list[Hook]]", {**self.hooks})
        for name, entries in cast("dict[str, list[Hook]]", other.hooks).items():
            hooks[name] = [*hooks.get(name, []), *entries]
        return Edits(
            env=(*self.env, *other.env),
            devices=(*self.devices, *other.devices),
            mounts=(*self.mounts, *other.mounts),
            hooks=cast("Hooks", hooks),
            gids=tuple(dict.fromkeys((*self.gids, *other.gids))),
        )

    def owned_by(self, uid: int, gid: int) -> Edits:
        """Let devices whose owner their spec leaves open be a container's user's (CDI's toOCI)."""
        owner = {key: value for key, value in (("uid", uid), ("gid", gid)) if value}
        devices = tuple(({**owner, **device}, text) for device, text in self.devices)
        return replace(self, devices=devices)  # type: ignore[arg-type] # keys of a Device


class _Damage(Exception):
    """Why a spec cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    path: str
    edits: Document
    devices: Mapping[str, Document]
    annotations: Mapping[str, Mapping[str, str]]
    """Of each device, the spec's included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The devices of this machine by qualified name; ``errors``: why files could not be read."""

    devices: Mapping[str, _Spec]
    errors: tuple[str, ...] = ()

    def has(self, kind: str) -> bool:
        """Tell whether there is any device of a vendor and class."""
        return any(name.startswith(f"{kind}=") for name in self.devices)

    def annotations(self, name: str) -> Mapping[str, str]:
        """Return the annotations of a device; none where it is not there."""
        spec = self.devices.get(name)
        return spec.annotations[name.partition("=")[2]] if spec else {}

    def edits_of(self, names: Sequence[str]) -> Edits:
        """Return what some devices ask for: each spec's own edits once, then the devices'.

        :raises ContainerError: when one is not there, or asks for what cannot be given.
        """
        missing = [name for name in names if name not in self.devices]
        if missing:
            known = ", ".join(sorted(self.devices)) or "none"
            raise ContainerError(
                f"unresolvable CDI devices {', '.join(missing)}",
                hint="; ".join((f"known in {' and '.join(DIRECTORIES)}: {known}", *self.errors)),
            )
        found, seen = Edits(), set()
        for name in dict.fromkeys(names):
            spec = self.devices[name]
            documents = [] if spec.path in seen else [spec.edits]
            seen.add(spec.path)
            for document in (*documents, spec.devices[name.partition("=")[2]]):
                try:
                    found = found.plus(_edits(document))
                except _Damage as err:
                    raise ContainerError(
                        f'cannot use the CDI device "{name}": {err}', hint=f'see "{spec.path}"'
                    ) from err
        return found


def read_registry(directories: Iterable[str] = DIRECTORIES) -> Registry:
    """Read every spec; of two in one directory that define the same device neither counts."""
    devices: dict[str, _Spec] = {}
    errors: list[str] = []
    for directory in directories:
        here: dict[str, _Spec] = {}
        clashes: set[str] = set()
        for path in _files(directory):
            try:
                kind, spec = _read(path)
            except _Damage as err:
                errors.append(f'"{path}": {err}')
                continue
            names = {f"{kind}={name}" for name in spec.devices}
            clashes |= names & here.keys()
            here |= dict.fromkeys(names, spec)
        for name in sorted(clashes):
            errors.append(f'"{name}" is defined twice in {directory}')
            del here[name]
        devices = {name: spec for name, spec in devices.items() if name not in clashes} | here
    return Registry(devices=devices, errors=tuple(errors))


def _files(directory: str) -> list[Path]:
    try:
        entries = sorted(Path(directory).iterdir())
    except OSError:
        return []
    return [path for path in entries if path.suffix in {".json", ".yaml"} and path.is_file()]


def _read(path: Path) -> tuple[str, _Spec]:
    try:
        with path.open("rb") as file:
            data = file.read(_SPEC_BYTES_MAX + 1)
        if len(data) > _SPEC_BYTES_MAX:
            raise _Damage("it is too large")
        document = json.loads(data) if path.suffix == ".json" else _from_yaml(data)
    except (OSError, ValueError, RecursionError) as err:
        raise _Damage(str(err)) from err
    top = _mapping(document, "the spec")
    if not _VERSION.match(_text(top.get("cdiVersion"), "cdiVersion")):
        raise _Damage("cdiVersion is no version")
    kind = _text(top.get("kind"), "kind")
    common = _annotations(top)
    devices, annotations = {}, {}
    for entry in _list(top.get("devices"), "devices"):
        device = _mapping(entry, "a device")
        name = _text(device.get("name"), "the name of a device")
        if not QUALIFIED.fullmatch(f"{kind}={name}"):
            raise _Damage(f'"{kind}={name}" is no name of a device')
        devices[name] = _mapping(device.get("containerEdits") or {}, "containerEdits")
        annotations[name] = {**common, **_annotations(device)}
    if not devices:
        raise _Damage("it has no devices")
    edits = _mapping(top.get("containerEdits") or {}, "containerEdits")
    return kind, _Spec(path=str(path), edits=edits, devices=devices, annotations=annotations)


def _annotations(document: Document) -> Mapping[str, str]:
    """Return annotations as texts: YAML makes other things of them, which people quote or not."""
    found = _mapping(document.get("annotations") or {}, "annotations")
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in found.items()
    }


def _from_yaml(data: bytes) -> object:
    import yaml  # noqa: PLC0415 - seldom asked for

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as err:
        raise _Damage(str(err)) from err


def _edits(document: Document) -> Edits:
    unknown = sorted(key for key in document.keys() - _EDITS if document[key])
    if unknown:
        raise _Damage(f"{unknown[0]} is not supported")
    env = [_text(line, "env") for line in _list(document.get("env"), "env")]
    if any(line.find("=") <= 0 for line in env):
        raise _Damage("env has a line that is not NAME=VALUE")
    hooks: dict[str, list[Hook]] = {}
    for entry in _list(document.get("hooks"), "hooks"):
        name, hook = _hook(_mapping(entry, "a hook"))
        hooks.setdefault(name, []).append(hook)
    gids = document.get("additionalGids") or document.get("additionalGIDs")
    return Edits(
        env=tuple(env),
        devices=tuple(
            _device(_mapping(entry, "a device node"))
            for entry in _list(document.get("deviceNodes"), "deviceNodes")
        ),
        mounts=tuple(
            _mount(_mapping(entry, "a mount")) for entry in _list(document.get("mounts"), "mounts")
        ),
        hooks=cast("Hooks", hooks),
        gids=tuple(
            gid for gid in (_number(g, "a gid") for g in _list(gids, "additionalGids")) if gid
        ),
    )


def _device(node: Document) -> tuple[Device, str]:
    """Return a device node; what the spec leaves out is the host's."""
    path = _absolute(node.get("path"), "the path of a device node")
    host = _absolute(node.get("hostPath") or path, "the hostPath of a device node")
    kind, major, minor = node.get("type"), node.get("major"), node.get("minor")
    mode = node.get("fileMode")
    if not kind or (not major and kind != "p"):
        try:
            status = Path(host).stat()
        except OSError as err:
            raise _Damage(f'"{host}": {(err.strerror or "").lower()}') from err
        real = next((name for name, test in _KINDS.items() if test(status.st_mode)), "")
        if not real or kind not in {None, "", real, "u" if real == "c" else real}:
            raise _Damage(f'"{host}" is no such device')
        kind = real
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        mode = stat.S_IMODE(status.st_mode) if mode is None else mode
    if kind not in _KINDS:
        raise _Damage(f'"{kind}" is no type of a device')
    device: Device = {"type": kind, "path": path}  # type: ignore[typeddict-item] # checked above
    if kind != "p":
        device["major"] = _number(major, "major")
        device["minor"] = _number(minor or 0, "minor")
    for key, value in (("fileMode", mode), ("uid", node.get("uid")), ("gid", node.get("gid"))):
        if value is not None:
            device[key] = _number(value, key)  # type: ignore[literal-required] # of the three
    permissions = _text(node.get("permissions") or "rwm", "permissions")
    permissions = "" if permissions == "none" else permissions
    if not set(permissions) <= set("rwm"):
        raise _Damage(f'"{permissions}" are no permissions')
    return device, permissions


def _mount(mount: Document) -> OciMount:
    source = _text(mount.get("hostPath"), "the hostPath of a mount")
    target = _absolute(mount.get("containerPath"), "the containerPath of a mount")
    kind = _text(mount.get("type") or "bind", "the type of a mount")
    options = [_text(o, "an option") for o in _list(mount.get("options"), "options")]
    bound = bool({"bind", "rbind"} & {*options})
    if kind in {"bind", "none"} and not bound:
        options.insert(0, "rbind")
        bound = True
    if bound and not Path(_absolute(source, "the hostPath of a mount")).exists():
        raise _Damage(f'"{source}": no such file or directory')
    return {"destination": target, "type": kind, "source": source, "options": options}


def _hook(hook: Document) -> tuple[str, Hook]:
    name = _text(hook.get("hookName"), "hookName")
    if name not in _HOOKS:
        raise _Damage(f'unknown hook name "{name}"')
    made: Hook = {"path": _absolute(hook.get("path"), "the path of a hook")}
    if args := _list(hook.get("args"), "args"):
        made["args"] = [_text(arg, "args") for arg in args]
    if env := _list(hook.get("env"), "env"):
        made["env"] = [_text(line, "env") for line in env]
    if hook.get("timeout") is not None:
        made["timeout"] = _number(hook["timeout"], "timeout")
    return name, made


def _mapping(value: object, what: str) -> Document:
    if not isinstance(value, dict):
        raise _Damage(f"{what} is no mapping")
    return value


def _list(value: object, what: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _Damage(f"{what} is no list")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _Damage(f"{what} is no text")
    return value


def _absolute(value: object, what: str) -> str:
    path = _text(value, what)
    if not path.startswith("/"):
        raise _Damage(f'{what}, "{path}", is not absolute')
    return path


def _number(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _Damage(f"{what} is no number")
    return value
