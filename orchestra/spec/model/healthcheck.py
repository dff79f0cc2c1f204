"""How the health of a container is probed (compose-spec 05-services.md, healthcheck)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from orchestra.spec.model.base import ExtensibleElement, Flag, Integer, Span, Texts


class Healthcheck(ExtensibleElement):
    """``test`` starts with CMD, CMD-SHELL or NONE; () takes the image's. None: image or default."""

    pointers: ClassVar[frozenset[str]] = frozenset(
        {"timeout", "interval", "retries", "start_period", "start_interval"}
    )

    test: Texts = ()
    timeout: Span | None = None
    interval: Span | None = None
    retries: Annotated[Integer, Field(ge=0)] | None = None
    start_period: Span | None = None
    start_interval: Span | None = None
    disable: Flag = False
