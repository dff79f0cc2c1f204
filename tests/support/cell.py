"""A place of its own for containers of a busybox root: directories, store, launcher."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from support.patience import FACTOR

from orchestra.engine.clock import SystemClock
from orchestra.engine.container.exec import exec_captured
from orchestra.engine.container.exec_request import ExecOptions
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.container.places import Places
from orchestra.engine.container.requests import shim_request
from orchestra.engine.container.spawning import dial_path
from orchestra.engine.linux import process
from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.shim.identity import read_identity
from orchestra.engine.shim.protocol import Listen, ShimNetwork
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.state.store import Store
from orchestra.oci.digest import Digest
from orchestra.oci.image import Image, ImageConfig
from orchestra.oci.platform import Platform
from orchestra.planner.desired import ContainerSpec

BUSYBOX = "/bin/busybox"
_APPLETS = [
    "sh",
    "cat",
    "echo",
    "sleep",
    "ls",
    "id",
    "yes",
    "head",
    "seq",
    "dd",
    "env",
    "ps",
    "tty",
    "stty",
    "true",
    "false",
    "kill",
    "mount",
    "ip",
    "wc",
    "tr",
    "touch",
    "hostname",
    "httpd",
    "wget",
    "nc",
    "trap",
    "grep",
    "pwd",
    "mkdir",
    "rm",
    "cut",
    "stat",
    "sed",
    "awk",
    "md5sum",
    "usleep",
    "test",
    "od",
]
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
_GROUP = "root:x:0:\nwheel:x:10:alice\nalice:x:1000:\n"


def make_root(directory: Path) -> Path:
    """Make a root file system of busybox alone."""
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev", "home/alice", "run"):
        (directory / name).mkdir(parents=True)
    directory.chmod(0o755)
    shutil.copy(BUSYBOX, directory / "bin" / "busybox")
    for applet in _APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text(_PASSWD)
    (directory / "etc/group").write_text(_GROUP)
    (directory / "tmp").chmod(0o1777)
    return directory


def image(**config: object) -> Image:
    """Return an image of the root; what is given is said by its config."""
    base = ImageConfig(platform=Platform("linux", "amd64"), diff_ids=(), cmd=("/bin/sh",))
    digest = Digest("sha256:" + "0" * 64)
    return Image(
        id=digest,
        manifest=digest,
        config=replace(base, **config),  # type: ignore[arg-type]
        layers=(),
    )


def spec(*args: str, **changes: object) -> ContainerSpec:
    """Return a container without a network that runs ``args``."""
    base = ContainerSpec(
        project="cell",
        service="one",
        number=1,
        name="cell-one-1",
        image="busybox",
        config_hash="",
        entrypoint=args or None,
        network_mode="none",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class Cell:
    """One project's containers in directories of their own."""

    def __init__(self, directory: Path, project: str) -> None:
        environment = {"ORCHESTRA_DATA": f"{directory}/data", "ORCHESTRA_RUN": f"{directory}/run"}
        self.paths: Paths = paths_of(environment, uid=0)
        self.project = project
        self.layer = make_root(directory / "layer")
        self.store = Store(self.paths)
        self.containers = Containers(self.paths, self.store, SystemClock())

    async def create(
        self, wanted: ContainerSpec, made_from: Image | None = None
    ) -> ContainerRecord:
        """Create a container of this cell's project."""
        mine = replace(wanted, project=self.project)
        return await self.containers.create(
            mine, made_from or image(), layers=[str(self.layer)], ports=mine.ports
        )

    async def start(self, wanted: ContainerSpec, made_from: Image | None = None) -> ContainerRecord:
        """Create and start a container."""
        return await self.containers.start(await self.create(wanted, made_from))

    async def start_with(
        self, record: ContainerRecord, *, listen: Sequence[Listen] = (), dns: bool = False
    ) -> None:
        """Start a container with ports to hold, without a network that they lead to."""
        network: ShimNetwork = {
            "mode": "new",
            "interfaces": [],
            "dns": dns,
            "listen": list(listen),
        }
        places = Places.of(self.paths, record)
        request = shim_request(record, places, network=network, runtime=())
        places.request.write_text(json.dumps(request))
        launcher = await LauncherClient.ensure(self.paths, self.project)
        await launcher.start(str(places.request))

    async def run(self, *args: str, **changes: object) -> tuple[int, str]:
        """Run a container to its end; return exit code and output."""
        record = await self.start(spec(*args, **changes))
        ended = await self.containers.wait(record)
        assert ended is not None
        return ended["code"], self.output(record)

    async def exec(self, record: ContainerRecord, *args: str, **options: object) -> tuple[int, str]:
        """Run a process in a container; return exit code and output."""
        output = bytearray()
        code = await exec_captured(
            self.paths,
            record,
            ExecOptions(args=args, **options),  # type: ignore[arg-type]
            lambda _stream, data: output.extend(data),
        )
        return code, output.decode()

    def directory(self, record: ContainerRecord) -> Path:
        """Return a container's durable directory."""
        return Path(self.paths.container(record.spec.project, record.id))

    def run_directory(self, record: ContainerRecord) -> Path:
        """Return a container's volatile directory."""
        return Path(self.paths.container_run(record.spec.project, record.id))

    def lines(self, record: ContainerRecord) -> list[dict[str, str]]:
        """Return the records of a container's log file, but for one that is being written."""
        path = self.directory(record) / "log.jsonl"
        written = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in written]

    def output(self, record: ContainerRecord) -> str:
        """Return what a container has written."""
        return "".join(line["log"] for line in self.lines(record))

    def pid(self, record: ContainerRecord, name: str) -> int:
        """Return the pid that a file of the run directory names ("shim.pid", "init.pid")."""
        who = read_identity(str(self.run_directory(record) / name))
        assert who is not None
        return who["pid"]

    @property
    def launcher_pid(self) -> int:
        """Return the launcher's pid."""
        who = read_identity(f"{self.paths.project_run(self.project)}/launcher.pid")
        assert who is not None
        return who["pid"]

    def kill_launcher(self) -> None:
        """Kill it, and wait until nobody can call it: what it has just forked listens for a moment."""
        kill_now(self.launcher_pid)
        wait_until(lambda: not self._is_heard())

    def _is_heard(self) -> bool:
        try:
            dial_path(Path(self.paths.project_run(self.project))).close()
        except OSError:
            return False
        return True

    def launcher_log(self) -> str:
        """Return what went wrong in the launcher and its shims: nothing, usually."""
        path = Path(self.paths.project_run(self.project)) / "launcher.log"
        return path.read_text() if path.exists() else ""

    async def close(self) -> None:
        """Kill and remove every container, and end the launcher."""
        for record in self.store.containers(self.project):
            with suppress(Exception):
                await self.containers.kill(record)
            await self.containers.wait(record)
            await self.containers.remove(record)
        if launcher := await LauncherClient.find(self.paths, self.project):
            who = read_identity(f"{self.paths.project_run(self.project)}/launcher.pid")
            await launcher.quit()
            assert who is not None
            wait_until(lambda: not process.is_alive(who))
        reap()


@asynccontextmanager
async def open_cell(directory: Path, project: str) -> AsyncIterator[Cell]:
    """Make a cell and leave nothing of it."""
    cell = Cell(directory, project)
    try:
        yield cell
    finally:
        await cell.close()


def reap() -> None:
    """Collect the daemons that came to this process as their subreaper."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def wait_until(condition: object, seconds: float = 60.0) -> None:
    """Wait for what no descriptor tells; a test fails when it does not come."""
    assert callable(condition)
    deadline = time.monotonic() + seconds * FACTOR
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def children_of(pid: int) -> set[int]:
    """Return a process's children; none once it is gone."""
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return set()


def kill_now(pid: int) -> None:
    """Kill a process without a chance, and wait until it is gone."""
    who = process.identity(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process.is_alive(who))


def argv(text: str) -> Sequence[str]:
    """Return the argv of a shell script."""
    return ("/bin/sh", "-c", text)
