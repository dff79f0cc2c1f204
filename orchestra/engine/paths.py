"""Where things lie on disk, for root and rootless, from a given environment mapping.

Pure: makes no directory and reads none. ``data`` survives a reboot, ``run`` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from orchestra.values import dataclass


@lru_cache(maxsize=4096)
def below(root: PurePosixPath, names: str) -> PurePosixPath:
    """Return a path below another one; made once, for it is asked for at every turn."""
    return root / names


@dataclass(frozen=True, slots=True)
class Paths:
    """The two roots of Orchestra's state, and the names below them."""

    data: PurePosixPath
    run: PurePosixPath
    config: PurePosixPath

    @property
    def images(self) -> PurePosixPath:
        """Return the OCI image layout that holds every blob."""
        return below(self.data, "images")

    @property
    def snapshots(self) -> PurePosixPath:
        """Return the unpacked read-only layers, one directory per chain id."""
        return below(self.data, "snapshots")

    @property
    def build_cache(self) -> PurePosixPath:
        """Return the builder's cache records."""
        return self.data / "build-cache"

    @property
    def memo(self) -> PurePosixPath:
        """Return what may be worked out again: results by the digest of their origin."""
        return self.data / "memo"

    @property
    def volumes(self) -> PurePosixPath:
        """Return the named volumes, ``<name>/_data`` each."""
        return below(self.data, "volumes")

    @property
    def networks(self) -> PurePosixPath:
        """Return the network records, one JSON file each."""
        return below(self.data, "networks")

    @property
    def projects(self) -> PurePosixPath:
        """Return the directory of project directories."""
        return below(self.data, "projects")

    def project(self, project: str) -> PurePosixPath:
        """Return one project's durable directory: desired.json, lock, containers/."""
        return below(self.data, f"projects/{project}")

    def container(self, project: str, container_id: str) -> PurePosixPath:
        """Return one container's durable directory: record.json, bundle/, rw/, log.jsonl ..."""
        return below(self.data, f"projects/{project}/containers/{container_id}")

    def project_run(self, project: str) -> PurePosixPath:
        """Return one project's volatile directory: launcher.sock, supervisor.{pid,sock}."""
        return below(self.run, f"projects/{project}")

    def container_run(self, project: str, container_id: str) -> PurePosixPath:
        """Return one container's volatile directory: shim.json, init.json, attach.sock."""
        return below(self.run, f"projects/{project}/containers/{container_id}")


def paths_of(environment: Mapping[str, str], *, uid: int) -> Paths:
    """Choose the roots: ORCHESTRA_{DATA,RUN,CONFIG}, else the system's for root, else XDG's."""
    home = PurePosixPath(environment.get("HOME", "/"))
    if uid == 0:
        data, run = PurePosixPath("/var/lib/orchestra"), PurePosixPath("/run/orchestra")
        config = PurePosixPath("/etc/orchestra/config.toml")
    else:
        data = PurePosixPath(environment.get("XDG_DATA_HOME", home / ".local/share")) / "orchestra"
        run = PurePosixPath(environment.get("XDG_RUNTIME_DIR", f"/run/user/{uid}")) / "orchestra"
        config = PurePosixPath(environment.get("XDG_CONFIG_HOME", home / ".config"))
        config = config / "orchestra" / "config.toml"
    return Paths(
        PurePosixPath(environment.get("ORCHESTRA_DATA", data)),
        PurePosixPath(environment.get("ORCHESTRA_RUN", run)),
        PurePosixPath(environment.get("ORCHESTRA_CONFIG", config)),
    )
