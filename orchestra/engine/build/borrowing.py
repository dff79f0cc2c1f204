"""One build with caches from elsewhere: what it finds there, and what it tells of itself.

Layers of such a cache are fetched when something is made of them, and at the end those that the
result has. One that cannot be had, or is not what the cache says, never fails a build: it is done
again, without any of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from orchestra.engine.build.cache import Cache, CacheRecord
from orchestra.engine.build.cacheconfig import Pair, pair_of
from orchestra.engine.build.environment import BuildEnvironment, Layers, Reports
from orchestra.engine.build.sharing import Records
from orchestra.engine.build.solver import Solved, Solver
from orchestra.engine.build.steps import Job
from orchestra.engine.build.workspace import Workspace
from orchestra.engine.events import LogLine
from orchestra.engine.shim.protocol import Rootfs
from orchestra.errors import OrchestraError
from orchestra.oci.image import Layer
from orchestra.planner.building import BuildSpec
from orchestra.planner.exchange import CachePlace
from orchestra.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What the caches of a build know: records, and where each layer is to be had."""

    records: dict[str, CacheRecord] = field(default_factory=dict)
    places: dict[Pair, CachePlace] = field(default_factory=dict)


class BorrowingCache:
    """The cache of this machine, and behind it what was borrowed, which it never keeps."""

    def __init__(
        self, own: Cache, has: Callable[[Layer], bool], borrowed: Mapping[str, CacheRecord]
    ) -> None:
        self._own = own
        self._has = has
        self._borrowed = borrowed
        self._foreign: set[tuple[str, str]] = set()
        self.seen: dict[str, CacheRecord] = {}

    def get(self, key: str) -> CacheRecord | None:
        """Return what is known of a key, here or elsewhere."""
        found = self._own.get(key)
        if found is None or (found.layer is not None and not self._has(found.layer)):
            found = self._borrowed.get(key)
            if found is not None:
                self._foreign.add(_mark(found))
        if found is not None:
            self.seen[key] = found
        return found

    def put(self, key: str, record: CacheRecord) -> None:
        """Remember what a key gave; for this build alone when it came from elsewhere."""
        self.seen[key] = record
        if _mark(record) not in self._foreign:
            self._own.put(key, record)


def _mark(record: CacheRecord) -> tuple[str, str]:
    return record.created, "" if record.layer is None else record.layer.diff_id


