"""What forces a recreate, as text: hashes that two runs agree on and that can be told apart.

A container's hash is "v1:" and, for every field that differs from its default, the field's name
and 16 hex digits of the SHA-256 of its canonical JSON: "v1:command=0c1d...,environment=9f86...".
So two hashes can be compared field by field, and a recreate can say what changed although nobody
kept the old values. Of a few variables each has its own entry too, "environment.LEVEL=9f8", to be
named: three digits, so that a label that anybody may read says next to nothing of a value.

Fields at their default are left out: a field that a later version adds does not recreate the
world. Names, numbers, depends_on and the labels that Orchestra sets itself are not part of it, nor
is what the model of a container does not hold (build, pull_policy, scale, profiles), as with docker
compose.

Configs and secrets: docker compose (v5, pkg/compose/hash.go) hashes what a service says of them,
source, target, owner and mode, and neither the file's path nor any content. Here too the bytes of a
file on disk are never read: they reach the container at its next start. But where a file comes
from, and content that the project itself holds, are part of the hash: with docker compose a changed
`content` leaves the old one in place (docker/compose#11900), and a plan must not hide that.

Networks, volumes and builds have plain SHA-256 digests of their canonical JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from orchestra.errors import BugError
from orchestra.hashing import sha256
from orchestra.planner.building import BuildSpec, without_secrets
from orchestra.planner.desired import ContainerSpec, NetworkSpec, VolumeSpec
from orchestra.values import fields_of, replace

OWN_LABELS = "com.docker.compose."
_VERSION = "v1:"
_DIGITS = 16
_VARIABLE = "environment."
_VARIABLE_DIGITS = 3
_MOST_VARIABLES = 16
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")

_NOT_HASHED = frozenset(
    {"project", "service", "number", "name", "config_hash", "depends_on", "attach"}
)

_WORDS: Mapping[str, str] = {
    "cgroup_mode": "cgroup",
    "device_requests": "devices",
    "dns_options": "dns_opt",
    "files": "configs or secrets",
    "health": "healthcheck",
    "heal": "x-orchestra",
    "ipc_mode": "ipc",
    "mounts": "volumes",
    "pid_mode": "pid",
    "resources": "resource limits",
    "shm_size_bytes": "shm_size",
    "storage_bytes": "storage_opt",
    "unset": "environment",
    "uts_mode": "uts",
}
"""Field names that differ from the Compose key that people would look for."""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


def config_hash(spec: ContainerSpec) -> str:
    """Return the hash of everything about a container whose change forces a recreate."""
    spec = _neutral(spec)
    digests = {
        field.name: _digest(getattr(spec, field.name))[:_DIGITS]
        for field in fields_of(type(spec))
        if field.name not in _NOT_HASHED and not field.is_default(getattr(spec, field.name))
    }
    digests |= _variable_digests(spec)
    return _VERSION + ",".join(f"{name}={digest}" for name, digest in sorted(digests.items()))


def _variable_digests(spec: ContainerSpec) -> Mapping[str, str]:
    variables = {**dict.fromkeys(spec.unset), **spec.environment}
    if len(variables) > _MOST_VARIABLES or not all(map(_VARIABLE_NAME.match, variables)):
        return {}
    return {
        _VARIABLE + name: _digest([name, value])[:_VARIABLE_DIGITS]
        for name, value in variables.items()
    }


def changes(old: str, new: str) -> str:
    """Tell what differs between two config hashes: "command, environment changed: LEVEL"."""
    before, after = _parse(old), _parse(new)
    if before is None or after is None:
        return "configuration changed"
    names = _differing(before, after)
    words = {_WORDS.get(name, name) for name in names if not name.startswith(_VARIABLE)}
    if not words:
        return "nothing changed"
    variables = _variables(before, after)
    ending = f": {', '.join(variables)}" if variables else ""
    return f"{', '.join(sorted(words, key=_environment_last))} changed{ending}"


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _environment_last(word: str) -> tuple[bool, str]:
    return word == "environment", word


def _variables(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the variables that differ; none where a hash does not tell them apart."""
    for digests in (before, after):
        named = any(name.startswith(_VARIABLE) for name in digests)
        if not named and {"environment", "unset"} & digests.keys():
            return []
    found = _differing(before, after)
    return sorted(name.removeprefix(_VARIABLE) for name in found if name.startswith(_VARIABLE))


def network_hash(spec: NetworkSpec) -> str:
    """Return the hash of a network's definition: its name is part of it, its key is not."""
    return _digest(replace(spec, key="", config_hash="", labels=_foreign(spec.labels)))


def volume_hash(spec: VolumeSpec) -> str:
    """Return the hash of a volume's definition: its name is part of it, its key is not."""
    return _digest(replace(spec, key="", config_hash="", labels=_foreign(spec.labels)))


def build_hash(spec: BuildSpec) -> str:
    """Return the hash of how an image is built; files of the context are the cache's business."""
    plain = replace(without_secrets(spec), no_cache=False, no_cache_filter=(), pull=False)
    plain = replace(plain, cache_from=(), cache_to=())
    return _digest(replace(plain, labels=_foreign(spec.labels)))


def _neutral(spec: ContainerSpec) -> ContainerSpec:
    """Return the spec without what depends on the replica, and without our own labels."""
    attachments = tuple(
        replace(place, aliases=tuple(name for name in place.aliases if name != spec.name))
        for place in sorted(spec.networks, key=lambda place: place.network)
    )
    return replace(spec, networks=attachments, labels=_foreign(spec.labels))


def _foreign(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {key: value for key, value in labels.items() if not key.startswith(OWN_LABELS)}


def _digest(value: object) -> str:
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _plain(value: object) -> Json:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if fields := fields_of(type(value)):
        return {
            field.name: _plain(item)
            for field in fields
            if not field.is_default(item := getattr(value, field.name))
        }
    if isinstance(value, Iterable):
        return [_plain(entry) for entry in value]
    raise BugError(f"cannot hash a {type(value).__name__}")


def _parse(text: str) -> Mapping[str, str] | None:
    """Return field digests by field; None when this version did not write the hash."""
    if not text.startswith(_VERSION):
        return None
    pairs = (pair.partition("=") for pair in text.removeprefix(_VERSION).split(",") if pair)
    return {name: digest for name, _, digest in pairs}
