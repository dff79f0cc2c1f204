"""What a ``pre_start`` container takes from its service (compose-spec 05-services.md, pre_start).

It is a container of its own that inherits all of the service's container but the mounts, which it
shares with it while it runs: lists and mappings are completed, scalars replaced.
"""

from __future__ import annotations

from orchestra.spec.findings import Findings
from orchestra.spec.merge import merge
from orchestra.spec.tree import MarkedMap, Value, copy, entries, items

_NOT_INHERITED = frozenset(
    {"attach", "build", "container_name", "depends_on", "deploy", "develop", "expose", "extends"}
    | {"external_links", "healthcheck", "links", "name", "ports", "post_start", "pre_start"}
    | {"pre_stop", "profiles", "provider", "restart", "scale", "stdin_open", "tty", "volumes"}
)
"""The attributes of a service that are no attribute of a container, and the mounts."""


def complete_hooks(services: Value) -> None:
    """Give the hooks of the services what they inherit."""
    for _, service, _ in entries(services):
        hooks = service.get("pre_start") if isinstance(service, MarkedMap) else None
        if not isinstance(service, MarkedMap) or not isinstance(hooks, list):
            continue
        base = MarkedMap()
        for key, value, mark in entries(service):
            if key not in _NOT_INHERITED and not key.startswith("x-"):
                base.put(key, value, mark)
        for index, (hook, _) in enumerate(items(hooks)):
            if isinstance(hook, dict):
                path = ("services", "hook")
                hooks[index] = merge(copy(base), hook, Findings(), path)
