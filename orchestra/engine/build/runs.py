"""RUN: a command in a container over the layers so far, with the mounts that it asks for.

The walls are those of any container (container/oneshot.py). Nothing that is mounted ends up in the
layer; secrets are copied to the volatile directory for the time of the run only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, assert_never

from orchestra.engine.build.command_lines import SCRIPT_DIRECTORY
from orchestra.engine.build.context import Chosen, choose, digest_of_entry
from orchestra.engine.build.copying import copy_chosen
from orchestra.engine.build.devices import chosen_devices
from orchestra.engine.build.environment import BuildEnvironment, NetworkMode
from orchestra.engine.build.git_access import GitAccess
from orchestra.engine.build.handed import SecretSource, hand_agent, hand_secret
from orchestra.engine.build.ignore import Matcher
from orchestra.engine.build.mounts import RunMount
from orchestra.engine.build.output import StepOutput
from orchestra.engine.build.target import Rules, Target, drop_untouched
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.vertices import RunVertex
from orchestra.engine.build.workspace import Workspace, make_private
from orchestra.engine.waiting import in_thread, pause
from orchestra.errors import BuildError
from orchestra.planner.limits import Resources, Ulimit
from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from orchestra.engine.container.cdi import Edits
    from orchestra.engine.container.launching import LauncherClient
    from orchestra.engine.shim.protocol import Rootfs
    from orchestra.oci.runtime import OciMount

_LOCK_POLL_SECONDS = 0.05
_CACHE_MODE = 0o755
_IMPURE = ("cache", "secret", "ssh")
HOSTNAME = "buildkitsandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountInput:
    """What a bind or cache mount shows: files of a tree, found and digested."""

    tree: Tree
    chosen: Chosen
    owners: bool
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What the build says about every RUN. ``ssh`` maps an id to an agent's socket."""

    secrets: Mapping[str, SecretSource]
    extra_hosts: tuple[tuple[str, str], ...]
    shm_size_bytes: int | None
    project: str
    git: GitAccess = field(default_factory=GitAccess)
    ssh: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    entitlements: frozenset[str] = frozenset()
    hostname: str = HOSTNAME
    cgroup_parent: str = ""
    resources: Resources = Resources()


def prepare_mount(mount: RunMount, tree: Tree, *, owners: bool) -> MountInput:
    """Find what a mount shows.

    :raises BuildError: when it is not there.
    """
    (chosen,) = choose(tree, _literal(mount.source), Matcher())
    digest = digest_of_entry(chosen.entry, owners=owners)
    return MountInput(tree=tree, chosen=chosen, owners=owners, digest=digest)


def _literal(path: str) -> str:
    return path or "/"


def check_entitlements(vertex: RunVertex, granted: frozenset[str]) -> None:
    """Refuse a RUN that asks for more than the build was given.

    :raises BuildError: when an entitlement is missing.
    """
    asked = {"security.insecure": vertex.insecure, "network.host": vertex.network == "host"}
    for name, needed in asked.items():
        if needed and name not in granted:
            flag = "--security=insecure" if vertex.insecure else "--network=host"
            raise BuildError(
                f"{flag} needs the entitlement {name}, which this build has not",
                hint=f"if you trust the Dockerfile: build.entitlements: [{name}]",
            )


def edits_of(vertex: RunVertex, granted: frozenset[str]) -> Edits:
    """Return what the devices that a RUN asks for add to its container. Blocks.

    :raises BuildError: when a required one is not there, or the build was not given it.
    :raises ContainerError: when one asks for what cannot be given.
    """
    from orchestra.engine.container.cdi import Edits, read_registry  # noqa: PLC0415 - as below

    if not vertex.devices:
        return Edits()
    registry = read_registry()
    return registry.edits_of(chosen_devices(vertex.devices, granted, registry))


def impure(vertex: RunVertex) -> bool:
    """Tell whether something outside the cache key may change what a RUN leaves."""
    return bool(vertex.proxies) or any(mount.kind in _IMPURE for mount in vertex.mounts)


