"""The images that the corpus builds on: busybox, one with all that a config can say, triggers."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.differential.recipe import archive

HOST = "corpus.test"
_TIME = "2020-01-02T03:04:05Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ETC: Mapping[str, object] = {
    "etc/": {},
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n",
    "etc/group": "root:x:0:\nbob:x:1001:\nstaff:x:50:bob\n",
    "root/": {"mode": 0o700},
    "home/": {},
    "home/bob/": {"owner": (1000, 1001)},
    "tmp/": {"mode": 0o1777},
    "dev/": {},
    "proc/": {},
    "sys/": {},
    "var/": {},
}
_MORE: Mapping[str, object] = {
    "srv/": {"mode": 0o750, "owner": (1000, 1001)},
    "srv/one": "one\n",
    "srv/two": {"text": "two\n", "mode": 0o4755},
    "srv/deep/": {},
    "srv/deep/er/": {},
    "srv/deep/er/file": "deep\n",
    "srv/there": {"link": "deep/er"},
    "srv/absolute": {"link": "/srv/deep"},
    "srv/dangling": {"link": "nowhere"},
    "srv/hard1": "same\n",
    "srv/hard2": {"hardlink": "srv/hard1"},
    "srv/pipe": {"fifo": True},
    "data/": {},
    "data/kept": "kept\n",
}
_RICH = {
    "Env": [_PATH, "GREETING=hello", "EMPTY=", "WITH=a=b c"],
    "Cmd": ["serve", "--all"],
    "Entrypoint": ["/bin/sh", "-c"],
    "WorkingDir": "/srv",
    "User": "bob",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Volumes": {"/data": {}},
    "Labels": {"from": "rich", "dotted.name": "1"},
    "StopSignal": "SIGQUIT",
    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "Retries": 4},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image as it is stored: its documents, and its layers plain and packed."""

    config: bytes
    manifest: bytes
    plain: tuple[bytes, ...]
    packed: tuple[bytes, ...]

    def blobs(self) -> dict[str, bytes]:
        """Return config and layers by their digests."""
        return {digest(data): data for data in (self.config, *self.packed)}


def digest(data: bytes) -> str:
    """Name some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def bases() -> dict[str, Base]:
    """Make all of them, by their names; the richest first."""
    box = _busybox()
    more = archive(_MORE, "")
    simple: dict[str, Any] = {"Env": [_PATH], "Cmd": ["sh"]}
    triggers = ["ENV TRIGGERED=1", "COPY trigger* /triggered/", "RUN echo ran > /triggered/ran"]
    return {
        f"{HOST}/rich": _image(_RICH, box, more),
        f"{HOST}/trigger": _image({**simple, "OnBuild": triggers}, box),
        f"{HOST}/base": _image(simple, box),
    }


def _busybox() -> bytes:
    program = Path(shutil.which("busybox") or "/bin/busybox")
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    files: dict[str, object] = dict(_ETC)
    files["bin/"] = {}
    files["bin/busybox"] = {"hex": program.read_bytes().hex(), "mode": 0o755}
    for name in names.stdout.split():
        if name != "busybox":
            files[f"bin/{name}"] = {"link": "busybox"}
    return archive(files, "")


def _image(config: Mapping[str, Any], *layers: bytes) -> Base:
    packed = tuple(gzip.compress(layer, 1, mtime=0) for layer in layers)
    history = [{"created": _TIME, "created_by": f"layer {n}"} for n in range(len(layers))]
    document = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _TIME,
            "author": "corpus",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            "history": [*history, {"created": _TIME, "created_by": "CMD", "empty_layer": True}],
        }
    )
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": _descriptor(f"{kind}.config.v1+json", document),
        "layers": [_descriptor(f"{kind}.layer.v1.tar+gzip", layer) for layer in packed],
    }
    return Base(config=document, manifest=_json(manifest), plain=layers, packed=packed)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def docker_archive(images: Mapping[str, Base]) -> bytes:
    """Write an archive that ``docker load`` reads."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:

        def add(name: str, data: bytes) -> str:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
            return name

        listed = [
            {
                "Config": add(f"{digest(base.config)[7:]}.json", base.config),
                "RepoTags": [f"{name}:latest"],
                "Layers": [add(f"{digest(data)[7:]}/layer.tar", data) for data in base.plain],
            }
            for name, base in images.items()
        ]
        add("manifest.json", json.dumps(listed).encode())
    return buffer.getvalue()
