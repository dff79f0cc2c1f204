"""Mount options of config.json: which are attributes, which propagation, which go to the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.engine.linux.flags import MountAttr, MountFlag
from orchestra.values import dataclass

_ATTRIBUTES_BY_NAME: Mapping[str, tuple[int, int]] = {
    # name: (attributes set, attributes cleared)
    "ro": (MountAttr.RDONLY, 0),
    "rw": (0, MountAttr.RDONLY),
    "nosuid": (MountAttr.NOSUID, 0),
    "suid": (0, MountAttr.NOSUID),
    "nodev": (MountAttr.NODEV, 0),
    "dev": (0, MountAttr.NODEV),
    "noexec": (MountAttr.NOEXEC, 0),
    "exec": (0, MountAttr.NOEXEC),
    "noatime": (MountAttr.NOATIME, MountAttr.ATIME_MASK),
    "atime": (0, MountAttr.ATIME_MASK),
    "relatime": (0, MountAttr.ATIME_MASK),
    "norelatime": (0, MountAttr.ATIME_MASK),
    "strictatime": (MountAttr.STRICTATIME, MountAttr.ATIME_MASK),
    "nostrictatime": (0, MountAttr.ATIME_MASK),
    "nodiratime": (MountAttr.NODIRATIME, 0),
    "diratime": (0, MountAttr.NODIRATIME),
    "nosymfollow": (MountAttr.NOSYMFOLLOW, 0),
    "symfollow": (0, MountAttr.NOSYMFOLLOW),
}
# Plain numbers: operators of IntFlag take a microsecond each, and every start does a hundred.
_ATTRIBUTES = {name: (int(add), int(out)) for name, (add, out) in _ATTRIBUTES_BY_NAME.items()}
_PROPAGATION: Mapping[str, tuple[MountFlag, bool]] = {
    "private": (MountFlag.PRIVATE, False),
    "rprivate": (MountFlag.PRIVATE, True),
    "slave": (MountFlag.SLAVE, False),
    "rslave": (MountFlag.SLAVE, True),
    "shared": (MountFlag.SHARED, False),
    "rshared": (MountFlag.SHARED, True),
    "unbindable": (MountFlag.UNBINDABLE, False),
    "runbindable": (MountFlag.UNBINDABLE, True),
}
_IGNORED = frozenset({"defaults", "async", "nouser", "auto", "noauto", "copy-up", "tmpcopyup"})
_MAPPED = frozenset({"idmap", "ridmap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one mount, sorted by who acts on them.

    ``add`` and ``remove`` are mount attributes, ``recursive_add`` those for the whole tree
    (``rro``); ``data`` are (key, value) for the file system, value None for a flag.
    """

    bind: bool = False
    recursive: bool = False
    add: int = 0
    remove: int = 0
    recursive_add: int = 0
    recursive_remove: int = 0
    propagation: MountFlag | None = None
    propagation_recursive: bool = False
    data: tuple[tuple[str, str | None], ...] = ()


def known_options() -> list[str]:
    """Return the options that the runtime itself understands."""
    recursive = [f"r{name}" for name in _ATTRIBUTES]
    return sorted({*_ATTRIBUTES, *recursive, *_PROPAGATION, "bind", "rbind", *_MAPPED})


def propagation_of(name: str) -> tuple[MountFlag, bool] | None:
    """Return the flag of a propagation type and whether it covers submounts."""
    return _PROPAGATION.get(name)


def parse_options(options: Sequence[str]) -> Options:
    """Sort options as runc does: later ones win over earlier ones of the same kind."""
    state = {"add": 0, "remove": 0, "recursive_add": 0, "recursive_remove": 0}
    propagation: tuple[MountFlag, bool] | None = None
    bind = recursive = False
    data: list[tuple[str, str | None]] = []
    for option in options:
        if option in {"bind", "rbind"}:
            bind, recursive = True, option == "rbind"
        elif option in _ATTRIBUTES:
            _set(state, "", *_ATTRIBUTES[option])
        elif option.startswith("r") and option[1:] in _ATTRIBUTES:
            _set(state, "recursive_", *_ATTRIBUTES[option[1:]])
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
        elif option not in _IGNORED and option not in _MAPPED:
            key, equals, value = option.partition("=")
            data.append((key, value if equals else None))
    return Options(
        bind=bind,
        recursive=recursive,
        **state,
        propagation=propagation[0] if propagation else None,
        propagation_recursive=bool(propagation and propagation[1]),
        data=tuple(data),
    )


def _set(state: dict[str, int], prefix: str, add: int, remove: int) -> None:
    state[f"{prefix}add"] = state[f"{prefix}add"] & ~remove | add
    state[f"{prefix}remove"] = state[f"{prefix}remove"] & ~add | remove
