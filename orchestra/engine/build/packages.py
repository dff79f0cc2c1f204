"""Which packages an image holds, as its own databases tell: dpkg, apk, rpm, Python and Node.

Reads the layers as one root (tree.py), nothing in it is run. What is damaged, or larger than such
files are, is passed over: an image may hold anything. Blocks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from orchestra.engine.build.rpm import rpm_headers
from orchestra.engine.build.tree import Directory, Tree
from orchestra.values import dataclass

_DATABASE_BYTES_MAX = 256 << 20
_METADATA_BYTES_MAX = 1 << 20
_PACKAGES_MAX = 100_000
_DEPTH_MAX = 100
_RPM = (
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/share/rpm/rpmdb.sqlite",
)
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_DPKG = "var/lib/dpkg/status"
_DPKG_PARTS = "var/lib/dpkg/status.d"
_PYTHON = re.compile(r"\.(dist-info/METADATA|egg-info/PKG-INFO|egg-info)$")
_NODE = re.compile(r"(^|/)node_modules/(@[^/]+/)?[^/]+/package\.json$")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One package; ``kind`` is its type in a package URL, ``place`` the file that tells of it.

    ``namespace`` is the distribution's name for those of one; ``distro`` has its version too.
    """

    kind: str
    namespace: str
    name: str
    version: str
    architecture: str = ""
    distro: str = ""
    license: str = ""
    place: str = ""


def packages_of(tree: Tree) -> tuple[Package, ...]:
    """Return every package of an image, in order, each once."""
    identity, distro = _release(tree)
    found: set[Package] = set()
    for package in _all(tree, identity, distro):
        if len(found) >= _PACKAGES_MAX:
            break
        found.add(package)
    return tuple(sorted(found))


def _all(tree: Tree, identity: str, distro: str) -> Iterator[Package]:
    for place, data in _status_files(tree):
        yield from _dpkg(data, place, identity or "debian", distro)
    for place in _APK:
        yield from _apk(_text(tree, place), place, identity or "alpine", distro)
    for place in _RPM:
        for header in rpm_headers(_read(tree, place, _DATABASE_BYTES_MAX) or b""):
            yield Package(
                kind="rpm",
                namespace=identity or "rpm",
                name=header.name,
                version=header.version,
                architecture=header.architecture,
                distro=distro,
                license=header.license,
                place=place,
            )
    yield from _languages(tree)


def _release(tree: Tree) -> tuple[str, str]:
    """Return the distribution's name, and that with its version (os-release(5))."""
    text = _text(tree, "etc/os-release") or _text(tree, "usr/lib/os-release")
    pairs = (line.partition("=") for line in text.splitlines())
    fields = {key: value.strip().strip("\"'") for key, _, value in pairs}
    identity = re.sub(r"[^a-z0-9._-]", "", fields.get("ID", "").lower())
    version = re.sub(r"[^A-Za-z0-9._-]", "", fields.get("VERSION_ID", ""))
    return identity, f"{identity}-{version}" if identity and version else identity


def _read(tree: Tree, place: str, limit: int) -> bytes | None:
    try:
        data = tree.read(place, limit + 1)
    except OSError:
        return None
    return data if data is not None and len(data) <= limit else None


def _text(tree: Tree, place: str, limit: int = _DATABASE_BYTES_MAX) -> str:
    return (_read(tree, place, limit) or b"").decode("utf-8", "replace")


def _status_files(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield dpkg's database, and the parts that images without dpkg have instead."""
    yield _DPKG, _text(tree, _DPKG)
    try:
        with tree.directory(_DPKG_PARTS.split("/")) as directory:
            names = sorted(item.name for item in directory.entries() if item.is_file)
    except OSError:
        return
    for name in names:
        if not name.endswith(".md5sums"):
            yield f"{_DPKG_PARTS}/{name}", _text(tree, f"{_DPKG_PARTS}/{name}")


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """Yield the paragraphs of "Key: value" lines; continued lines are left out (deb822(5))."""
    fields: dict[str, str] = {}
    for line in [*text.split("\n"), ""]:
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            key, _, value = line.partition(":")
            fields.setdefault(key.lower(), value.strip())


def _dpkg(text: str, place: str, identity: str, distro: str) -> Iterator[Package]:
    for fields in _stanzas(text):
        installed = fields.get("status", "install ok installed").endswith(" installed")
        if fields.get("package") and installed:
            yield Package(
                kind="deb",
                namespace=identity,
                name=fields["package"],
                version=fields.get("version", ""),
                architecture=fields.get("architecture", ""),
                distro=distro,
                place=place,
            )


def _apk(text: str, place: str, identity: str, distro: str) -> Iterator[Package]:
    """Read apk's database: letters as keys (apk(5)); case tells P, the name, from p, provides."""
    for block in text.split("\n\n"):
        fields = {line[0]: line[2:] for line in reversed(block.split("\n")) if line[1:2] == ":"}
        if fields.get("P"):
            yield Package(
                kind="apk",
                namespace=identity,
                name=fields["P"],
                version=fields.get("V", ""),
                architecture=fields.get("A", ""),
                distro=distro,
                license=fields.get("L", ""),
                place=place,
            )


def _languages(tree: Tree) -> Iterator[Package]:
    """Look through every directory for what Python's and Node's installers leave."""
    readers: tuple[tuple[re.Pattern[str], Callable[[str, str], Package | None]], ...] = (
        (_PYTHON, _python),
        (_NODE, _node),
    )
    with tree.root() as root:
        for path in files_below(root):
            for pattern, reader in readers:
                if pattern.search(path):
                    package = reader(_text(tree, path, _METADATA_BYTES_MAX), path)
                    if package is not None:
                        yield package


def files_below(directory: Directory, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the files below a directory, but for those that lie deeper than anybody puts any."""
    for item in directory.entries():
        path = f"{prefix}{item.name}"
        if item.is_file:
            yield path
        elif item.is_directory and depth < _DEPTH_MAX:
            with directory.enter(item) as inner:
                yield from files_below(inner, f"{path}/", depth + 1)


def _python(text: str, path: str) -> Package | None:
    """Read a distribution's core metadata: headers, up to the first blank line."""
    fields = next(_stanzas(text), {})
    name, version = fields.get("name", ""), fields.get("version", "")
    if not name or not version:
        return None
    license_ = fields.get("license-expression") or fields.get("license", "")
    normal = re.sub(r"[-_.]+", "-", name).lower()
    return Package(
        kind="pypi", namespace="", name=normal, version=version, license=license_, place=path
    )


def _node(text: str, path: str) -> Package | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    name, version, license_ = (fields.get(key) for key in ("name", "version", "license"))
    if not isinstance(name, str) or not isinstance(version, str) or not name or not version:
        return None
    scope, slash, rest = name.partition("/")
    return Package(
        kind="npm",
        namespace=scope if slash else "",
        name=rest if slash else name,
        version=version,
        license=license_ if isinstance(license_, str) else "",
        place=path,
    )
