"""Kernel, initrd and root image, made once per recipe and kept in the user's cache.

Nothing is mounted on the way: mke2fs fills the images out of directories.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scripts.standins.maker import Maker
from scripts.standins.server import Server
from scripts.v2 import initrd
from scripts.v2.errors import MachineError
from scripts.v2.recipe import CHECKOUT, IMAGES, KERNEL, MODULES, Recipe

ROOT_SIZE = "3G"
UNWANTED = "/usr/share/{doc,info,lintian,locale,man}/*"
Say = Callable[[str], None]


def run(argv: Sequence[str | Path], *, what: str, cwd: Path | None = None) -> str:
    """Run a tool quietly and return its output.

    :raises MachineError: when it is missing or fails, with the end of what it said.
    """
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise MachineError(f"cannot {what}: {argv[0]} is not installed") from err
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-10:]
        raise MachineError(f"cannot {what}: {argv[0]} exited {done.returncode}", tail)
    return done.stdout


class Pieces:
    """The finished machine below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kernel = directory / "vmlinuz"
        self.initrd = directory / "initrd"
        self.root = directory / "root.img"


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_pieces(cache: Path, recipe: Recipe, say: Say) -> Pieces:
    """Return the machine of ``recipe``, made now where the cache has none; older ones go.

    :raises MachineError: when something cannot be had or made.
    """
    with _locked(cache):
        ready = Pieces(cache / recipe.key())
        if ready.directory.is_dir():
            return ready
        if os.geteuid() != 0:
            raise MachineError("cannot make the root image: that takes root, the first time")
        for old in cache.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=cache))
        try:
            (part / "out").mkdir()
            _make(part, Pieces(part / "out"), recipe, say)
            (part / "out").rename(ready.directory)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return ready


def _make(work: Path, pieces: Pieces, recipe: Recipe, say: Say) -> None:
    root = work / "root"
    say(f"making a root of Debian {recipe.suite}; this is done once")
    run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(recipe.debs)}"),
            *(f"--dpkgopt=path-exclude={UNWANTED}", recipe.suite, root),
        ],
        what="make the root",
    )
    say("adding the kernel")
    version = _add_kernel(work, root, pieces)
    say("adding Python packages and images")
    _add_python(root, recipe)
    _add_images(work, root, say)
    (root / "checkout").mkdir()
    say("writing the image")
    modules = root / "usr/lib/modules" / version
    order = initrd.in_order(MODULES, (modules / "modules.dep").read_text())
    drivers = [initrd.read_module(modules / path) for path in order]
    pieces.initrd.write_bytes(initrd.archive((root / "bin/busybox").read_bytes(), drivers))
    write_image(root, pieces.root, ROOT_SIZE)


def write_image(directory: Path, image: Path, size: str) -> None:
    """Write a file system that holds what ``directory`` holds.

    :raises MachineError: when it does not fit.
    """
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"]
    run(["mke2fs", *options, directory, image, size], what="write an image")


def _add_kernel(work: Path, root: Path, pieces: Pieces) -> str:
    """Take the kernel and its modules out of their package; return the version."""
    run(["apt-get", "-qq", "update"], what="update the package lists")
    for line in run(["apt-cache", "depends", KERNEL], what="find the kernel").splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends" and name.startswith("linux-image-"):
            break
    else:
        raise MachineError(f"cannot find the kernel: apt has no {KERNEL}")
    download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name]
    run(download, what="download the kernel", cwd=work)
    (package,) = work.glob("linux-image-*.deb")
    unpacked = work / "kernel"
    run(["dpkg-deb", "-x", package, unpacked], what="unpack the kernel")
    (kernel,) = (unpacked / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, pieces.kernel)
    (modules,) = [*unpacked.glob("lib/modules/*"), *unpacked.glob("usr/lib/modules/*")]
    target = root / "usr/lib/modules" / modules.name
    target.parent.mkdir(exist_ok=True)
    shutil.move(modules, target)
    run(["chroot", root, "depmod", modules.name], what="order the kernel's modules")
    return modules.name


def _add_python(root: Path, recipe: Recipe) -> None:
    """Install the requirements, and the checkout by its place in the machine."""
    (library,) = (root / "usr/lib").glob("python3.[0-9]*")
    target = root / "usr/local/lib" / library.name / "dist-packages"
    target.mkdir(parents=True, exist_ok=True)
    version = library.name.removeprefix("python")
    run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
            *("--only-binary=:all:", "--python-version", version, "--target", target),
            *recipe.requirements,
        ],
        what="install Python packages",
    )
    (target / "orchestra.pth").write_text("/src\n")
    inside = Path("/", target.relative_to(root))
    run(["chroot", root, "python3", "-m", "compileall", "-q", inside], what="compile them")


def _add_images(work: Path, root: Path, say: Say) -> None:
    """Fill the storage of a registry; the machine serves it to itself on loopback."""
    cache = root / "var/cache/orchestra-standins"
    making = work / "standins"
    making.mkdir()
    server = Server(making)
    running = server.start()
    try:
        Maker(making, say).push(IMAGES, running.address)
    finally:
        server.stop()
    cache.mkdir(parents=True)
    shutil.copytree(making / "registry", cache / "registry")


def write_checkout(directory: Path, image: Path, arguments: str) -> None:
    """Write the image of this checkout as it is now, with what pytest is to be given.

    :raises MachineError: when git cannot list its files.
    """
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        what="list the checkout's files",
        cwd=CHECKOUT,
    )
    for name in filter(None, listed.split("\0")):
        source, target = CHECKOUT / name, directory / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target, follow_symlinks=False)
    (directory / ".arguments.json").write_text(arguments)
    write_image(directory, image, "128M")
