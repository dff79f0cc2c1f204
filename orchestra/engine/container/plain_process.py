"""The process of an exec, as config.json has it. Pure, and imports next to nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orchestra.oci.runtime import Capabilities, Process, RuntimeConfig, User


def capability_sets(names: Collection[str], *, uid: int) -> Capabilities:
    """Return the five sets of config.json for a process that runs as ``uid``.

    Inheritable and ambient are always empty; a user other than root starts with nothing but the
    bounding set, so that only a set-user-ID or file-capability program can gain from it.
    """
    bounding = list(names)
    held = list(names) if uid == 0 else []
    return {
        "bounding": bounding,
        "effective": held,
        "permitted": held[:],
        "inheritable": [],
        "ambient": [],
    }


def override_environment(base: Iterable[str], changes: Mapping[str, str]) -> list[str]:
    """Return ``base`` with some values changed or added."""
    merged = {**dict(pairs(base)), **changes}
    return [f"{key}={value}" for key, value in merged.items()]


def pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Return NAME=value lines taken apart."""
    for line in lines:
        key, _, value = line.partition("=")
        if key:
            yield key, value


def absolute(path: str) -> str:
    """Return a working directory as an absolute path."""
    return path if path.startswith("/") else f"/{path}"


def exec_process(
    config: RuntimeConfig,
    args: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: str | None = None,
    user: User | None = None,
    home: str = "/",
    tty: bool = False,
    privileged: bool = False,
) -> Process:
    """Return the process of an exec: the container's own walls, unless ``privileged``.

    ``user`` None is the container's; ``home`` is that of another one.
    """
    base = config.get("process", {})
    changes = dict(environment)
    if tty:
        changes.setdefault("TERM", "xterm")
    if user is not None:
        changes.setdefault("HOME", home)
    names: Sequence[str] = base.get("capabilities", {}).get("bounding", [])
    if privileged:
        from orchestra.engine.container.capabilities import ALL_CAPABILITIES  # noqa: PLC0415

        names = ALL_CAPABILITIES
    root: User = {"uid": 0, "gid": 0}
    who = base.get("user", root) if user is None else user
    process: Process = {
        "terminal": tty,
        "user": who,
        "args": list(args),
        "env": override_environment(base.get("env", []), changes),
        "cwd": absolute(cwd or base.get("cwd", "/")),
        "capabilities": capability_sets(names, uid=who["uid"]),
        "noNewPrivileges": base.get("noNewPrivileges", False) and not privileged,
    }
    if "rlimits" in base:
        process["rlimits"] = base["rlimits"]
    if "apparmorProfile" in base:
        process["apparmorProfile"] = base["apparmorProfile"]
    if "selinuxLabel" in base:
        process["selinuxLabel"] = base["selinuxLabel"]
    return process
