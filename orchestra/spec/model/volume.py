"""Volumes and a service's mounts (compose-spec 07-volumes.md, 05-services.md volumes)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from orchestra.spec.model.base import EMPTY, Bytes, ExtensibleElement, Flag, Integer, Text, TextMap


class Volume(ExtensibleElement):
    """One top-level volume; ``name`` is what the machine calls it."""

    name: Text
    driver: Text | None = None
    driver_opts: TextMap = EMPTY
    external: Flag = False
    labels: TextMap = EMPTY


class BindOptions(ExtensibleElement):
    """What only bind mounts have. ``create_host_path`` is true unless turned off."""

    selinux: Literal["z", "Z"] | None = None
    propagation: Text | None = None
    create_host_path: Flag = True
    recursive: Literal["enabled", "disabled", "writable", "readonly"] | None = None


class VolumeOptions(ExtensibleElement):
    """What only mounts of volumes have."""

    labels: TextMap = EMPTY
    nocopy: Flag = False
    subpath: Text | None = None


class TmpfsOptions(ExtensibleElement):
    """What only tmpfs mounts have; ``mode`` as the number that chmod takes."""

    size: Annotated[Bytes, Field(ge=0)] | None = None
    mode: Integer | None = None


class ImageOptions(ExtensibleElement):
    """What only mounts of images have."""

    subpath: Text | None = None


class ServiceVolume(ExtensibleElement):
    """One mount. ``source``: absolute host path (bind), volume key (volume; None is anonymous)."""

    pointers: ClassVar[frozenset[str]] = frozenset({"bind", "volume", "tmpfs", "image"})

    type: Literal["bind", "volume", "tmpfs", "cluster", "npipe", "image"]
    source: Text | None = None
    target: Text | None = None
    read_only: Flag = False
    consistency: Text | None = None
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None
