"""Pulling images: from a registry on loopback until every layer is unpacked and named.

``python -m benchmarks.images`` prints this section of the page alone. The images are made of this
machine's own /usr; the registry is Debian's, and nothing is cached between two pulls but by it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import (
    BenchmarkError,
    Peer,
    find_docker,
    find_orchestra,
    find_podman,
    plain_environment,
)
from benchmarks.report import Measured, images_section
from orchestra.engine.image.compression import gzip_compressor
from orchestra.engine.image.document import encode_config, encode_manifest
from orchestra.oci.digest import Digest, digest_of
from orchestra.oci.image import LAYER_GZIP, MANIFEST_OCI, Descriptor, ImageConfig, Layer
from orchestra.oci.platform import platform_of_machine
from scripts.standins.__main__ import cache_directory
from scripts.standins.documents import Document
from scripts.standins.push import Registry
from scripts.standins.server import Server

LARGE = "one layer of 200 MB"
LAYERS = "30 layers of 1 MB"
CPU = "processor time"
MEMORY = "peak memory (MB)"
TITLES = tuple(
    title for image in (LARGE, LAYERS) for title in (image, f"{image}, {CPU}", f"{image}, {MEMORY}")
)
LARGE_BYTES, SMALL_BYTES, SMALL_COUNT = 200_000_000, 1_000_000, 30
FILE_BYTES_MAX = 8_000_000
SOURCES = ("/usr/lib", "/usr/share", "/usr/bin")
RECENT_SECONDS = 6.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Packed(io.RawIOBase):
    """A gzip file that is written as a plain one; it knows both digests."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._compressor = gzip_compressor()
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object, /) -> int:
        """Take plain bytes."""
        plain = bytes(data)  # type: ignore[call-overload]
        self._plain.update(plain)
        self._put(self._compressor.compress(plain))
        return len(plain)

    def _put(self, data: bytes) -> None:
        self._packed.update(data)
        self.size += self._file.write(data)

    def layer(self) -> Layer:
        """End it, and say what it is."""
        self._put(self._compressor.flush())
        self._file.close()
        digest = Digest("sha256:" + self._packed.hexdigest())
        descriptor = Descriptor(media_type=LAYER_GZIP, digest=digest, size=self.size)
        return Layer(diff_id=Digest("sha256:" + self._plain.hexdigest()), descriptor=descriptor)


def sources() -> Iterator[Path]:
    """Yield directories of this machine, each with its files, in an order that mixes all kinds."""
    tops = (Path(top) for top in SOURCES)
    directories = [Path(place) for top in tops for place, _, _ in os.walk(top)]
    for directory in sorted(directories, key=lambda path: digest_of(bytes(path))):
        yield directory
        yield from sorted(
            path
            for path in directory.iterdir()
            if path.is_symlink() or (path.is_file() and path.stat().st_size <= FILE_BYTES_MAX)
        )


def write_layer(path: Path, members: Iterator[Path], packed_bytes: int) -> Layer:
    """Pack files until the layer has its size."""
    packed = Packed(path)
    with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.add(member, recursive=False)
            if packed.size >= packed_bytes:
                break
    return packed.layer()


