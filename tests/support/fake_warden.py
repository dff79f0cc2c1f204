"""A machine for the supervisor's loop: containers that live and die at the test's word."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.errors import ContainerError
from orchestra.planner.desired import ContainerSpec
from orchestra.planner.health import ProbeResult
from orchestra.planner.observed import ObservedContainer, Phase

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Time passes when somebody sleeps, and at once."""

    def __init__(self):
        self.time = START
        self.slept = []
        self._planned = []

    def when_slept(self, times, action):
        """Do something after so many more sleeps."""
        self._planned.append((len(self.slept) + times, action))

    def now(self):
        return self.time

    async def sleep_until(self, moment):
        self.slept.append(moment - self.time)
        for times, action in self._planned:
            if times == len(self.slept):
                action()
        await anyio.lowlevel.checkpoint()
        self.time = max(self.time, moment)


class FakeWarden:
    """Implements Warden on dictionaries; every act is written to ``acts``."""

    def __init__(self, clock):
        self.clock = clock
        self.acts = []
        self.states = {}
        self.log_lines = []
        self.check_of = {}
        self.probes = {}
        self.fail_starts = 0
        self._records = {}
        self._phases = {}
        self._codes = {}
        self._ends = {}
        self._locks = {}
        self._started = None

    def add(self, name, *, wanted=Wanted.RUNNING, phase=Phase.RUNNING, code=None, **spec):
        spec = ContainerSpec(
            project="p", service=name, number=1, name=name, image="i", config_hash="h", **spec
        )
        record = ContainerRecord(
            id=name, spec=spec, image_id="sha256:0", layers=(), created_at=START, wanted=wanted,
            started_at=self.clock.now(),
        )  # fmt: skip
        self._records[name] = record
        self._phases[name] = phase
        self._codes[name] = code
        self._ends[name] = anyio.Event()
        if self._started is not None:
            self._started(name)

    def probe_with(self, name, check, *codes):
        """Give a container a check, and the exit codes of its first probes."""
        self.check_of[name] = check
        send, _ = self.probes[name] = anyio.create_memory_object_stream(100)
        for code in codes:
            send.send_nowait(code)

    def close(self):
        for send, receive in self.probes.values():
            send.close()
            receive.close()

    def announce(self, name):
        """Tell once more that a container runs, as a launcher does that came later."""
        self._started(name)

    def set_phase(self, name, phase):
        self._phases[name] = phase

    def die(self, name, code):
        self._phases[name], self._codes[name] = Phase.EXITED, code
        self._ends[name].set()

    def remove(self, name):
        del self._records[name]

    def set_restarts(self, name, count):
        self._records[name] = replace(self._records[name], restarts=count)

    def user_stops(self, name):
        self._records[name] = replace(self._records[name], wanted=Wanted.STOPPED)

    async def serve(self, started):
        self._started = started
        await anyio.sleep_forever()

    def records(self):
        return tuple(self._records.values())

    def record(self, container_id):
        return self._records.get(container_id)

    def forget(self, container_id):
        self.forgotten = container_id

    def observe(self, record):
        return ObservedContainer(
            id=record.id, name=record.id, service=record.id, number=1, image="i",
            image_id="sha256:0", config_hash="h", phase=self._phases[record.id],
            exit_code=self._codes[record.id], created_at=START, started_at=record.started_at,
            finished_at=self.clock.now() if self._phases[record.id] is Phase.EXITED else None,
            restarts=record.restarts,
        )  # fmt: skip

    async def ended(self, record):
        await self._ends[record.id].wait()

    @asynccontextmanager
    async def lock(self, container_id):
        async with self._locks.setdefault(container_id, anyio.Lock()):
            yield

    async def start(self, record):
        self.acts.append(("start", record.id, record.restarts))
        self._records[record.id] = replace(record, started_at=self.clock.now())
        if self.fail_starts:
            self.fail_starts -= 1
            raise ContainerError("cannot start it")
        self.clock.time += timedelta(milliseconds=1)
        self.states.pop(record.id, None)
        self._records[record.id] = replace(record, started_at=self.clock.now())
        self._phases[record.id] = Phase.RUNNING
        self._ends[record.id] = anyio.Event()

    async def stop(self, record):
        self.acts.append(("stop", record.id))
        self.die(record.id, 137)

    def check(self, record):
        return self.check_of.get(record.id)

    async def probe(self, record, check):
        code = await self.probes[record.id][1].receive()
        now = self.clock.now()
        return ProbeResult(exit_code=code, output="", started_at=now, finished_at=now)

    def read_health(self, record):
        return self.states.get(record.id)

    def write_health(self, record, state):
        self.states[record.id] = state

    def log(self, message):
        self.log_lines.append(message)
