"""Reading a bundle: config.json, checked as far as the runtime itself relies on it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import RuntimeConfig


def load_config(bundle: str) -> RuntimeConfig:
    """Read BUNDLE/config.json.

    :raises RuntimeFailure: when it is missing, no JSON, or of another major version.
    """
    path = f"{bundle}/config.json"
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
    "linux": ("intelRdt", "memoryPolicy", "mountLabel", "netDevices"),
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
