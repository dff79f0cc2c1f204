"""What a text of a test leaves out that a whole project must have: images and definitions."""

from __future__ import annotations

from collections.abc import Iterator

import yaml


class _Loader(yaml.SafeLoader):
    """Reads past Compose's own tags."""


def _any_tag(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


_Loader.add_multi_constructor("!", _any_tag)


def complete(texts: tuple[str, ...]) -> str | None:
    """Return a file to be merged last that adds what is missing; None when nothing is."""
    trees = [tree for text in texts for tree in _trees(text)]
    services = sorted({name for tree in trees for name in _mapping(tree.get("services"))})
    has = {
        name
        for tree in trees
        for name, service in _mapping(tree.get("services")).items()
        if {"image", "build", "provider", "extends"} & set(_mapping(service))
    }
    rest: dict[str, dict[str, object]] = {}
    for name in services:
        if name not in has:
            rest.setdefault("services", {})[name] = {"image": "busybox"}
    for kind, name in sorted({found for tree in trees for found in _named(tree)}):
        if not any(name in _mapping(tree.get(kind)) for tree in trees):
            rest.setdefault(kind, {})[name] = _definition(kind)
    return yaml.safe_dump(rest) if rest else None


def _trees(text: str) -> list[dict[str, object]]:
    try:
        return [tree for tree in yaml.load_all(text, _Loader) if isinstance(tree, dict)]
    except (yaml.YAMLError, ValueError):
        return []


def _mapping(value: object) -> dict[str, object]:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else {}


def _definition(kind: str) -> dict[str, object]:
    match kind:
        case "secrets" | "configs":
            return {"environment": "HOME"}
        case "models":
            return {"model": "ai/model"}
        case "services":
            return {"image": "busybox"}
        case _:
            return {}


def _named(tree: dict[str, object]) -> Iterator[tuple[str, str]]:
    for service in _mapping(tree.get("services")).values():
        attributes = _mapping(service)
        for kind in ("networks", "models", "secrets", "configs"):
            yield from ((kind, name) for name in _names(attributes.get(kind)) if name != "default")
        yield from (("services", name) for name in _names(attributes.get("depends_on")))
        volumes = attributes.get("volumes")
        for mount in volumes if isinstance(volumes, list) else ():
            source = mount.partition(":")[0] if isinstance(mount, str) and ":" in mount else ""
            if isinstance(mount, dict) and mount.get("type") == "volume":
                source = str(mount.get("source") or "")
            if source and source[0] not in "./~$\\" and len(source) > 1:
                yield "volumes", source


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(key) for key in value)
    for entry in value if isinstance(value, list) else ():
        name = entry.get("source") if isinstance(entry, dict) else entry
        if isinstance(name, str) and "$" not in name:
            yield name
