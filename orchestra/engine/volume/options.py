"""The local driver's options (docker volume create, --opt): type, o and device; pure."""

from __future__ import annotations

from orchestra.errors import VolumeError
from orchestra.planner.desired import VolumeSpec
from orchestra.values import dataclass

_KNOWN = {"type", "o", "device"}
_TMPFS = {"size", "mode", "uid", "gid", "nr_inodes"}


@dataclass(frozen=True, slots=True)
class PlainOption:
    """A directory of our own."""


@dataclass(frozen=True, slots=True)
class BindOption:
    """A directory of the host's."""

    device: str


@dataclass(frozen=True, slots=True)
class TmpfsOption:
    """Memory; ``data`` are tmpfs's own options (tmpfs(5)), checked."""

    data: str


def read_options(spec: VolumeSpec) -> PlainOption | BindOption | TmpfsOption:
    """Say what a volume is made of.

    :raises VolumeError: naming the driver, option or type that is not supported.
    """
    if spec.driver not in {"", "local"}:
        raise _refused(spec, f'driver "{spec.driver}" is not supported', 'use "local"')
    options = spec.driver_options
    for name in sorted(options.keys() - _KNOWN):
        raise _refused(
            spec, f'option "{name}" is not supported', "the local driver has type, o, device"
        )
    if not options:
        return PlainOption()
    kind = options.get("type", "none").lower()
    words = [word for word in options.get("o", "").split(",") if word]
    if kind in {"none", "bind"} and {"bind", "rbind"} & set(words):
        return _bind(spec, words)
    if kind == "tmpfs":
        return _tmpfs(spec, words)
    raise _refused(
        spec, f'type "{kind}" with o "{",".join(words)}" is not supported', "use a bind or a tmpfs"
    )


def _bind(spec: VolumeSpec, words: list[str]) -> BindOption:
    device = spec.driver_options.get("device", "")
    if not device.startswith("/"):
        raise _refused(spec, f'device "{device}" is no absolute path', "write the whole path")
    for word in sorted(set(words) - {"bind", "rbind", "rw"}):
        raise _refused(
            spec, f'mount option "{word}" is not supported', "set it at the service's mount"
        )
    return BindOption(device)


def _tmpfs(spec: VolumeSpec, words: list[str]) -> TmpfsOption:
    kept = []
    for word in words:
        name, _, value = word.partition("=")
        if name not in _TMPFS or not value.rstrip("kKmMgG%").isdecimal():
            raise _refused(
                spec, f'tmpfs option "{word}" is not supported', "use size, mode, uid, gid"
            )
        kept.append(word)
    return TmpfsOption(",".join(kept))


def _refused(spec: VolumeSpec, why: str, hint: str) -> VolumeError:
    return VolumeError(f'cannot create volume "{spec.name}": {why}', hint=hint)
