"""The CLI's composition root: options -> Project -> DesiredState -> controller.

Everything is made on first use, so that a command pays only for what it touches.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from orchestra import tls
from orchestra.cli.options import GlobalOptions
from orchestra.cli.render.terminal import printable
from orchestra.cli.thrift import spare_pydantic
from orchestra.errors import Interrupted, SpecError, UsageError, ungrouped

if TYPE_CHECKING:
    from orchestra.cli.declare import Context
    from orchestra.engine.controller import ProjectController
    from orchestra.engine.image.registries import Registries
    from orchestra.engine.state.codec import Json
    from orchestra.engine.wiring import Machine
    from orchestra.planner.desired import DesiredState
    from orchestra.planner.observed import ObservedContainer, ObservedState
    from orchestra.spec.loader import LoadOptions, Model
    from orchestra.spec.model.project import Project
    from orchestra.spec.phases import Phases
    from orchestra.spec.provenance import Explanation
    from orchestra.spec.tree import Value

T = TypeVar("T")


class Session:
    """One run of one command."""

    def __init__(self, options: GlobalOptions) -> None:
        self.options = options
        self.environment = dict(os.environ)
        self._on_interrupt: list[Callable[[], bool | None]] = []
        self._forward: Callable[[int], None] | None = None
        self._warned = False
        self.quiet = True
        """Whether the project's files give no cause for warnings."""
        self.told: list[str] = []
        """The warnings about the project that were shown."""
        self.known_by: str | None = None
        """By what the project is remembered, once it was loaded."""
        spare_pydantic()
        tls.load_late()

    @classmethod
    def of(cls, ctx: Context) -> Session:
        """Return the session of a command's context."""
        return cls(ctx.obj or GlobalOptions())

    def load_options(
        self, services: Sequence[str] = (), phases: Phases | None = None
    ) -> LoadOptions:
        """Return what the loader needs of the command line."""
        from orchestra.spec.discovery import LoadOptions
        from orchestra.spec.phases import EVERY_PHASE

        return LoadOptions(
            files=self.options.files,
            project_directory=self.options.project_directory,
            project_name=self.options.project_name,
            profiles=self.options.profiles,
            env_files=self.options.env_files,
            services=tuple(services),
            phases=phases or EVERY_PHASE,
        )

    def project(self, services: Sequence[str] = (), phases: Phases | None = None) -> Project:
        """Load the Compose project.

        :raises SpecErrors: when its files are wrong.
        """
        from orchestra.spec.loader import load_project

        options = self.load_options(services, phases)
        project = load_project(options, self.environment, Path.cwd())
        self._warn(project.warnings)
        return project

    def made_of_project(
        self,
        purpose: str,
        make: Callable[[Project], Value],
        services: Sequence[str] = (),
        phases: Phases | None = None,
    ) -> Value:
        """Return what ``make`` makes of the project, remembered where nothing has changed.

        ``purpose`` names ``make`` and all that it depends on beside the project.

        :raises SpecErrors: when its files are wrong.
        """

        def write(value: Value) -> Json:
            return cast("Json", [value])  # what is printed holds no durations any more

        def read(value: object) -> Value:
            return cast("list[Value]", value)[0]

        return self._remembered(purpose, make, write, read, services, phases)

    def _remembered(
        self,
        purpose: str,
        make: Callable[[Project], T],
        write: Callable[[T], Json],
        read: Callable[[object], T],
        services: Sequence[str] = (),
        phases: Phases | None = None,
    ) -> T:
        from orchestra.cli.remember import remembered
        from orchestra.spec.loader import load

        loaded = load(self.load_options(services, phases), self.environment, Path.cwd())
        made, warnings, self.known_by = remembered(
            loaded, purpose, make, write=write, read=read, environment=self.environment
        )
        self._warn(warnings)
        return made

    def model(self, phases: Phases | None = None) -> Model:
        """Load the Compose files with their variables as written.

        :raises SpecErrors: when they are wrong as far as that can be told.
        """
        from orchestra.spec.loader import load_model

        model = load_model(self.load_options((), phases), self.environment, Path.cwd())
        self._warn(model.warnings)
        return model

    def explain(
        self, services: Sequence[str], phases: Phases | None, key: str
    ) -> tuple[Explanation, ...]:
        """Load the Compose project and explain a key of it.

        :raises SpecErrors: when its files are wrong.
        :raises UsageError: when there is no such key.
        """
        from orchestra.spec.provenance import explain

        options = self.load_options(services, phases)
        explained = explain(options, self.environment, Path.cwd(), key)
        self._warn(explained.warnings)
        return explained.explanations

    def _warn(self, warnings: Iterable[str]) -> None:
        if not self._warned:
            self._warned = True
            found = tuple(warnings)
            self.quiet = not found
            self._tell(found)

    def _tell(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self.told.append(f"warning: {printable(warning)}")
            note(self.told[-1])

    def digests(self, references: Sequence[str]) -> Mapping[str, str]:
        """Ask the registries for the digests of images.

        :raises StepErrors: when some cannot be had.
        """
        from orchestra.engine.asking import digests_of

        def notice(text: str) -> None:
            note(f"warning: {printable(text)}")

        return self.run(
            lambda: digests_of(references, self.environment, uid=os.getuid(), notice=notice)
        )

    @cached_property
    def project_name(self) -> str:
        """The project's name, without loading its models.

        :raises SpecError: when there is no file to take it from.
        """
        from orchestra.cli.plain import plain_project

        plain = plain_project(self.options, self.environment)
        if plain is not None:
            return plain
        from orchestra.spec.naming import project_name_of

        return project_name_of(self.load_options(), self.environment, Path.cwd())

    def desired(
        self, services: Sequence[str] = (), *, scale: Mapping[str, int] | None = None
    ) -> DesiredState:
        """Load and compile the project; ``scale`` overrides the numbers of its files.

        :raises SpecErrors: when its files are wrong, or ask for what is not supported.
        """
        runtime = self.runtime

        def make(project: Project) -> DesiredState:
            from orchestra.planner.compile import compile_project

            return compile_project(project, scale=scale, runtime=runtime)

        purpose = f"desired {runtime} {sorted((scale or {}).items())}"
        desired = self.state_made(purpose, make, services)
        self._tell(desired.warnings)
        return desired

    def desired_again(self, key: str) -> DesiredState | None:
        """Return what a project that has not changed is to be; None when that is not known."""
        from orchestra.cli.remember import again
        from orchestra.engine.state.codec import decode
        from orchestra.planner.desired import DesiredState

        found = again(key, lambda value: decode(DesiredState, value), self.environment)
        if found is None:
            return None
        self._warn(found[1])
        self._tell(found[0].warnings)
        return found[0]

    def state_made(
        self, purpose: str, make: Callable[[Project], DesiredState], services: Sequence[str]
    ) -> DesiredState:
        """Return what ``make`` makes of the project, as :meth:`made_of_project` does.

        :raises SpecErrors: when its files are wrong, or ask for what is not supported.
        """
        from orchestra.engine.state.codec import decode, encode
        from orchestra.planner.desired import DesiredState

        def read(value: object) -> DesiredState:
            return decode(DesiredState, value)

        return self._remembered(purpose, make, encode, read, services)

    @cached_property
    def runtime(self) -> str | None:
        """The runtime of services that name none: the option's, else the settings'.

        :raises SpecError: when the settings are malformed.
        """
        from orchestra.engine.paths import paths_of

        chosen = self.options.runtime
        config = paths_of(self.environment, uid=os.getuid()).config
        if not chosen and Path(config).exists():  # most hosts have none; saves what reads it
            from orchestra.engine.settings import read_default

            chosen = read_default(config)
        return str(Path(chosen).absolute()) if chosen and "/" in chosen else chosen

    def declared_services(self) -> frozenset[str]:
        """Return every service of the files, or of what `up` last wrote; none when unknown."""
        state = self.machine.store.wished(self.project_name).state
        try:
            return frozenset(self.project().all_services)
        except SpecError:
            return frozenset(state.services if state else ())

    @cached_property
    def machine(self) -> Machine:
        """This machine.

        :raises HostError: when it lacks what containers need.
        """
        from orchestra.engine.wiring import open_machine

        return open_machine(self.environment, uid=os.getuid())

    @cached_property
    def registries(self) -> Registries:
        """The registries, for what needs no right to this machine."""
        from orchestra.engine.asking import open_registries

        return open_registries(self.environment, uid=os.getuid())

    def controller(self, project: str | None = None) -> ProjectController:
        """Return the controller of the project; Ctrl-C breaks off what it executes."""
        controller = self.machine.controller(project or self.project_name)
        self._on_interrupt.append(controller.interrupt)
        return controller

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run a command's coroutine to its end, with Ctrl-C and SIGTERM handled.

        The first signal breaks off the plan that is being executed, or cancels the command; the
        second ends the program.

        :raises Interrupted: when a signal ended it.
        """
        import anyio

        async def watch(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
            count = 0
            async for number in signals:
                if self._forward is not None:
                    self._forward(number)
                    continue
                count += 1
                if count > 1:
                    os._exit(Interrupted.exit_code)
                taken = [callback() for callback in self._on_interrupt]
                if all(each is False for each in taken):
                    scope.cancel()

        async def wrapper() -> T:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async with anyio.create_task_group() as tasks:
                    with anyio.CancelScope() as scope:
                        tasks.start_soon(watch, signals, scope)
                        result = await main()
                    tasks.cancel_scope.cancel()
            if scope.cancelled_caught:
                raise Interrupted("interrupted")
            return result

        gc.freeze()  # what was imported and loaded stays to the end: never look at it again
        gc.enable()
        with ungrouped():
            return anyio.run(wrapper)

    @contextmanager
    def forwarding(self, forward: Callable[[int], None]) -> Iterator[None]:
        """Pass every signal on meanwhile, in place of acting on it."""
        self._forward = forward
        try:
            yield
        finally:
            self._forward = None

    def on_interrupt(self, callback: Callable[[], bool | None]) -> None:
        """Call ``callback`` at the first Ctrl-C; unless it returns False, nothing else is done."""
        self._on_interrupt = [callback]


def select(
    session: Session,
    observed: ObservedState,
    services: Sequence[str],
    *,
    one_off: bool = False,
) -> tuple[ObservedContainer, ...]:
    """Return the containers of the named services, or of all; a declared one may have none.

    :raises UsageError: when a service has no container, and the project does not declare it.
    """
    known = {container.service for container in observed.containers}
    absent = [service for service in services if service not in known]
    declared = session.declared_services() if absent else frozenset()
    wanted = [service for service in services if service not in declared - known]
    return () if services and not wanted else pick(observed, wanted, one_off=one_off)


def pick(
    observed: ObservedState, services: Sequence[str], *, one_off: bool = False
) -> tuple[ObservedContainer, ...]:
    """Return the containers of the named services, or of all.

    :raises UsageError: when a service has no container.
    """
    containers = tuple(
        sorted(
            (c for c in observed.containers if one_off or not c.one_off),
            key=lambda c: (c.service, c.number, c.created_at),
        )
    )
    known = {container.service for container in observed.containers}
    for service in services:
        if service not in known:
            raise UsageError(
                f'service "{service}" has no container',
                hint=f"services with containers: {', '.join(sorted(known)) or 'none'}",
            )
    return tuple(c for c in containers if not services or c.service in services)


def note(text: str) -> None:
    """Tell the user something that is not the answer."""
    print(text, file=sys.stderr)