def hint_of(code: int) -> str:
    """Return what to do about the exit code of a RUN."""
    match code:
        case 127:
            return "the command is not in the image: install it in an earlier step"
        case 126:
            return "the command is not executable"
        case 137:
            return "it was killed, perhaps for want of memory"
        case _:
            return "run the command in a container of the stage before it to see more"


@dataclass(slots=True, kw_only=True)
class Run:
    """One RUN about to happen. ``inputs`` are by the number of the mount."""

    vertex: RunVertex
    inputs: Mapping[int, MountInput]
    environment: BuildEnvironment
    settings: RunSettings
    network: NetworkMode
    workspace: Workspace
    identity: str

    async def execute(
        self,
        launcher: LauncherClient,
        rootfs: Rootfs,
        output: StepOutput,
    ) -> int:
        """Run to the end and return the exit code.

        :raises BuildError: when a mount cannot be made.
        :raises ContainerError: when the command cannot be started.
        """
        # what runs a container is not imported for builds that run none
        from orchestra.engine.container.oneshot import OneShot, run_once  # noqa: PLC0415

        vertex = self.vertex
        async with AsyncExitStack() as stack:
            mounts, env = await self._mounts(stack)
            opened = self.environment.network(self.network)
            network = await stack.enter_async_context(opened)
            granted = self.settings.entitlements
            edits = await in_thread(edits_of, vertex, granted)
            shot = OneShot(
                id=self.identity,
                project=self.settings.project,
                directory=str(self.workspace.make("run")),
                layers=tuple(rootfs["lower"]),
                upper=rootfs["upper"],
                work=rootfs["work"],
                args=vertex.args,
                env=(*vertex.env, *vertex.proxies, *env),
                cwd=vertex.cwd,
                user=vertex.user,
                mounts=tuple(mounts),
                network=network.network,
                hostname=self.settings.hostname,
                resolv_conf=network.resolv_conf,
                hosts=_hosts(self.settings, network.gateway),
                shm_size_bytes=self.settings.shm_size_bytes,
                privileged=vertex.insecure,
                ulimits=self.settings.ulimits,
                cgroup_parent=self.settings.cgroup_parent,
                resources=self.settings.resources,
                edits=edits,
            )
            try:
                code = await run_once(shot, launcher=launcher, output=output)
            finally:
                output.finish()
        if rootfs["upper"]:
            parents = [str(p) for m in mounts for p in PurePosixPath(m["destination"]).parents]
            await in_thread(drop_untouched, rootfs["upper"], rootfs["lower"], ["/etc", *parents])
        return code

    async def _mounts(self, stack: AsyncExitStack) -> tuple[list[OciMount], list[str]]:
        mounts: list[OciMount] = []
        env: list[str] = []
        agents: list[Path | None] = []
        run = Path(self.environment.paths.run)
        for number, mount in enumerate(self.vertex.mounts):
            match mount.kind:
                case "tmpfs":
                    mounts.append(_tmpfs(mount))
                case "bind":
                    shown = await in_thread(self._materialize, number)
                    mounts.append(_bind(mount.target, shown, read_only=mount.read_only))
                case "cache":
                    directory = await stack.enter_async_context(self._cache(number, mount))
                    mounts.append(_bind(mount.target, directory, read_only=mount.read_only))
                case "secret":
                    handed = await hand_secret(stack, mount, self.settings.secrets, run)
                    mounts += (
                        [_bind(mount.target, handed.path, read_only=True)] if handed.path else []
                    )
                    env += [handed.variable] if handed.variable else []
                case "ssh":
                    agents.append(await hand_agent(stack, mount, self.settings.ssh, run))
                case _:
                    assert_never(mount.kind)
        for number, (target, agent) in enumerate(zip(_agents(self.vertex), agents, strict=True)):
            if agent is not None:
                mounts.append(_bind(target, agent, read_only=True))
                known = any(entry.startswith("SSH_AUTH_SOCK=") for entry in self.vertex.env)
                env += [f"SSH_AUTH_SOCK={target}"] if number == 0 and not known else []
        if self.vertex.script is not None:
            directory = self.workspace.make("script")
            directory.chmod(0o755)
            path = directory / self.vertex.script.name
            path.write_text(self.vertex.script.text, encoding="utf-8", errors="surrogateescape")
            path.chmod(0o755)
            mounts.append(_bind(SCRIPT_DIRECTORY, directory, read_only=True))
        return mounts, env

    def _materialize(self, number: int) -> Path:
        """Copy what a mount shows to a directory of its own: writes to it go nowhere."""
        found = self.inputs[number]
        directory = self.workspace.make("mount")
        rules = Rules(owner=None if found.owners else (0, 0))
        target = Target(str(directory), (), rules)
        copy_chosen(found.tree, found.chosen, target, "/shown")
        target.close()
        return directory / "shown"

    @asynccontextmanager
    async def _cache(self, number: int, mount: RunMount) -> AsyncIterator[Path]:
        name = hashlib.sha256(f"{self.environment.scope}\0{mount.id}".encode()).hexdigest()
        parent = Path(self.environment.paths.build_cache) / "mounts" / name
        make_private(parent)
        fd, slot = -1, 0
        try:
            if mount.sharing != "shared":
                fd, slot = await _lock_slot(parent, private=mount.sharing == "private")
            directory = parent / f"data-{slot}"
            if not directory.exists():
                await in_thread(self._make_cache, number, mount, directory)
            if mount.source and not mount.stage:
                directory = await in_thread(_inside, directory, mount.source)
            yield directory
        finally:
            if fd >= 0:
                os.close(fd)

    def _make_cache(self, number: int, mount: RunMount, directory: Path) -> None:
        made = self.workspace.make("cache")
        if number in self.inputs:
            made = self._materialize(number)
        os.chown(made, mount.uid or 0, mount.gid or 0)
        made.chmod(_CACHE_MODE if mount.mode is None else mount.mode)
        try:
            made.rename(directory)
        except OSError:
            if not directory.exists():
                raise


