"""A project as it is on this machine: records, who lives, health files, links. Takes no lock."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestra.engine.container.arguments import merge_argv
from orchestra.engine.container.places import Places
from orchestra.engine.local.notes import BUILD_HASH, PULLED_AT
from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.engine.state.store import Store, read_record
from orchestra.errors import ContainerError, StateError
from orchestra.planner.health import HealthState, effective
from orchestra.planner.observed import (
    LIVE,
    Health,
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Phase,
)

if TYPE_CHECKING:  # handed in: who only reads containers imports none of these
    from orchestra.engine.clock import Clock
    from orchestra.engine.container.lifecycle import Containers
    from orchestra.engine.image.store import ImageStore
    from orchestra.engine.network.networks import Networks
    from orchestra.engine.shim.protocol import ExitRecord
    from orchestra.oci.image import ImageConfig

_LINKS = Path("/sys/class/net")
HEALTH_FILE = "health.json"


class Observer:
    """Takes snapshots."""

    def __init__(
        self,
        store: Store,
        containers: Containers,
        networks: Networks,
        images: Callable[[], ImageStore],
        clock: Clock,
    ) -> None:
        self._store = store
        self._containers = containers
        self._networks = networks
        self._images = images
        self._clock = clock
        self._configs: dict[str, ImageConfig | None] = {}

    def observe(self, project: str, references: Sequence[str] = ()) -> ObservedState:
        """Take a snapshot of a project and of the machine's networks and volumes.

        :raises StateError: when a record is damaged.
        """
        return ObservedState(
            project=project,
            taken_at=self._clock.now(),
            containers=tuple(map(self.container, self._store.containers(project))),
            networks=tuple(
                ObservedNetwork(
                    key=record.spec.key,
                    name=record.name,
                    project=record.project,
                    config_hash=record.spec.config_hash,
                    present=self._networks.present(record),
                )
                for record in self._store.networks(project)
            ),
            volumes=tuple(
                ObservedVolume(
                    key=record.spec.key,
                    name=record.name,
                    project=record.project,
                    config_hash=record.spec.config_hash,
                    anonymous=record.anonymous,
                )
                for record in self._store.volumes(project)
            ),
            images=tuple(
                ObservedImage(
                    reference=reference,
                    id=image.id,
                    platforms=self._platforms(reference),
                    build_hash=self._images().annotations(reference).get(BUILD_HASH, ""),
                    pulled_at=_moment(self._images().annotations(reference).get(PULLED_AT)),
                )
                for reference in sorted(set(references))
                if (image := self._images().get(reference)) is not None
            ),
        )

    def _platforms(self, reference: str) -> tuple[tuple[str, str], ...]:
        target = self._images().target(reference)
        images = self._images().images_of(target) if target else ()
        return tuple((str(image.config.platform), image.id) for image in images)

    def container(self, record: ContainerRecord) -> ObservedContainer:
        """Describe one container as it is now."""
        phase, ended = self._containers.phase(record)
        spec = record.spec
        return ObservedContainer(
            id=record.id,
            name=spec.name,
            service=spec.service,
            number=spec.number,
            image=spec.image,
            image_id=record.image_id,
            config_hash=spec.config_hash,
            phase=phase,
            health=self._health(record) if phase in LIVE else Health.NONE,
            exit_code=ended["code"] if ended and phase is Phase.EXITED else None,
            restarts=record.restarts,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=_finished(ended),
            one_off=record.one_off,
            hooks_due=record.hooks_due and phase is Phase.RUNNING,
            stopped_by_user=record.wanted is Wanted.STOPPED,
            depends_on=spec.depends_on,
            networks=spec.networks,
            volumes=tuple(use.volume for use in record.volumes),
            anonymous_volumes={use.target: use.volume for use in record.volumes if use.anonymous},
            ports=record.ports,
            restart=spec.restart,
            checks=spec.health,
            labels=spec.labels,
            command=self._command(record),
            unplugged=self._unplugged(record) if phase is Phase.RUNNING else (),
        )

    def _unplugged(self, record: ContainerRecord) -> tuple[str, ...]:
        """Return the networks that a running container's host-side links are not there for."""
        gone = [e.network for e in record.endpoints if not (_LINKS / e.host_interface).exists()]
        if not gone:
            return ()
        keys = {network.name: network.spec.key for network in self._store.networks()}
        return tuple(sorted(keys.get(name, name) for name in gone))

    def _command(self, record: ContainerRecord) -> str:
        """Return what a container runs: its own words, else its image's."""
        image = self._config(record)
        own = (image.entrypoint, image.cmd) if image else (None, None)
        try:
            argv = merge_argv(record.spec.entrypoint, record.spec.command, *own)
        except ContainerError:
            return ""
        return shlex.join(argv)

    def _config(self, record: ContainerRecord) -> ImageConfig | None:
        """Return what a container's image says, as it was when the container was made."""
        if record.image_id not in self._configs:
            self._configs[record.image_id] = Places.of(self._store.paths, record).read_image()
        return self._configs[record.image_id]

    def _health(self, record: ContainerRecord) -> Health:
        path = Path(self._store.paths.container(record.spec.project, record.id)) / HEALTH_FILE
        state = None
        with suppress(StateError):  # a damaged one is written anew by the next probe
            state = read_record(path, HealthState)
        if state is not None:
            return state.health
        config = self._config(record)
        if config is None and (image := self._images().by_id(record.image_id)) is not None:
            config = image.config
        checks = effective(record.spec.health, config.healthcheck if config else None)
        return Health.NONE if checks is None else Health.STARTING


def _moment(text: str | None) -> datetime | None:
    """Return when an image was pulled; None where nothing, or no time, was noted."""
    with suppress(ValueError):
        return datetime.fromisoformat(text) if text else None
    return None


def _finished(ended: ExitRecord | None) -> datetime | None:
    return datetime.fromisoformat(ended["finished_at"]) if ended else None


def observe_containers(
    store: Store, images: Callable[[], ImageStore], project: str
) -> ObservedState:
    """Take a snapshot of a project's containers alone.

    :raises StateError: when a record is damaged.
    """
    from orchestra.engine.container.phases import PhaseReader  # noqa: PLC0415

    observer = Observer(
        store,
        # of these two, an observer of containers asks for nothing but the phase
        cast("Containers", PhaseReader(store.paths)),
        cast("Networks", None),
        images,
        cast("Clock", None),  # the moment is taken here
    )
    return ObservedState(
        project=project,
        taken_at=datetime.now(UTC),
        containers=tuple(map(observer.container, store.containers(project))),
    )
