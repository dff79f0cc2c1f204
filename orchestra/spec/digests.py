"""Images pinned to digests, in the tree that ``config`` is about to print.

Works on rendered projects and on models whose variables stay as written alike: both have images in
the same places. Asking for digests is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from orchestra.oci.reference import parse_reference
from orchestra.spec.tree import Value, lookup, mapping


def images_in(tree: Value, services: frozenset[str]) -> tuple[str, ...]:
    """Return the images that a digest is needed for, as written, sorted.

    A mount of type image that names one of ``services`` means that service's own.

    :raises ImageError: when one is no image reference.
    """
    found: set[str] = set()

    def note(image: str) -> str:
        if parse_reference(image).digest is None:
            found.add(image)
        return image

    _map_images(tree, services, note)
    return tuple(sorted(found))


def pinned(tree: Value, services: frozenset[str], digests: Mapping[str, str]) -> Value:
    """Return the tree with its images in full and pinned; ``digests`` by image as written."""

    def pin(image: str) -> str:
        reference = parse_reference(image)
        where = f"{reference.registry}/{reference.repository}"
        if reference.digest is not None:
            return f"{where}@{reference.digest}"
        return f"{where}:{reference.tag}@{digests[image]}"

    return _map_images(tree, services, pin)


def locked(tree: Value, *, json_shape: bool = False) -> dict[str, Value]:
    """Return an override file that does nothing but pin: images, and mounts of type image."""
    services: dict[str, Value] = {}
    for name, service in mapping(lookup(tree, "services")).items():
        known = mapping(service)
        result: dict[str, Value] = {"command": None, "entrypoint": None} if json_shape else {}
        if known.get("image"):
            result["image"] = known["image"]
        mounts = [entry for entry in _list(known.get("volumes")) if _is_image(entry)]
        if mounts:
            result["volumes"] = mounts
        services[name] = result
    return {"name": "", "services": services} if json_shape else {"services": services}


def with_pinned_hooks(tree: Value) -> list[str]:
    """Return the services whose pre_start hooks have images, which no override file can pin."""
    return [
        name
        for name, service in mapping(lookup(tree, "services")).items()
        if any(lookup(hook, "image") for hook in _list(lookup(service, "pre_start")))
    ]


def _map_images(tree: Value, services: frozenset[str], change: Callable[[str], str]) -> Value:
    result = {**mapping(tree)}
    changed: dict[str, Value] = {}
    for name, service in mapping(result.get("services")).items():
        changed[name] = dict(_service(mapping(service), services, change))
    if "services" in result:
        result["services"] = changed
    return result


def _service(
    service: dict[str, Value], services: frozenset[str], change: Callable[[str], str]
) -> Iterator[tuple[str, Value]]:
    for key, value in service.items():
        if key == "image" and isinstance(value, str) and value:
            yield key, change(value)
        elif key == "pre_start":
            yield key, [_with(hook, "image", change) for hook in _list(value)]
        elif key == "volumes":
            yield (
                key,
                [
                    _with(mount, "source", change)
                    if _is_image(mount) and lookup(mount, "source") not in services
                    else mount
                    for mount in _list(value)
                ],
            )
        else:
            yield key, value


def _with(value: Value, key: str, change: Callable[[str], str]) -> Value:
    image = lookup(value, key)
    return {**mapping(value), key: change(image)} if isinstance(image, str) and image else value


def _is_image(mount: Value) -> bool:
    return lookup(mount, "type") == "image"


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []
