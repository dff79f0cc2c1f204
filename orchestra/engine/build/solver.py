"""Walks the stages that a target needs: looks into the cache, does what is missing, keeps layers.

Stages run side by side and wait for one another only where they use one another. A step is looked
up as soon as the layers below it are known, so a build whose steps are all known unpacks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, assert_never

from orchestra.engine.build.cache import Cache
from orchestra.engine.build.environment import BuildEnvironment, NetworkMode, Reports
from orchestra.engine.build.export import Made
from orchestra.engine.build.graph import SCRATCH, Stage
from orchestra.engine.build.job import Job
from orchestra.engine.build.lowering import Base, lower_stage
from orchestra.engine.build.noted import Notes
from orchestra.engine.build.steps import Files, StepRunner
from orchestra.engine.build.vertices import (
    ContextSource,
    CopyVertex,
    ImageSource,
    LoweredStage,
    RunVertex,
    Source,
    StageSource,
    Step,
)
from orchestra.engine.build.walked import NOTHING, walked
from orchestra.engine.build.workspace import Workspace
from orchestra.engine.events import Progress
from orchestra.engine.image.layout import LAYOUT
from orchestra.engine.waiting import Event, StartSoon, sleep_forever, tasks, want_loop
from orchestra.errors import BuildError, Location, OrchestraError
from orchestra.oci.image import History, Image, ImageConfig, Layer
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.engine.container.launching import LauncherClient

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A stage, done. ``base_history`` and ``base_created`` are those of the image it began with."""

    layers: tuple[Layer, ...]
    base_history: tuple[History, ...]
    base_created: str | None
    made: tuple[Made, ...]
    lowered: LoweredStage
    platform: Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What a stage starts from."""

    layers: tuple[Layer, ...]
    history: tuple[History, ...]
    created: str | None
    made: tuple[Made, ...]
    base: Base
    platform: Platform


class _Once(Generic[_T]):
    """A result that one task makes and any number wait for."""

    def __init__(self) -> None:
        self._done = Event()
        self.value: _T | None = None

    def set(self, value: _T) -> None:
        self.value = value
        self._done.set()

    async def get(self) -> _T:
        await self._done.wait()
        if self.value is None:
            raise BuildError("cannot build: a stage that this one needs was given up")
        return self.value


class Solver:
    """One build, from its job to the target's layers."""

    def __init__(
        self,
        job: Job,
        environment: BuildEnvironment,
        reports: Reports,
        workspace: Workspace,
        cache: Cache,
    ) -> None:
        self.job = job
        self.environment = environment
        self.reports = reports
        self.notes = Notes()
        self.runner = StepRunner(
            job, environment, reports, workspace, cache, self._launcher, self.notes
        )
        self._stages: dict[int, _Once[Solved]] = {}
        self._images: dict[tuple[str, str], _Once[Image]] = {}
        self._launcher_wanted, self._network_wanted = Event(), Event()
        self._launched: _Once[LauncherClient] = _Once()
        self._start_soon: StartSoon
        self._count = 0
        self._used: set[str] = set()
        self.bases: dict[tuple[str, Platform], Image] = {}
        """The images that stages began with or copied from, by reference and platform."""
        self._configs: dict[int, ImageConfig] = {}

    def used_arguments(self) -> frozenset[str]:
        """Return the names that ARG asked for in the stages that were solved."""
        return frozenset(self._used)

    def solved(self) -> Mapping[int, Solved]:
        """Return the stages that were solved."""
        found = {index: once.value for index, once in sorted(self._stages.items())}
        return {index: solved for index, solved in found.items() if solved is not None}

    def configs(self) -> Mapping[int, ImageConfig]:
        """Return the configs of the images that stages were begun with."""
        return self._configs

    async def solve(self) -> Solved:
        """Solve the target, and every stage that it needs.

        :raises BuildError: at its line, when a step fails; the first one of several.
        """
        try:
            async with tasks() as start_soon:
                self._start_soon = start_soon
                start_soon(self._keep_launcher)
                start_soon(self._keep_network)
                for index in self.job.graph.needed:
                    self._start(index)
                solved = await self._stages[self.job.graph.target].get()
        except ExceptionGroup as group:
            raise first_of(group) from group
        return solved

    async def _keep_launcher(self) -> None:
        """Open the launcher when a step first asks, and close it with the build."""
        await self._launcher_wanted.wait()
        async with self.environment.launcher() as launcher:
            self._launched.set(launcher)
            await sleep_forever()

    async def _keep_network(self) -> None:
        """Hold the build network from the first step that uses it: a new one costs a bridge."""
        await self._network_wanted.wait()
        async with self.environment.network("default"):
            await sleep_forever()

    async def _launcher(self, mode: NetworkMode) -> LauncherClient:
        want_loop()
        self._launcher_wanted.set()
        if mode == "default":
            self._network_wanted.set()
        return await self._launched.get()

    def _start(self, index: int) -> _Once[Solved]:
        once = self._stages.get(index)
        if once is None:
            once = self._stages[index] = _Once()
            self._start_soon(self._solve_stage, self.job.graph.stages[index], once)
        return once

    async def _solve_stage(self, stage: Stage, once: _Once[Solved]) -> None:
        ground = await self._ground(stage)
        lowered = lower_stage(self.job.graph, stage, ground.base, self.job.arguments)
        self._used |= lowered.used_arguments
        layers, made = list(ground.layers), list(ground.made)
        total = 1 + sum(step.vertex is not None for step in lowered.steps)
        number = 1
        fresh = self.job.no_cache or stage.name in self.job.no_cache_stages
        self._note_walk(ground)
        for position, step in enumerate(lowered.steps):
            if step.vertex is None:
                self.notes.walk.append(NOTHING)
                made.append(Made(history=step.history, layer=None, created=None))
                continue
            number += 1
            label = f"{self._prefix(stage)}{number}/{total}"
            missed = partial(self._foresee, lowered.steps[position + 1 :])
            entry = await self._step(
                step, label, layers, ground.platform, fresh=fresh, missed=missed
            )
            made.append(entry)
            layers += [entry.layer] if entry.layer is not None else []
        once.set(
            Solved(
                layers=tuple(layers),
                base_history=ground.history,
                base_created=ground.created,
                made=tuple(made),
                lowered=lowered,
                platform=ground.platform,
            )
        )

    def _note_walk(self, ground: _Ground) -> None:
        """Note where the steps begin; those of several stages are more than can be told."""
        alone = len(self.job.graph.needed) == 1 and not ground.made
        if not alone or self.job.several or self.job.epoch is not None:
            self.notes.walks = False
        self.notes.platform = str(ground.platform)

    def _foresee(self, steps: Sequence[Step]) -> None:
        """Make ready what a RUN among the steps that follow one that is done will want."""
        for step in steps:
            if isinstance(step.vertex, RunVertex):
                want_loop()
                self._launcher_wanted.set()
                if step.vertex.network == self.job.network == "default":
                    self._network_wanted.set()
                return

    def _prefix(self, stage: Stage) -> str:
        """Return how a stage's steps are told from others'; "" where it is alone."""
        platform = f"{self.job.platform} " if self.job.several else ""
        return f"{platform}{stage.label} " if len(self.job.graph.stages) > 1 else platform

    async def _step(
        self,
        step: Step,
        label: str,
        layers: Sequence[Layer],
        platform: Platform,
        *,
        fresh: bool,
        missed: Callable[[], None] = lambda: None,
    ) -> Made:
        self._report(f"[{label}] {step.title}")
        below = tuple(layers)
        result = await self.runner.solve(
            step, label, below, platform, self._files, fresh=fresh, missed=missed
        )
        self._count += 1
        self.notes.walk.append(walked(step, label, result, self.job.trees))
        self._report(f"[{label}] {step.title}{' CACHED' if result.cached else ' DONE'}")
        return Made(history=step.history, layer=result.layer, created=result.created)

    def _report(self, action: str) -> None:
        self.notes.actions.append(action)
        self.reports.progress(
            Progress(subject=self.job.subject, action=action, current=self._count)
        )

    async def _ground(self, stage: Stage) -> _Ground:
        platform = stage.platform or self.job.platform
        base = stage.base
        if isinstance(base, ContextSource):
            name = self.job.context_images.get(base.name)
            if name is None:
                return await self._ground_of_files(stage, base, platform)
            if name == SCRATCH:
                return _empty(platform)
            base = ImageSource(name)
        match base:
            case None:
                return _empty(platform)
            case StageSource(index=index):
                return _on_stage(await self._start(index).get())
            case ImageSource(reference=reference):
                self._report(f"[{self._prefix(stage)}1] FROM {reference}")
                try:
                    image = await self._image(reference, platform)
                except OrchestraError as error:
                    raise BuildError(
                        f"cannot build FROM {reference}: {error.message}",
                        location=Location(self.job.graph.file, stage.line),
                        hint=error.hint,
                    ) from error
                self._configs[stage.index] = image.config
                return _on_image(image)
            case _:
                assert_never(base)

    async def _ground_of_files(
        self, stage: Stage, source: ContextSource, platform: Platform
    ) -> _Ground:
        """Make a layer of a context's files, for a stage to start from."""
        vertex = CopyVertex(add=False, sources=("/",), documents=(), source=source, destination="/")
        title = f"FROM {source.name}"
        history = History(created_by=title, comment="orchestra")
        step = Step(line=stage.line, title=title, history=history, vertex=vertex)
        label = f"{self._prefix(stage)}1"
        made = await self._step(step, label, (), platform, fresh=self.job.no_cache)
        ground = _empty(platform)
        return replace(ground, layers=(made.layer,) if made.layer else (), made=(made,))

    async def _image(self, reference: str, platform: Platform) -> Image:
        key = (reference, str(platform))
        once = self._images.get(key)
        if once is not None:
            return await once.get()
        once = self._images[key] = _Once()
        image = await self.environment.images.base(
            reference, platform, pull=self.job.pull, progress=self.reports.progress
        )
        if reference.startswith(LAYOUT):
            self.notes.settles = False
        self.notes.base(reference, platform, image.manifest)
        once.set(image)
        self.bases[reference, platform] = image
        return image

    async def _files(self, source: Source) -> Files:
        match source:
            case ContextSource(name=name):
                tree = self.job.trees.get(name)
                if tree is not None:
                    return Files(tree)
                reference = self.job.context_images[name]
                if reference == SCRATCH:
                    return Files(None)
                layers: Sequence[Layer] = (await self._image(reference, self.job.platform)).layers
            case StageSource(index=index):
                layers = (await self._start(index).get()).layers
            case ImageSource(reference=reference):
                layers = (await self._image(reference, self.job.platform)).layers
            case _:
                assert_never(source)
        return Files(None, tuple(layers))


