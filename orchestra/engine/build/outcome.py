"""What is known of a build once it is done, for whoever tells of it."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.engine.build.graph import Graph
from orchestra.engine.build.solver import Solved
from orchestra.oci.platform import Platform
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One platform's build. ``stages`` are those that it took, ``images`` the digests of bases.

    ``context`` is the main one: a path, "-" or a URL; ``local_contexts`` names the additional ones
    of this machine, ``context_images`` those that are images. ``fetched`` are URLs with algorithm
    and digest, ``commits`` of contexts. ``started`` and ``finished`` are times as in RFC 3339.
    """

    graph: Graph
    stages: Mapping[int, Solved]
    images: Mapping[tuple[str, Platform], str]
    fetched: Mapping[str, tuple[str, str]]
    commits: Mapping[str, str]
    context_images: Mapping[str, str]
    context: str
    local_contexts: tuple[str, ...]
    dockerfile: str
    dockerfile_name: str
    target: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    network: str
    no_cache: bool
    builder: Platform
    platform: Platform
    invocation: str
    started: str
    finished: str