class BorrowingLayers:
    """The layers of this machine, and those to be had elsewhere; ``lost``: one that was not."""

    def __init__(
        self,
        own: Layers,
        places: Mapping[Pair, CachePlace],
        fetch: Callable[[CachePlace, Layer], Awaitable[None]],
    ) -> None:
        self._own = own
        self._places = places
        self._fetch = fetch
        self._fetched: set[Pair] = set()
        self.lost: OrchestraError | None = None

    async def fetch(self, layers: Sequence[Layer]) -> None:
        """Bring in what of some layers is elsewhere.

        :raises ImageError: when one cannot be had, or is not what it is said to be.
        """
        for layer in layers:
            pair = pair_of(layer)
            place = self._places.get(pair)
            if place is None or pair in self._fetched:
                continue
            try:
                await self._fetch(place, layer)
            except OrchestraError as error:
                self.lost = error
                raise
            self._fetched.add(pair)

    async def directories(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Return the unpacked directories of some layers (lowest first), uppermost first."""
        await self.fetch(layers)
        return await self._own.directories(layers)

    def rootfs(self, directories: Sequence[str], scratch: str) -> Rootfs:
        """Make a writable root over some directories, its own files below ``scratch``. Blocks."""
        return self._own.rootfs(directories, scratch)

    async def commit(
        self, rootfs: Rootfs, below: Sequence[Layer], *, epoch: int | None
    ) -> Layer | None:
        """Make a layer of what was written in a root."""
        return await self._own.commit(rootfs, below, epoch=epoch)

    def has(self, layer: Layer) -> bool:
        """Tell whether a layer is kept, or to be had."""
        return self._own.has(layer) or pair_of(layer) in self._places

    def writing(self) -> AbstractContextManager[object]:
        """Keep a sweep from what no image holds yet."""
        return self._own.writing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A solved build, with every record that it met."""

    solver: Solver
    solved: Solved
    seen: Mapping[str, CacheRecord]
    layers: BorrowingLayers


async def solve_borrowing(
    spec: BuildSpec,
    job: Job,
    environment: BuildEnvironment,
    reports: Reports,
    scratch: Workspace,
    cache: Cache,
) -> Outcome:
    """Solve a build with the caches that it names.

    :raises BuildError: at its line, when a step fails.
    """
    borrowed = await _borrow(spec, job, environment, reports)

    async def attempt(borrowed: Borrowed) -> Outcome:
        outcome = _prepared(job, environment, reports, scratch, cache, borrowed)
        try:
            solved = await outcome[0].solve()
            await outcome[2].fetch(solved.layers)
        except OrchestraError:
            if outcome[2].lost is None:
                raise
            _warn(
                job.subject,
                reports,
                f"the build begins again without it: {outcome[2].lost.message}",
            )
            return await attempt(Borrowed())
        return Outcome(solver=outcome[0], solved=solved, seen=outcome[1].seen, layers=outcome[2])

    return await attempt(borrowed)


def _prepared(
    job: Job,
    environment: BuildEnvironment,
    reports: Reports,
    scratch: Workspace,
    cache: Cache,
    borrowed: Borrowed,
) -> tuple[Solver, BorrowingCache, BorrowingLayers]:
    known = BorrowingCache(cache, environment.layers.has, borrowed.records)
    layers = BorrowingLayers(environment.layers, borrowed.places, environment.shared.fetch)
    own = replace(environment, layers=layers)
    return Solver(job, own, reports, scratch, known), known, layers


async def _borrow(
    spec: BuildSpec, job: Job, environment: BuildEnvironment, reports: Reports
) -> Borrowed:
    """Read the caches of a build; one that cannot be read is a warning."""
    found = Borrowed()
    for place in () if spec.no_cache else spec.cache_from:
        try:
            records = await environment.shared.read(place, job.platform)
        except OrchestraError as error:
            _warn(job.subject, reports, f'"{place}" is not used: {error.message}')
            continue
        for key, record in records.items():
            if found.records.setdefault(key, record) is record and record.layer is not None:
                found.places.setdefault(pair_of(record.layer), place)
    return found


async def lend(
    spec: BuildSpec,
    subject: str,
    environment: BuildEnvironment,
    reports: Reports,
    outcomes: Sequence[Outcome],
) -> None:
    """Write the caches that a build names; with ignore-error one that fails is a warning.

    :raises ImageError: when one cannot be written.
    """
    for place in spec.cache_to:
        if place.kind == "inline":
            continue
        try:
            records: dict[str, CacheRecord] = {}
            for outcome in outcomes:
                records |= await _lent(place, environment, outcome)
            await environment.shared.write(place, records, reports.progress)
        except OrchestraError as error:
            error.message = f'cannot write the build cache to "{place}": {error.message}'
            error.args = (error.message,)
            if not place.optional:
                raise
            _warn(subject, reports, error.message)


async def _lent(place: CachePlace, environment: BuildEnvironment, outcome: Outcome) -> Records:
    if not place.every:
        return own_records(outcome)
    await outcome.layers.fetch([r.layer for r in outcome.seen.values() if r.layer is not None])
    return {
        key: record
        for key, record in outcome.seen.items()
        if record.layer is None or environment.layers.has(record.layer)
    }


def own_records(outcome: Outcome) -> Records:
    """Return the records whose layers the result has, and those of steps that left nothing."""
    diffs = {layer.diff_id for layer in outcome.solved.layers}
    return {
        key: record
        for key, record in outcome.seen.items()
        if record.layer is None or record.layer.diff_id in diffs
    }


def _warn(subject: str, reports: Reports, text: str) -> None:
    line = LogLine(source=subject, stream="stderr", text=f"warning: build cache: {text}\n")
    reports.output(line)