def publish(registry: Registry, name: str, layers: Mapping[Path, Layer]) -> None:
    """Give an image to the registry."""
    diff_ids = tuple(layer.diff_id for layer in layers.values())
    config = encode_config(
        ImageConfig(platform=platform_of_machine(platform.machine()), diff_ids=diff_ids)
    )
    for path, layer in layers.items():
        registry.blob(name, layer.descriptor.digest, path)
        path.unlink()
    registry.blob(name, digest_of(config), config)
    manifest = encode_manifest(config, list(layers.values()))
    registry.manifest(name, "1", Document(MANIFEST_OCI, manifest))


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Run a registry that has the images; give its address."""
    root.mkdir()
    (root / "docker-registry").symlink_to(Server(cache_directory()).program())
    server = Server(root)
    address = server.start().address
    registry = Registry(address)
    try:
        files = sources()
        large = root / "large"
        publish(registry, "large", {large: write_layer(large, files, LARGE_BYTES)})
        small = [root / f"small-{number}" for number in range(SMALL_COUNT)]
        publish(registry, "layers", {p: write_layer(p, files, SMALL_BYTES) for p in small})
        yield address
    finally:
        registry.close()
        server.stop()


@dataclass(frozen=True, slots=True)
class Puller:
    """A program that pulls; ``daemon`` does the work for those that only ask."""

    name: str
    pull: tuple[str, ...]
    forget: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str]
    daemon: int = 0

    def once(self, reference: str) -> tuple[float, float, float]:
        """Pull; return seconds, seconds of processor time, and the peak of resident megabytes.

        :raises BenchmarkError: when it fails.
        """
        before = _spent(self.daemon)
        Path("/proc/self/clear_refs").write_text("5")  # a child's peak begins with its parent's
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*self.pull, reference],
            env=plain_environment() | dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchmarkError(f"{self.name} cannot pull {reference}")
        spent = usage.ru_utime + usage.ru_stime + _spent(self.daemon) - before
        return elapsed, spent, usage.ru_maxrss / 1000

    def clear(self, reference: str) -> None:
        """Take the image away, and all that is left of it."""
        for words in self.forget:
            subprocess.run(
                [word.format(reference) for word in words],
                env=plain_environment() | dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
            )


def _spent(pid: int) -> float:
    """Return the processor time of a daemon, the processes below it, and those that have ended."""
    if not pid:
        return 0.0
    parents: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks = sum(int(field) for field in fields[11:15])
        parents[int(path.parent.name)] = int(fields[1]), ticks / _TICKS
    below = {pid}
    while more := {one for one, (parent, _) in parents.items() if parent in below} - below:
        below |= more
    return sum(parents[one][1] for one in below if one in parents)


def pullers(peers: Sequence[Peer]) -> list[Puller]:
    """Return how each of the peers pulls."""
    found = []
    for peer in peers:
        program = peer.compose[0] if peer.name == "orchestra" else peer.name
        prune: tuple[tuple[str, ...], ...] = ((program, "image", "prune", "-af"),)
        found.append(
            Puller(
                peer.name,
                # podman's registry speaks plain HTTP to those who ask for it
                (program, "pull", "-q", "--tls-verify=false")
                if peer.name == "podman"
                else (program, "image", "pull", "-q"),
                ((program, "rmi", "-f", "{}"), *prune),
                peer.environment,
                peer.daemon.pid if peer.daemon else 0,
            )
        )
    return found


def measure_images(rounds: int, names: Sequence[str]) -> Measured:
    """Do the rounds, all programs within each; milliseconds and megabytes by title."""
    measured: dict[str, list[dict[str, float | None]]] = {}
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orcb-images-")))
        address = stack.enter_context(serving(root / "registry"))
        peers = []
        for name, find in FINDERS.items():
            place = root / name
            place.mkdir()
            peer = find(place, None) if name in names else None
            if peer is not None:
                peers.append(peer)
                stack.callback(peer.stop, place / "none")
        every = pullers(peers)
        for number in range(-1, rounds):  # the first one only warms the caches
            for puller in every:
                print(
                    f"images {number + 1} of {rounds}: {puller.name}", file=sys.stderr, flush=True
                )
                result: dict[str, float | None] = {}
                for title, repository in ((LARGE, "large"), (LAYERS, "layers")):
                    result |= _measure(puller, title, f"{address}/{repository}:1")
                measured.setdefault(puller.name, []).extend([result] if number >= 0 else [])
    return measured


FINDERS = {"orchestra": find_orchestra, "docker": find_docker, "podman": find_podman}


def _measure(puller: Puller, title: str, reference: str) -> dict[str, float | None]:
    # Nobody waits for what another has left to the disk, nor looks for an inode (ext4 passes by
    # those that were free for less than five seconds).
    os.sync()
    time.sleep(RECENT_SECONDS)
    try:
        elapsed, spent, megabytes = puller.once(reference)
        puller.clear(reference)
    except (BenchmarkError, subprocess.CalledProcessError) as error:
        print(f"  {error}", file=sys.stderr, flush=True)
        return {title: None, f"{title}, {CPU}": None}
    result: dict[str, float | None] = {title: elapsed * 1000, f"{title}, {CPU}": spent * 1000}
    if not puller.daemon:
        result[f"{title}, {MEMORY}"] = megabytes
    return result


def section(rounds: int, names: Sequence[str] = tuple(FINDERS)) -> str:
    """Measure, and return the section of the page."""
    return images_section(measure_images(rounds, names), TITLES, rounds)


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(prog="benchmarks.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=list(FINDERS), choices=list(FINDERS))
    options = parser.parse_args()
    print(section(options.rounds, options.peers))


if __name__ == "__main__":
    main()
