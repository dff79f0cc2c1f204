"""``scripts/standins/registry``: stand-in images and the registry that serves them.

Where the public registry answers, nothing is made and nothing needs to be set.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.standins.catalogue import IMAGES
from scripts.standins.errors import StandinError
from scripts.standins.maker import Maker
from scripts.standins.server import Running, Server

PUBLIC_HOST = "registry-1.docker.io"
PROBE_SECONDS = 3
STARTED = time.monotonic()


def say(message: str) -> None:
    """Tell of progress on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.2f} s] {message}", file=sys.stderr, flush=True)


def cache_directory() -> Path:
    """Return ORCHESTRA_STANDINS, else the place that XDG gives, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    chosen = os.environ.get("ORCHESTRA_STANDINS") or f"{base}/orchestra-standins"
    cache = Path(chosen).absolute()
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Hold the cache against other runs."""
    with (cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def public_registry_answers() -> bool:
    """Ask Docker Hub whether it is there; asking for credentials is an answer too."""
    connection = http.client.HTTPSConnection(PUBLIC_HOST, timeout=PROBE_SECONDS)
    try:
        connection.request("HEAD", "/v2/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return status in {http.HTTPStatus.OK, http.HTTPStatus.UNAUTHORIZED}


def setting(running: Running) -> str:
    """Return the line for the environment that points Orchestra at the registry."""
    return f"ORCHESTRA_REGISTRY_MIRROR=docker.io=http://{running.address}"


def start(cache: Path, names: list[str], *, always: bool) -> None:
    """Use Docker Hub where it answers, else make the images and serve them."""
    if not always and public_registry_answers():
        say("Docker Hub answers: using it, no stand-in images are needed")
        return
    with locked(cache):
        running = Server(cache).start()
        Maker(cache, say).push(names, running.address)
    say(f"using stand-in images from {running.address} (Docker Hub does not answer)")
    print(setting(running))


def env(cache: Path) -> None:
    """Print the setting of the running registry; without one there is nothing to set."""
    running = Server(cache).find()
    if running is not None:
        print(setting(running))


def status(cache: Path) -> int:
    """Say whether the registry runs: exit code 0, else 3."""
    running = Server(cache).find()
    if running is None:
        print("stopped")
        return 3
    print(f"running on {running.address}, pid {running.pid}, cache {cache}")
    return 0


def stop(cache: Path) -> None:
    """Stop the registry; the cache stays."""
    with locked(cache):
        print("stopped" if Server(cache).stop() else "was not running")


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/standins/registry", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "status", "env"))
    parser.add_argument("images", nargs="*", help="which images (start); all of them if none")
    parser.add_argument("--always", action="store_true", help="do not ask for Docker Hub")
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.images) - set(IMAGES))
    if unknown:
        parser.error(f"no such image: {', '.join(unknown)} (there are {', '.join(IMAGES)})")
    return arguments


def main(argv: list[str]) -> int:
    """Do what the command line asks and return the exit code."""
    arguments = parse(argv)
    try:
        cache = cache_directory()
        match arguments.action:
            case "start":
                start(cache, arguments.images or list(IMAGES), always=arguments.always)
            case "stop":
                stop(cache)
            case "env":
                env(cache)
            case _:
                return status(cache)
    except StandinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
