"""Reading a bundle: config.json, checked as far as the runtime itself relies on it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import RuntimeConfig

_latest: list[tuple[str, tuple[int, int, int], RuntimeConfig]] = []
"""The last one read: what a launcher has read is there in the processes it forks for it."""


def load_config(bundle: str) -> RuntimeConfig:
    """Read BUNDLE/config.json; not again, if it is the last one read and has not changed.

    :raises RuntimeFailure: when it is missing, no JSON, or of another major version.
    """
    path = f"{bundle}/config.json"
    try:
        signature = _signature(path)
    except OSError as err:
        raise failed("read the bundle", err) from err
    for known in _latest:
        if known[:2] == (path, signature):
            return known[2]
    config = _read(path)
    _latest[:] = [(path, signature, config)]
    return config


def known_config(bundle: str) -> RuntimeConfig | None:
    """Return BUNDLE/config.json if it is the last one read here, and has not changed.

    :raises OSError: when it is gone.
    """
    path = f"{bundle}/config.json"
    if _latest and _latest[0][:2] == (path, _signature(path)):
        return _latest[0][2]
    return None


def _signature(path: str) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - pathlib is 8 ms of import
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: str) -> RuntimeConfig:
    try:
        config = json.loads(read_text(path))
    except OSError as err:
        raise failed("read the bundle", err) from err
    except (ValueError, RecursionError) as err:
        raise RuntimeFailure(f"cannot read {path}: {err}") from err
    if not isinstance(config, dict) or not isinstance(config.get("root"), dict):
        raise RuntimeFailure(f"cannot use {path}: it has no root")
    if not str(config.get("ociVersion", "")).startswith("1."):
        raise RuntimeFailure(f"cannot use {path}: ociVersion is not 1.x")
    _refuse_unsupported(config, path)
    result: RuntimeConfig = config  # type: ignore[assignment] # json gives no TypedDict
    return result


_UNSUPPORTED = {
    "": ("vm",),
    "linux": ("intelRdt", "memoryPolicy", "netDevices"),
    "process": ("execCPUAffinity",),
}
"""Parts of the spec that this runtime does not have: never passed over in silence."""


def _refuse_unsupported(config: Mapping[str, object], path: str) -> None:
    """Refuse what would be ignored.

    :raises RuntimeFailure: naming the first.
    """
    for part, names in _UNSUPPORTED.items():
        values = config.get(part) if part else config
        if not isinstance(values, dict):
            continue
        for name in names:
            if values.get(name):
                raise RuntimeFailure(f"cannot use {path}: {name} is not supported")


def rootfs_of(config: RuntimeConfig, bundle: str) -> str:
    """Return the path of the root file system."""
    path = config["root"].get("path") or "rootfs"
    return path if path.startswith("/") else f"{bundle}/{path}"
