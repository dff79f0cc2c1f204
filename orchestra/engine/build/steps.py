"""One step of a stage: its inputs and key, a look into the cache, and the work when it misses."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, assert_never

from orchestra.engine.build.cache import Cache, CacheRecord, cache_key
from orchestra.engine.build.context import digest_of_chosen
from orchestra.engine.build.environment import BuildEnvironment, NetworkMode, Reports
from orchestra.engine.build.fetching import fetch_sources, material_of
from orchestra.engine.build.job import Job
from orchestra.engine.build.noted import Notes, stamp
from orchestra.engine.build.ops import CopyPlan, prepare_copy
from orchestra.engine.build.output import StepOutput
from orchestra.engine.build.placing import key_of, opened, place
from orchestra.engine.build.remote import is_remote
from orchestra.engine.build.runs import (
    MountInput,
    Run,
    check_entitlements,
    edits_of,
    hint_of,
    impure,
    prepare_mount,
)
from orchestra.engine.build.tree import Tree
from orchestra.engine.build.vertices import (
    ContextSource,
    CopyVertex,
    MakeDirectoryVertex,
    RunVertex,
    Source,
    Step,
    definition,
)
from orchestra.engine.build.workspace import Workspace
from orchestra.engine.waiting import has_loop, in_thread, want_loop
from orchestra.errors import BuildError, Location, OrchestraError
from orchestra.oci.image import Layer
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.engine.container.launching import LauncherClient
    from orchestra.engine.shim.protocol import Rootfs


@dataclass(frozen=True, slots=True)
class Files:
    """Files to copy from: a context's ``tree``, or the ``layers`` of a stage or an image.

    Owners are kept from layers only: those of a context are this machine's affair.
    """

    tree: Tree | None
    layers: tuple[Layer, ...] = ()

    @property
    def owners(self) -> bool:
        """Tell whether the files' owners are kept."""
        return self.tree is None


FilesOf = Callable[[Source], Awaitable[Files]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """The inputs of a step, digested."""

    digests: tuple[str, ...] = ()
    copy: CopyPlan | None = None
    mounts: Mapping[int, MountInput] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step left; ``cached``: it was known, under ``key``; ``digests`` are its inputs'."""

    layer: Layer | None
    created: str
    cached: bool
    key: str
    digests: tuple[str, ...] = ()


class StepRunner:
    """Solves steps of one build, one call per step."""

    def __init__(
        self,
        job: Job,
        environment: BuildEnvironment,
        reports: Reports,
        workspace: Workspace,
        cache: Cache,
        launcher: Callable[[NetworkMode], Awaitable[LauncherClient]],
        notes: Notes,
    ) -> None:
        self.job = job
        self.environment = environment
        self.reports = reports
        self.workspace = workspace
        self.cache = cache
        self.launcher = launcher
        self.fetched: dict[str, tuple[str, str]] = {}
        """What was fetched from elsewhere: its URL -> algorithm and digest."""
        self.notes = notes

    async def solve(
        self,
        step: Step,
        label: str,
        below: Sequence[Layer],
        platform: Platform,
        files: FilesOf,
        *,
        fresh: bool,
        missed: Callable[[], None],
    ) -> StepResult:
        """Return what a step leaves on the layers ``below``, from the cache or by doing it.

        ``fresh``: the cache is not asked, only told. ``missed`` is called before it is done.

        :raises BuildError: at its line, when it fails.
        """
        try:
            return await self._solve(
                step, label, below, platform, files, fresh=fresh, missed=missed
            )
        except OrchestraError as error:
            if isinstance(error, BuildError) and error.location is not None:
                raise
            raise BuildError(
                f"cannot build {step.title[:200]}{_where(label)}: {error.message}",
                location=Location(self.job.graph.file, step.line),
                hint=error.hint,
            ) from error

    async def _solve(
        self,
        step: Step,
        label: str,
        below: Sequence[Layer],
        platform: Platform,
        files: FilesOf,
        *,
        fresh: bool,
        missed: Callable[[], None],
    ) -> StepResult:
        vertex = step.vertex
        if vertex is None:
            raise BuildError("this step has nothing to do")
        if isinstance(vertex, RunVertex):
            check_entitlements(vertex, self.job.settings.entitlements)
            await self._check_devices(vertex)
        alias = await self._alias(vertex, below, platform, files)
        known = self._known(alias) if not fresh or alias in self.job.underway.done else None
        if known is not None:
            self.notes.steps[alias] = stamp(known.layer, known.created)
            return known
        plan = await self._plan(step, files)
        scope = ""
        if isinstance(vertex, RunVertex) and impure(vertex):
            scope = f"{self.environment.scope}\0{'|'.join(vertex.proxies)}"
        key = key_of(vertex, below, str(platform), self._ground(vertex), plan.digests, scope)
        async with self.job.underway.alone(key):
            known = self._known(key) if not fresh or key in self.job.underway.done else None
            if known is None:
                if isinstance(vertex, RunVertex):
                    await self._check_runs(platform)
                missed()
                layer = await self._perform(step, label, below, plan)
                created = self.environment.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                known = StepResult(layer=layer, created=created, cached=False, key=key)
                await in_thread(self._remember, key, known)
                if not has_loop():
                    self.environment.begun.update((key, alias))
            self.job.underway.done.update((key, alias))
        self.notes.steps[key] = stamp(known.layer, known.created)
        if alias:
            await in_thread(self._remember, alias, known)
        return replace(known, digests=plan.digests)

    async def _check_devices(self, vertex: RunVertex) -> None:
        """Check that a RUN may have its devices, also one that is not done again."""
        if vertex.devices:
            self.notes.settles = False  # what a device is says the machine
            await in_thread(edits_of, vertex, self.job.settings.entitlements)

    async def _check_runs(self, platform: Platform) -> None:
        """Check that programs of a platform run here."""
        own = self.environment.platform
        if own.rank(platform) is None:
            from orchestra.engine.build.emulation import check_runs  # noqa: PLC0415 - rare

            scratch = self.workspace.make("probe")
            await in_thread(check_runs, own, platform, scratch)

    def _known(self, key: str) -> StepResult | None:
        record = self.cache.get(key) if key else None
        if record is None:
            return None
        if record.layer is not None and not self.environment.layers.has(record.layer):
            return None
        begun = has_loop() and key in self.environment.begun
        return StepResult(layer=record.layer, created=record.created, cached=not begun, key=key)

    def _remember(self, key: str, result: StepResult) -> None:
        self.cache.put(key, CacheRecord(layer=result.layer, created=result.created))

    async def _alias(
        self,
        vertex: RunVertex | CopyVertex | MakeDirectoryVertex,
        below: Sequence[Layer],
        platform: Platform,
        files: FilesOf,
    ) -> str:
        """Return a second key of a copy out of layers, which takes no look at the files.

        Layers do not change, so they and the names say as much as the content does; "" otherwise.
        """
        if not isinstance(vertex, CopyVertex) or isinstance(vertex.source, ContextSource):
            return ""
        if any(is_remote(source) for source in vertex.sources):
            return ""
        layers = (await files(vertex.source)).layers
        inputs = [*(layer.diff_id for layer in layers), "", *vertex.sources, "", *vertex.excludes]
        inputs += [text for document in vertex.documents for text in document]
        named = {**definition(vertex), **self._ground(vertex), "op": "copy-from-layers"}
        return cache_key([layer.diff_id for layer in below], str(platform), named, inputs)

    def _ground(self, vertex: RunVertex | CopyVertex | MakeDirectoryVertex) -> dict[str, object]:
        """Return what the build as a whole adds to a step's definition."""
        ground: dict[str, object] = {"epoch": self.job.epoch}
        if isinstance(vertex, RunVertex):
            ground["build_network"] = self.job.network
            ground["extra_hosts"] = [list(pair) for pair in self.job.settings.extra_hosts]
        return ground

    async def _plan(self, step: Step, files: FilesOf) -> StepPlan:
        match step.vertex:
            case CopyVertex() as vertex:
                return await self._plan_copy(vertex, files)
            case RunVertex() as vertex:
                mounts: dict[int, MountInput] = {}
                for number, mount in enumerate(vertex.mounts):
                    if mount.kind == "bind" or (mount.kind == "cache" and mount.stage):
                        source = vertex.mount_sources[number]
                        found = await files(source)
                        tree = await self._tree(found)
                        mounts[number] = await in_thread(
                            partial(prepare_mount, mount, tree, owners=found.owners)
                        )
                        if found.tree is not None and isinstance(source, ContextSource):
                            digest = digest_of_chosen(mounts[number].chosen, owners=False)
                            self.notes.take(source.name, (mount.source or "/",), (digest,))
                            self.notes.walks = False  # nobody looks at mounts again
                digests = tuple(f"{number}:{mounts[number].digest}" for number in sorted(mounts))
                return StepPlan(digests=digests, mounts=mounts)
            case _:
                return StepPlan()

    async def _tree(self, files: Files) -> Tree:
        if files.tree is not None:
            return files.tree
        return Tree(await self.environment.layers.directories(files.layers))

    async def _plan_copy(self, vertex: CopyVertex, files: FilesOf) -> StepPlan:
        found = await files(vertex.source)
        tree = await self._tree(found)
        scratch = self.workspace.make("inputs")
        if any(map(is_remote, vertex.sources)):
            want_loop()
        fetched = await fetch_sources(vertex, scratch, self.job.settings.git)
        for source, found_at in fetched.items():
            self.fetched |= await in_thread(material_of, source, found_at)
        documents = scratch / "documents"
        documents.mkdir()
        plan = await in_thread(
            partial(
                prepare_copy,
                vertex,
                tree,
                owners=found.owners,
                fetched=fetched,
                scratch=documents,
            )
        )
        self._note_copy(vertex, found, plan)
        return StepPlan(digests=plan.digests, copy=plan)

    def _note_copy(self, vertex: CopyVertex, found: Files, plan: CopyPlan) -> None:
        if any(is_remote(source) for source in vertex.sources):
            self.notes.settles = False
        if found.tree is not None and isinstance(vertex.source, ContextSource):
            digests = plan.digests[: len(plan.digests) - len(vertex.documents)]
            self.notes.take(
                vertex.source.name,
                vertex.sources,
                digests,
                vertex.excludes,
                parents=vertex.parents,
            )

    async def _perform(
        self, step: Step, label: str, below: Sequence[Layer], plan: StepPlan
    ) -> Layer | None:
        layers = self.environment.layers
        rootfs = await opened(layers, below, self.workspace.make("step"))
        match step.vertex:
            case CopyVertex() | MakeDirectoryVertex() as vertex:
                await place(vertex, plan.copy, rootfs, self.job.epoch_ns)
            case RunVertex() as vertex:
                await self._run(step, vertex, label, rootfs, plan)
            case None:
                return None
            case _:
                assert_never(step.vertex)
        return await layers.commit(rootfs, below, epoch=self.job.epoch)

    async def _run(
        self,
        step: Step,
        vertex: RunVertex,
        label: str,
        rootfs: Rootfs,
        plan: StepPlan,
    ) -> None:
        output = StepOutput(
            f"{self.job.subject} {label}", self.environment.clock, self.reports.output
        )
        run = Run(
            vertex=vertex,
            inputs=plan.mounts or {},
            environment=self.environment,
            settings=self.job.settings,
            network=self.job.network if vertex.network == "default" else vertex.network,
            workspace=self.workspace,
            identity=f"build-{os.urandom(8).hex()}",
        )
        code = await run.execute(await self.launcher(run.network), rootfs, output)
        if code != 0:
            tail = output.tail()
            said = f"; its last output:\n{tail}" if tail else " and said nothing"
            raise BuildError(
                f"cannot build {step.title[:300]}{_where(label)}: it exited with code {code}{said}",
                location=Location(self.job.graph.file, step.line),
                hint=hint_of(code),
            )


def _where(label: str) -> str:
    """Name the stage of "STAGE N/M"; "" where there is only one."""
    stage, blank, _ = label.rpartition(" ")
    return f' in stage "{stage}"' if blank else ""
