"""A machine for executor and controller: steps end when the test says so; nobody is forked."""

from datetime import UTC, datetime

import anyio

from orchestra.engine.events import Subscribed
from orchestra.errors import ContainerError
from orchestra.planner.observed import ObservedContainer, ObservedState, Phase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def observed_container(service, phase=Phase.RUNNING, **fields):
    return ObservedContainer(
        **{
            "id": service, "name": service, "service": service, "number": 1, "image": "i",
            "image_id": "sha256:0", "config_hash": "h", "phase": phase, "created_at": NOW, **fields,
        }
    )  # fmt: skip


class FakeTarget:
    """Implements Target; every step's begin and end are in ``acts``."""

    def __init__(self):
        self.acts = []
        self.containers = ()
        self.failing = set()
        self._held = {}

    def hold(self, step_id):
        """Have a step last until it is let go."""
        self._held[step_id] = anyio.Event()

    def let_go(self, step_id):
        self._held[step_id].set()

    async def observe(self, project, _references=()):
        return ObservedState(project=project, taken_at=NOW, containers=self.containers)

    async def apply(self, step, _report):
        self.acts.append(f"begin {step.id}")
        try:
            if step.id in self._held:
                await self._held[step.id].wait()
        except anyio.get_cancelled_exc_class():
            self.acts.append(f"break {step.id}")
            raise
        if step.id in self.failing:
            raise ContainerError(f"cannot do {step.id}")
        self.acts.append(f"end {step.id}")

    def begun(self, step_id):
        return f"begin {step_id}" in self.acts

    def ended(self, step_id):
        return f"end {step_id}" in self.acts


class FakeSupervision:
    """Implements Supervision; what was asked of it is in ``calls``."""

    def __init__(self):
        self.calls = []
        self.send, self._receive = anyio.create_memory_object_stream(100)

    def close(self):
        self.send.close()
        self._receive.close()

    async def ensure(self):
        self.calls.append("ensure")

    async def events(self):
        yield Subscribed()
        async for event in self._receive:
            yield event

    async def release(self):
        self.calls.append("release")
