"""The whole of what a project's files say, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from orchestra.spec.model.base import EMPTY, ExtensibleElement, Integer, Text, Texts
from orchestra.spec.model.later import later
from orchestra.spec.model.network import Network
from orchestra.spec.model.service import Service
from orchestra.spec.model.volume import Volume
from orchestra.spec.places import Places

if TYPE_CHECKING:
    from orchestra.spec.model.files import Config, Secret
    from orchestra.spec.model.job import Job
else:
    Config = later("files", "Config")
    Secret = later("files", "Secret")
    Job = later("job", "Job")


class AiModel(ExtensibleElement):
    """One top-level entry of ``models`` (compose-spec models.md)."""

    name: Text | None = None
    model: Text
    context_size: Integer | None = None
    runtime_flags: Texts = ()


class Project(ExtensibleElement):
    """A project. ``working_dir`` is absolute; ``services`` holds the active ones by name.

    ``disabled_services``: those whose profiles are not active, or that were not selected;
    ``disabled_jobs`` likewise.
    ``compose_files``: the absolute paths that were read, in order ("-" is stdin).
    ``default_platform``: that of services which name none (DOCKER_DEFAULT_PLATFORM).
    ``warnings``: what is allowed but hardly meant, one line each, for the CLI to show.
    """

    name: Text
    working_dir: Text
    compose_files: Texts = ()
    default_platform: Text = ""
    profiles: Texts = ()
    warnings: Texts = ()
    services: Mapping[Text, Service] = EMPTY
    disabled_services: Mapping[Text, Service] = EMPTY
    disabled_jobs: Mapping[Text, Job] = EMPTY
    jobs: Mapping[Text, Job] = EMPTY
    networks: Mapping[Text, Network] = EMPTY
    volumes: Mapping[Text, Volume] = EMPTY
    secrets: Mapping[Text, Secret] = EMPTY
    configs: Mapping[Text, Config] = EMPTY
    models: Mapping[Text, AiModel] = EMPTY
    _places: Places = PrivateAttr(default=Places())

    @property
    def places(self) -> Places:
        """Return where the keys stand; nowhere, for a project that no file led to."""
        return self._places

    def placed(self, places: Places) -> Project:
        """Return the project with the places of its keys."""
        result = self.model_copy()
        result._places = places
        return result

    @property
    def all_services(self) -> Mapping[str, Service]:
        """Return every declared service, active or not, by name."""
        return dict(sorted((*self.disabled_services.items(), *self.services.items())))
