"""How a service's image is built (compose-spec build.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestra.spec.model.base import (
    EMPTY,
    Bytes,
    ExtensibleElement,
    Flag,
    OptionalTextMap,
    Text,
    TextMap,
    Texts,
)
from orchestra.spec.model.later import later

if TYPE_CHECKING:
    from orchestra.spec.model.files import FileReference
    from orchestra.spec.model.limits import Ulimit
else:
    FileReference = later("files", "FileReference")
    Ulimit = later("limits", "Ulimit")


class Build(ExtensibleElement):
    """The ``build`` of a service. ``context`` is absolute or a URL; ``dockerfile`` is in it."""

    context: Text | None = None
    dockerfile: Text | None = None
    dockerfile_inline: Text | None = None
    entitlements: Texts = ()
    args: OptionalTextMap = EMPTY
    provenance: Text | None = None
    sbom: Text | None = None
    ssh: OptionalTextMap = EMPTY
    labels: TextMap = EMPTY
    cache_from: Texts = ()
    cache_to: Texts = ()
    no_cache: Flag = False
    no_cache_filter: Texts = ()
    additional_contexts: TextMap = EMPTY
    pull: Flag = False
    extra_hosts: Mapping[Text, Texts] = EMPTY
    isolation: Text | None = None
    network: Text | None = None
    target: Text | None = None
    secrets: tuple[FileReference, ...] = ()
    shm_size: Bytes | None = None
    tags: Texts = ()
    ulimits: Mapping[Text, Ulimit] = EMPTY
    platforms: Texts = ()
    privileged: Flag = False
