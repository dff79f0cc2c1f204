"""One build with caches from elsewhere: what it finds there, and what it tells of itself.

Layers of such a cache are fetched when something is made of them, and at the end those that the
result has. One that cannot be had, or is not what the cache says, never fails a build: it is done
again, without any of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from orchestra.engine.build.cache import Cache, CacheRecord
from orchestra.engine.build.cacheconfig import Contents, Pair, pair_of
from orchestra.engine.build.environment import BuildEnvironment, Layers, Reports
from orchestra.engine.build.job import Job
from orchestra.engine.build.solver import Solved, Solver
from orchestra.engine.build.workspace import Workspace
from orchestra.engine.events import LogLine
from orchestra.errors import ImageError, OrchestraError
from orchestra.oci.image import Layer
from orchestra.planner.building import BuildSpec
from orchestra.planner.exchange import CachePlace
from orchestra.values import dataclass, field, replace

if TYPE_CHECKING:
    from orchestra.engine.shim.protocol import Rootfs


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What the caches of a build know: records, and where each layer is to be had, if anywhere."""

    records: dict[str, CacheRecord] = field(default_factory=dict)
    places: dict[Pair, CachePlace | None] = field(default_factory=dict)

    @property
    def solid(self) -> Borrowed:
        """Return what is known of layers that are to be had."""
        records = {
            key: record
            for key, record in self.records.items()
            if record.layer is None or self.places[pair_of(record.layer)] is not None
        }
        return Borrowed(records, {pair: place for pair, place in self.places.items() if place})


class BorrowingCache:
    """The cache of this machine, and behind it what was borrowed, which it never keeps.

    ``sound`` are layers that this machine's own records know: they need no check.
    """

    def __init__(
        self, own: Cache, has: Callable[[Layer], bool], borrowed: Mapping[str, CacheRecord]
    ) -> None:
        self._own = own
        self._has = has
        self._borrowed = borrowed
        self._foreign: set[tuple[str, str]] = set()
        self.sound: set[Pair] = set()
        self.seen: dict[str, CacheRecord] = {}

    def get(self, key: str) -> CacheRecord | None:
        """Return what is known of a key, here or elsewhere."""
        found = self._own.get(key)
        if found is None or (found.layer is not None and not self._has(found.layer)):
            found = self._borrowed.get(key)
            if found is not None:
                self._foreign.add(_mark(found))
        elif found.layer is not None:
            self.sound.add(pair_of(found.layer))
        if found is not None:
            self.seen[key] = found
        return found

    def put(self, key: str, record: CacheRecord) -> None:
        """Remember what a key gave; for this build alone when it came from elsewhere."""
        self.seen[key] = record
        if _mark(record) not in self._foreign:
            self._own.put(key, record)
            self.sound.update([pair_of(record.layer)] if record.layer is not None else [])


def _mark(record: CacheRecord) -> tuple[str, str]:
    return record.created, "" if record.layer is None else record.layer.diff_id


class BorrowingLayers:
    """The layers of this machine, and those to be had elsewhere; ``lost``: one that was not."""

    def __init__(
        self,
        own: Layers,
        places: Mapping[Pair, CachePlace | None],
        fetch: Callable[[CachePlace | None, Layer], Awaitable[None]],
        sound: set[Pair],
    ) -> None:
        self._own = own
        self._places = places
        self._fetch = fetch
        self._sound = sound
        self.lost: OrchestraError | None = None
        self.hollow = False

    async def fetch(self, layers: Sequence[Layer]) -> None:
        """Bring in what of some layers is elsewhere.

        :raises ImageError: when one cannot be had, or is not what it is said to be.
        """
        for layer in layers:
            pair = pair_of(layer)
            place = self._places.get(pair)
            if pair not in self._places or pair in self._sound:
                continue
            if place is None and not self._own.has(layer):
                self.hollow = True
                raise ImageError("a layer of a cache is told of, and not given")
            try:
                await self._fetch(place, layer)
            except OrchestraError as error:
                self.lost = error
                raise
            self._sound.add(pair)

    def given(self, layer: Layer) -> bool:
        """Tell whether a layer can be fetched."""
        return self._places.get(pair_of(layer)) is not None

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
            if outcome[2].lost is not None:
                why = outcome[2].lost.message
                _warn(job.subject, reports, f"the build begins again without it: {why}")
                return await attempt(Borrowed())
            if outcome[2].hollow:
                return await attempt(borrowed.solid)
            raise
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
    layers = BorrowingLayers(
        environment.layers, borrowed.places, environment.shared.fetch, known.sound
    )
    own = replace(environment, layers=layers)
    return Solver(job, own, reports, scratch, known), known, layers


async def _borrow(
    spec: BuildSpec, job: Job, environment: BuildEnvironment, reports: Reports
) -> Borrowed:
    """Read the caches of a build; one that cannot be read is a warning."""
    found = Borrowed()
    for place in () if spec.no_cache else spec.cache_from:
        try:
            contents = await environment.shared.read(place, job.platform)
        except OrchestraError as error:
            _warn(job.subject, reports, f'"{place}" is not used: {error.message}')
            continue
        for layer in contents.layers:
            pair = pair_of(layer)
            if found.places.get(pair) is None:
                found.places[pair] = None if pair in contents.hollow else place
        for key, record in contents.records.items():
            found.records.setdefault(key, record)
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
            contents = await _lent(place, environment, outcomes)
            await environment.shared.write(place, contents, reports.progress)
        except OrchestraError as error:
            error.message = f'cannot write the build cache to "{place}": {error.message}'
            error.args = (error.message,)
            if not place.optional:
                raise
            _warn(subject, reports, error.message)


async def _lent(
    place: CachePlace, environment: BuildEnvironment, outcomes: Sequence[Outcome]
) -> Contents:
    records: dict[str, CacheRecord] = {}
    hollow: frozenset[Pair] = frozenset()
    given: frozenset[Pair] = frozenset()
    for outcome in outcomes:
        own = own_contents(outcome)
        records |= own.records
        hollow |= own.hollow
        if place.every:
            more = [each.layer for each in own.records.values() if each.layer is not None]
            await outcome.layers.fetch([each for each in more if outcome.layers.given(each)])
            has = environment.layers.has
            hollow -= {pair_of(each) for each in more if has(each)}
        given |= {pair_of(layer) for layer in own.given}
    return Contents(records=records, hollow=hollow - given)


def own_contents(outcome: Outcome) -> Contents:
    """Return every record of a build; the layers that its result has are given."""
    own = {pair_of(layer) for layer in outcome.solved.layers}
    contents = Contents(records=outcome.seen)
    hollow = frozenset(pair_of(layer) for layer in contents.layers) - own
    return replace(contents, hollow=hollow)


def _warn(subject: str, reports: Reports, text: str) -> None:
    line = LogLine(source=subject, stream="stderr", text=f"warning: build cache: {text}\n")
    reports.output(line)