def _inside(directory: Path, source: str) -> Path:
    """Return what a cache mount's source names in the cache; links do not lead out of it.

    :raises BuildError: when it is not there.
    """
    located = Tree((str(directory),), overlay=False).locate(source)
    if not located.exists:
        raise BuildError(f'"{source}" is not there in the cache mount')
    return directory.joinpath(*located.parts)


def _agents(vertex: RunVertex) -> list[str]:
    """Return where each agent's socket is shown."""
    found = [mount.target for mount in vertex.mounts if mount.kind == "ssh"]
    return [target or f"/run/buildkit/ssh_agent.{number}" for number, target in enumerate(found)]


async def _lock_slot(parent: Path, *, private: bool) -> tuple[int, int]:
    """Lock a cache directory; a private one that is taken is passed over for the next."""
    slot = 0
    while True:
        fd = os.open(parent / f"lock-{slot}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if private:
                        break
                    await pause(_LOCK_POLL_SECONDS)
                else:
                    return fd, slot
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        slot += 1


def _bind(target: str, source: Path, *, read_only: bool) -> OciMount:
    access = "ro" if read_only else "rw"
    return {
        "destination": target,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", access, "nosuid", "nodev"],
    }


def _tmpfs(mount: RunMount) -> OciMount:
    options = ["nosuid", "nodev"]
    if mount.size_bytes is not None:
        options.append(f"size={mount.size_bytes}")
    return {
        "destination": mount.target,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": options,
    }


def _hosts(settings: RunSettings, gateway: str) -> str:
    """Return /etc/hosts of a build step.

    :raises NetworkError: when a name or an address is not valid.
    """
    from orchestra.engine.network.hosts import HOST_GATEWAY, hosts_text  # noqa: PLC0415 - as above

    own = [("127.0.1.1", (settings.hostname,))]
    extra = settings.extra_hosts
    return hosts_text(own, [(name, gateway if at == HOST_GATEWAY else at) for name, at in extra])
