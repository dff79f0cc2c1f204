"""Limits that stand in several places: ulimits, block I/O, device requests."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from orchestra.spec.model.base import (
    EMPTY,
    Bytes,
    Element,
    ExtensibleElement,
    Flag,
    Integer,
    Text,
    TextMap,
    Texts,
)


class Ulimit(ExtensibleElement):
    """One resource limit; -1 is unlimited. ``single``: one number in the file set both."""

    pointers: ClassVar[frozenset[str]] = frozenset({"soft", "hard"})

    soft: Integer
    hard: Integer
    single: Flag = Field(default=False, alias="#single", repr=False)


class BlkioWeight(Element):
    """A device's share of block I/O."""

    path: Text
    weight: Annotated[Integer, Field(ge=0, le=1000)] = 0


class BlkioLimit(Element):
    """A device's limit, in bytes or operations per second."""

    path: Text
    rate: Bytes = 0


class BlkioConfig(Element):
    """The ``blkio_config`` of a service."""

    weight: Annotated[Integer, Field(ge=0, le=1000)] | None = None
    weight_device: tuple[BlkioWeight, ...] = ()
    device_read_bps: tuple[BlkioLimit, ...] = ()
    device_read_iops: tuple[BlkioLimit, ...] = ()
    device_write_bps: tuple[BlkioLimit, ...] = ()
    device_write_iops: tuple[BlkioLimit, ...] = ()


class DeviceRequest(ExtensibleElement):
    """Accelerators asked for (gpus, deploy.resources.reservations.devices); count -1 is all."""

    capabilities: Texts = ()
    driver: Text | None = None
    count: Integer | None = None
    device_ids: Texts = ()
    options: TextMap = EMPTY