def first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first error of a group that is ours, or else its first."""
    leaves: list[Exception] = []
    todo: list[BaseException] = [group]
    while todo:
        error = todo.pop(0)
        if isinstance(error, BaseExceptionGroup):
            todo = [*error.exceptions, *todo]
        elif isinstance(error, Exception):
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, OrchestraError)), leaves[0])


def _empty(platform: Platform) -> _Ground:
    config = ImageConfig(platform=platform, diff_ids=(), working_dir="/")
    return _Ground(
        layers=(),
        history=(),
        created=None,
        made=(),
        base=Base(config=config),
        platform=platform,
    )


def _on_image(image: Image) -> _Ground:
    config = image.config
    return _Ground(
        layers=image.layers,
        history=config.history,
        created=config.created,
        made=(),
        base=Base(config=config, triggers=config.on_build),
        platform=config.platform,
    )


def _on_stage(solved: Solved) -> _Ground:
    lowered = solved.lowered
    return _Ground(
        layers=solved.layers,
        history=solved.base_history,
        created=solved.base_created,
        made=solved.made,
        base=Base(
            config=replace(lowered.config, on_build=()),
            author=lowered.author,
            variables=lowered.variables,
            arguments=lowered.arguments,
            triggers=lowered.triggers,
        ),
        platform=solved.platform,
    )
