"""Where one container's files lie, and what the small ones among them say."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from orchestra.engine.linux.files import read_bytes, write_file
from orchestra.engine.linux.proc import is_alive, read_text
from orchestra.engine.state.codec import DecodeError, decode, encode
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import StateError
from orchestra.oci.image import ImageConfig
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.paths import Paths
    from orchestra.engine.shim.protocol import ExitRecord, Identity
    from orchestra.oci.runtime import RuntimeConfig

# names of shim/protocol.py, which takes 4 ms to import; a test compares
INIT_FILE, SHIM_FILE = "init.pid", "shim.pid"
EXIT_FILE, LOG_FILE, REQUEST_FILE = "exit.json", "log.jsonl", "shim.json"
_IMAGE_FILE = "image.json"
_CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class Places:
    """The durable and the volatile directory of one container, and the names in them."""

    directory: Path
    run_directory: Path

    @staticmethod
    def of(paths: Paths, record: ContainerRecord) -> Places:
        """Return a container's places."""
        project = record.spec.project
        return _known(paths.container(project, record.id), paths.container_run(project, record.id))

    @property
    def bundle(self) -> Path:
        """Return the OCI bundle's directory."""
        return _below(self.directory, "bundle")

    @property
    def upper(self) -> Path:
        """Return the writable layer."""
        return _below(self.directory, "rw/upper")

    @property
    def work(self) -> Path:
        """Return overlayfs' own directory beside it."""
        return _below(self.directory, "rw/work")

    @property
    def request(self) -> Path:
        """Return the document that a start is made of."""
        return _below(self.directory, REQUEST_FILE)

    @property
    def log(self) -> Path:
        """Return the log file; older ones are beside it with .1, .2 ..."""
        return _below(self.directory, LOG_FILE)

    @property
    def config(self) -> Path:
        """Return the bundle's config.json."""
        return _below(self.directory, f"bundle/{_CONFIG_FILE}")

    def shim(self) -> Identity | None:
        """Return who the shim is, when it lives."""
        return _living(f"{self.run_directory}/{SHIM_FILE}")

    def init(self) -> Identity | None:
        """Return who the init is, when it lives."""
        return _living(f"{self.run_directory}/{INIT_FILE}")

    def started(self) -> bool:
        """Tell whether the living shim's container has an init, or had one a moment ago."""
        shim, init = (_below(self.run_directory, name) for name in (SHIM_FILE, INIT_FILE))
        try:
            return init.stat().st_mtime_ns >= shim.stat().st_mtime_ns
        except FileNotFoundError:
            return False

    def ever_ran(self) -> bool:
        """Tell whether a shim was here since the last boot."""
        return os.path.exists(f"{self.run_directory}/{SHIM_FILE}")  # noqa: PTH110 - at each start

    def exit(self) -> ExitRecord | None:
        """Return how the container last ended; None when it never did, or nobody knows."""
        try:
            document = json.loads(read_bytes(f"{self.directory}/{EXIT_FILE}"))
        except (OSError, ValueError):
            return None
        known = isinstance(document, dict) and isinstance(document.get("code"), int)
        return cast("ExitRecord", document) if known else None

    def read_config(self) -> RuntimeConfig:
        """Return config.json.

        :raises StateError: when it is missing or damaged.
        """
        try:
            config: RuntimeConfig = json.loads(read_bytes(str(self.config)))
        except (OSError, ValueError) as err:
            raise StateError(
                f'cannot read "{self.config}": {err}', hint="remove the container and up again"
            ) from err
        return config

    def write_image(self, image: ImageConfig) -> None:
        """Keep what the image says about how its containers run."""
        text = json.dumps(encode(image), separators=(",", ":"))
        write_file(f"{self.directory}/{_IMAGE_FILE}", text.encode(), 0o600)

    def read_image(self) -> ImageConfig | None:
        """Return what the image says; None when that is gone."""
        try:
            document = json.loads((self.directory / _IMAGE_FILE).read_bytes())
            return decode(ImageConfig, document)
        except (OSError, ValueError, DecodeError):
            return None


@lru_cache(maxsize=4096)
def _below(directory: Path, names: str) -> Path:
    return directory / names


@lru_cache(maxsize=1024)
def _known(directory: PurePosixPath, run_directory: PurePosixPath) -> Places:
    """Return places, which are asked for several times at each start."""
    return Places(Path(directory), Path(run_directory))


def _living(path: str) -> Identity | None:
    """Return who a file names, when that process lives; see ``shim/identity.py``."""
    try:
        document = json.loads(read_text(path))
        who: Identity = {
            "pid": int(document["pid"]),
            "start_time": int(document["start_time"]),
            "boot_id": str(document["boot_id"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return who if is_alive(who) else None
