"""How an image is built, as the engine is told: no Compose, no Dockerfile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestra.planner.attesting import Provenance
from orchestra.planner.exchange import CachePlace
from orchestra.planner.limits import Resources, Ulimit
from orchestra.values import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRights:
    """Whose a secret's file is in a build step, where the step itself says nothing of it."""

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A note on what a build gives; ``platform`` "" means all. Indexes are those of several."""

    key: str
    value: str
    kind: Literal["manifest", "manifest-descriptor", "index"] = "manifest"
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """How to build an image. ``context`` and ``dockerfile`` are absolute paths.

    A context may be a URL as well, and "-" is what comes in on stdin: then ``dockerfile`` is a path
    in it. ``secrets`` maps an id to a file path, ``secret_contents`` to a value that the project
    holds, which is never written down; ``ssh`` maps an id to an agent's socket or to keys' files
    (commas between), "" to the agent of the user. ``no_cache_filter`` names stages. Several
    ``platforms`` give an index, none is this machine's. ``fingerprint`` is not here: the builder's
    cache decides.
    """

    context: str
    dockerfile: str
    dockerfile_inline: str | None = None
    target: str | None = None
    args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    network: str | None = None
    extra_hosts: tuple[tuple[str, str], ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    shm_size_bytes: int | None = None
    platforms: tuple[str, ...] = ()
    additional_contexts: Mapping[str, str] = field(default_factory=dict)
    secret_contents: Mapping[str, str] = field(default_factory=dict)
    secret_rights: Mapping[str, FileRights] = field(default_factory=dict)
    ssh: Mapping[str, str] = field(default_factory=dict)
    entitlements: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    no_cache_filter: tuple[str, ...] = ()
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    cgroup_parent: str = ""
    resources: Resources = Resources()
    provenance: Provenance | None = None
    sbom: bool = False


def without_secrets(spec: BuildSpec) -> BuildSpec:
    """Return a build as it may be written down."""
    return replace(spec, secret_contents={})
