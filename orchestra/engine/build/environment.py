"""What a build needs from the rest of the engine, and what it remembers while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import IO, TYPE_CHECKING, Literal, Protocol

from orchestra.engine.build.cacheconfig import Contents
from orchestra.engine.clock import Clock
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.paths import Paths
from orchestra.oci.digest import Digest
from orchestra.oci.image import Image, ImageConfig, Layer
from orchestra.oci.platform import Platform
from orchestra.planner.exchange import CachePlace
from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from orchestra.engine.build.settled import SettledBuilds
    from orchestra.engine.container.launching import LauncherClient
    from orchestra.engine.shim.protocol import Rootfs, ShimNetwork

NetworkMode = Literal["default", "none", "host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNetwork:
    """How a RUN reaches the world: its namespace, the resolv.conf that fits, the host's address."""

    network: ShimNetwork
    resolv_conf: str | None = None
    gateway: str = ""


class Layers(Protocol):
    """Where layers are kept, unpacked and made."""

    async def directories(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Return the unpacked directories of some layers (lowest first), uppermost first."""
        ...

    def rootfs(self, directories: Sequence[str], scratch: str) -> Rootfs:
        """Make a writable root over some directories, its own files below ``scratch``. Blocks."""
        ...

    async def commit(
        self, rootfs: Rootfs, below: Sequence[Layer], *, epoch: int | None
    ) -> Layer | None:
        """Make a layer of what was written in a root, which is used up; None when it is nothing.

        No time in it is later than ``epoch``, in seconds.
        """
        ...

    def has(self, layer: Layer) -> bool:
        """Tell whether a layer is kept."""
        ...

    def writing(self) -> AbstractContextManager[object]:
        """Keep a sweep from what no image holds yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build gives: images by their manifests, and the index of them, if there is one.

    ``documents`` are the blobs that they are made of beside layers.
    """

    manifests: tuple[bytes, ...]
    documents: tuple[bytes, ...]
    index: bytes | None = None


class Images(Protocol):
    """Where base images come from and results go."""

    async def base(
        self,
        reference: str,
        platform: Platform,
        *,
        pull: bool,
        progress: Callable[[Progress], None],
    ) -> Image:
        """Return an image, from the store when it is there (and not ``pull``), else pulled."""
        ...

    async def config(self, reference: str, platform: Platform) -> ImageConfig | None:
        """Return an image's config alone, its layers left where they are; None if not to be had."""
        ...

    def known_as(self, reference: str, image: Image) -> Digest:
        """Return the digest by which an image of a reference is known where it came from."""
        ...

    def name(self, image: Image, references: Sequence[str]) -> None:
        """Let some names stand for a stored image. Blocks."""
        ...

    async def add(self, built: Built, references: Sequence[str]) -> Image:
        """Store what was built under some names, nameless without any.

        Return the image; of an index, that of it which suits this machine best.
        """
        ...


class Shared(Protocol):
    """Where caches of other machines come from, and go."""

    async def read(self, place: CachePlace, platform: Platform) -> Contents:
        """Return what is in a cache."""
        ...

    async def fetch(self, place: CachePlace | None, layer: Layer) -> None:
        """Bring a layer of a cache in, checked; without a place it is here, and is checked."""
        ...

    async def write(
        self,
        place: CachePlace,
        contents: Contents,
        progress: Callable[[Progress], None],
    ) -> None:
        """Write a cache."""
        ...


Network = Callable[[NetworkMode], AbstractAsyncContextManager[StepNetwork]]
"""Opens a network for one step."""

Launcher = Callable[[], AbstractAsyncContextManager["LauncherClient"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEnvironment:
    """The collaborators of a build.

    ``variables`` is the environment that null build arguments and SOURCE_DATE_EPOCH come from.
    ``scope`` names who shares what is not fixed by content: cache mounts, and steps whose result
    may depend on a proxy, a secret or a cache mount.
    """

    images: Images
    layers: Layers
    paths: Paths
    clock: Clock
    platform: Platform
    network: Network
    launcher: Launcher
    settled: SettledBuilds
    shared: Shared
    variables: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    stdin: Callable[[], IO[bytes]] | None = None
    """Opens what a context of "-" is read from."""
    begun: set[str] = field(default_factory=set)
    """Keys of steps that were done without an event loop, for a build that begins again with one:
    what one command did is not cached for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where a build tells how far it is, and what its steps say."""

    progress: Callable[[Progress], None]
    output: Callable[[LogLine], None]
