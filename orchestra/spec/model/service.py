"""One service (compose-spec 05-services.md). Attributes stand in the order of rendered output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from orchestra.spec.model.base import EMPTY, ExtensibleElement, Flag, Integer, Text, Texts
from orchestra.spec.model.container import Container, Workload
from orchestra.spec.model.later import later

if TYPE_CHECKING:
    from orchestra.spec.model.deploy import Deploy
    from orchestra.spec.model.develop import Develop
    from orchestra.spec.model.hook import Hook, PreStartHook
else:
    Deploy = later("deploy", "Deploy")
    Develop = later("develop", "Develop")
    Hook = later("hook", "Hook")
    PreStartHook = later("hook", "PreStartHook")


class Provider(ExtensibleElement):
    """A program that manages the service in Compose's place."""

    type: Text
    options: Mapping[Text, Texts] = EMPTY


class Service(Container, Workload):
    """One service; None takes the image's or the engine's value. ``name`` is the key."""

    pointers: ClassVar[frozenset[str]] = Container.pointers | {"scale", "attach"}

    name: Text
    profiles: Texts = ()
    deploy: Deploy | None = None
    develop: Develop | None = None
    restart: Text | None = None
    scale: Annotated[Integer, Field(ge=0)] | None = None
    attach: Flag | None = None
    container_name: Text | None = None
    provider: Provider | None = None
    external_links: Texts = ()
    links: Texts = ()
    pre_start: tuple[PreStartHook, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()

    @property
    def replicas(self) -> int:
        """How many containers the file asks for: ``scale``, else ``deploy.replicas``, else 1."""
        if self.scale is not None:
            return self.scale
        if self.deploy is not None and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1
