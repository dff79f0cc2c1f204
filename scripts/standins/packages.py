"""Debian packages and Python wheels: fetched by their own clients, read without installing.

A package once in the cache is never asked for again. Reading puts a package's files into a
``Layer``, without documentation and other files that no image needs.
"""

from __future__ import annotations

import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.standins.errors import StandinError
from scripts.standins.layer import Layer, Owner

PYTHON = "3.11"
Keep = Callable[[str], bool]

UNWANTED = re.compile(
    r"usr/share/(doc|man|locale|lintian|info|bash-completion|bug|gcc|gdb)/|usr/include/"
    r"|usr/lib/x86_64-linux-gnu/(gconv|audit|perl)/|usr/lib/(tmpfiles\.d|systemd|sysusers\.d)/"
    r"|etc/(init\.d|logrotate\.d|ufw|cron)|lib/systemd/"
)


def keep_all(_path: str) -> bool:
    """Keep every path."""
    return True


def run(argv: Sequence[str], *, cwd: Path, what: str) -> None:
    """Run a package client, quietly.

    :raises StandinError: when it is not there or fails, with the end of what it said.
    """
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise StandinError(f"cannot {what}: {argv[0]} is not installed") from err
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise StandinError(f"cannot {what}: {' / '.join(tail) or 'no reason given'}")


class Packages:
    """The package files below one cache directory."""

    def __init__(self, cache: Path) -> None:
        self._debs = cache / "debs"
        self._wheels = cache / "wheels"
        self._debs.mkdir(parents=True, exist_ok=True)
        self._wheels.mkdir(parents=True, exist_ok=True)

    def _deb(self, name: str) -> Path | None:
        return next(iter(sorted(self._debs.glob(f"{name}_*.deb"))), None)

    def fetch_debs(self, names: Sequence[str]) -> None:
        """Download what is missing of ``names``, in one go.

        :raises StandinError: when apt has no such package or no lists.
        """
        missing = [name for name in names if self._deb(name) is None]
        if not missing:
            return
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *missing]
        try:
            run(download, cwd=self._debs, what="download Debian packages")
        except StandinError:
            if os.getuid() != 0:
                raise
            run(["apt-get", "-qq", "update"], cwd=self._debs, what="update the package lists")
            run(download, cwd=self._debs, what="download Debian packages")

    def deb(self, name: str) -> Path:
        """Return the package file of ``name``."""
        found = self._deb(name)
        if found is None:
            self.fetch_debs([name])
            found = self._deb(name)
        if found is None:
            raise StandinError(f"cannot download Debian packages: no file of {name} arrived")
        return found

    def wheels(self, key: str, requirements: Sequence[str]) -> list[Path]:
        """Return the wheels of ``requirements`` for a Linux of x86_64 and CPython 3.11.

        :raises StandinError: when pip cannot find one.
        """
        directory = self._wheels / key
        if not directory.is_dir():
            part = directory.with_name(f".{key}-{os.getpid()}")
            part.mkdir(exist_ok=True)
            abi = "cp" + PYTHON.replace(".", "")
            run(
                [
                    *(sys.executable, "-m", "pip", "download", "-q", "--no-deps"),
                    *("--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"),
                    *("--abi", abi, "--abi", "abi3", "--abi", "none"),
                    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64"),
                    *("--platform", "manylinux2014_x86_64", "--platform", "any"),
                    *("-d", str(part), *requirements),
                ],
                cwd=self._wheels,
                what=f"download the Python packages of {key}",
            )
            part.rename(directory)
        return sorted(directory.glob("*.whl"))


def read_deb(layer: Layer, deb: Path, *, keep: Keep = keep_all) -> None:
    """Put the files of a Debian package into ``layer``."""
    with deb.open("rb") as source:
        if source.read(8) != b"!<arch>\n":
            raise StandinError(f"cannot read {deb.name}: not a Debian package")
        while header := source.read(60):
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            body = source.read(size + size % 2)[:size]
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(_unpack(name, body))) as archive:
                    _read_tar(layer, archive, keep)


def _unpack(name: str, body: bytes) -> bytes:
    if name.endswith(".xz"):
        return lzma.decompress(body)
    if name.endswith(".gz"):
        return zlib.decompress(body, 47)
    if name.endswith(".zst"):
        return subprocess.run(
            ["zstd", "-dc"], input=body, stdout=subprocess.PIPE, check=True
        ).stdout
    return body


def _read_tar(layer: Layer, archive: tarfile.TarFile, keep: Keep) -> None:
    for member in archive:
        path = member.name.removeprefix("./").strip("/")
        probe = f"{path}/" if member.isdir() else path
        if path in {"", "."} or UNWANTED.match(probe) or not keep(path):
            continue
        owner = Owner(uid=member.uid, gid=member.gid)
        if member.isdir():
            if path not in layer:
                layer.directory(path, member.mode, owner=owner)
        elif member.issym():
            layer.symlink(path, member.linkname)
        elif member.islnk():
            layer.hardlink(path, member.linkname.removeprefix("./"), member.mode)
        elif member.isreg():
            content = archive.extractfile(member)
            assert content is not None
            layer.file(path, content.read(), member.mode, owner=owner)


def read_wheel(layer: Layer, wheel: Path, to: str, *, keep: Keep = keep_all) -> None:
    """Put the files of a wheel below the directory ``to``."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.is_dir() or not keep(info.filename):
                continue
            mode = (info.external_attr >> 16) & 0o777 or 0o644
            layer.file(f"{to}/{info.filename}", archive.read(info), mode)
