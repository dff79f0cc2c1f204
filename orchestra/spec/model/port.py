"""Published ports (compose-spec 05-services.md, ports)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestra.spec.model.base import ExtensibleElement, Integer, Text


class Port(ExtensibleElement):
    """One port. ``published`` is a port, a range "8000-8010" to choose from, or None: any free."""

    name: Text | None = None
    mode: Text = "ingress"
    host_ip: Text | None = None
    target: Annotated[Integer, Field(ge=1, le=65535)]
    published: Text | None = None
    protocol: Text = "tcp"
    app_protocol: Text | None = None
