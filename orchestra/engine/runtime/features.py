"""What this runtime can do, as the runtime spec's features document has it (features.md)."""

from __future__ import annotations

from orchestra.engine.linux.flags import CAPABILITIES
from orchestra.engine.runtime import namespaces, options, seccomp

VERSION = "0.1.0"
OCI_VERSION = "1.2.0"


def features() -> dict[str, object]:
    """Return the features document."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        "mountOptions": options.known_options(),
        "linux": {
            "namespaces": sorted(namespaces.FLAGS),
            "capabilities": list(CAPABILITIES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
            "seccomp": {"enabled": True, **seccomp.known_names()},
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "intelRdt": {"enabled": False},
        },
    }
