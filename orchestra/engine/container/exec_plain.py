"""What an exec asks for, told from documents as they lie on disk: ``exec`` is in a hurry.

Says nothing of what is wrong: whatever is not plain to see is left to who reads records whole
(``exec_request``), and says it.
"""

from __future__ import annotations

import os

from orchestra.engine.container.freezer import is_frozen
from orchestra.engine.container.plain_process import exec_process
from orchestra.engine.linux.proc import is_alive, read_text
from orchestra.engine.state import plain
from orchestra.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestra.engine.linux.process import Identity
    from orchestra.oci.runtime import RuntimeConfig

# names of shim/protocol.py and state/records.py, and the version there, which a test compares
INIT_FILE = "init.pid"
RECORD_FILE = "record.json"
CONFIG_FILE = "config.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainExec:
    """A process to run in a service's container: in that of the index, or the first for 0."""

    service: str
    arguments: Sequence[str]
    index: int
    environment: Mapping[str, str]
    cwd: str | None
    tty: bool
    privileged: bool
    stdin: bool
    detach: bool


def request_of(data: str, run: str, wanted: PlainExec) -> Mapping[str, object]:
    """Return the request to the launcher; ``data`` and ``run`` are the project's two directories.

    :raises NotPlainError: unless the container is there for sure, and runs.
    """
    container_id = _container(f"{data}/containers", wanted.service, wanted.index)
    init = _init(f"{run}/containers/{container_id}/{INIT_FILE}")
    bundle = f"{data}/containers/{container_id}/bundle"
    config: RuntimeConfig = _document(f"{bundle}/{CONFIG_FILE}")  # type: ignore[assignment]
    process = exec_process(
        config,
        wanted.arguments,
        environment=wanted.environment,
        cwd=wanted.cwd,
        tty=wanted.tty,
        privileged=wanted.privileged,
    )
    return {
        "op": "exec",
        "id": container_id,
        "init": init,
        "bundle": bundle,
        "runtime": [],
        "process": process,
        "tty": wanted.tty,
        "rows": 0,
        "columns": 0,
        "detach": wanted.detach,
    }


def _container(directory: str, service: str, index: int) -> str:
    """Return the id of a service's container, its first one where ``index`` is 0."""
    numbers: dict[int, str] = {}
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError as err:
        raise plain.NotPlainError from err
    for name in names:
        if name.startswith("."):
            continue
        record = _record(f"{directory}/{name}/{RECORD_FILE}")
        spec = record.get("spec")
        if not isinstance(spec, dict) or record.get("id") != name:
            raise plain.NotPlainError
        if spec.get("service") != service or record.get("one_off"):
            continue
        number = spec.get("number")
        if spec.get("runtime") or not isinstance(number, int) or number in numbers:
            raise plain.NotPlainError
        numbers[number] = name
    chosen = index or min(numbers, default=0)
    if chosen not in numbers:
        raise plain.NotPlainError
    return numbers[chosen]


def _record(path: str) -> dict[str, object]:
    document = _document(path)
    record = document.get("record")
    if document.get("version") != VERSION or not isinstance(record, dict):
        raise plain.NotPlainError
    return record


def _init(path: str) -> Identity:
    """Return who the init is, when it lives and is not paused."""
    found = _document(path)
    try:
        who: Identity = {
            "pid": int(str(found["pid"])),
            "start_time": int(str(found["start_time"])),
            "boot_id": str(found["boot_id"]),
        }
    except (KeyError, ValueError) as err:
        raise plain.NotPlainError from err
    if not is_alive(who) or is_frozen(who):
        raise plain.NotPlainError
    return who


def _document(path: str) -> dict[str, object]:
    try:
        document = plain.loads(read_text(path).encode("utf-8", "surrogateescape"))
    except (OSError, UnicodeError) as err:
        raise plain.NotPlainError from err
    if not isinstance(document, dict):
        raise plain.NotPlainError
    return document
