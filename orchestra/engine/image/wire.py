"""Registry JSON and image documents -> oci values, checked by hand.

Pure, and without pydantic on purpose: every command that looks at the local store reads through
here, and must not pay for an import that only a pull could excuse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, parse_digest
from orchestra.oci.image import (
    INDEX_DOCKER,
    INDEX_OCI,
    MANIFEST_BYTES_MAX,
    MANIFEST_DOCKER,
    MANIFEST_OCI,
    Descriptor,
    History,
    ImageConfig,
    ImageHealthcheck,
)
from orchestra.oci.platform import Platform
from orchestra.oci.reference import TAG
from orchestra.values import dataclass, field

_MANIFESTS = (MANIFEST_OCI, MANIFEST_DOCKER)
_INDEXES = (INDEX_OCI, INDEX_DOCKER)
ACCEPT = ", ".join((*_INDEXES, *_MANIFESTS))
_UNUSABLE = ("nondistributable", ".foreign.", "+encrypted")
_LAYERS_MAX = 500
_BLOB_BYTES_MAX = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest (manifest.md): what an image of one platform is made of."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An image index (image-index.md): one manifest per platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """The answer of a token server; ``refresh`` stands for the login, "" where it was not asked."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)


def _value(data: bytes, what: str) -> object:
    if len(data) > MANIFEST_BYTES_MAX:
        raise ImageError(f"{what} has more than {MANIFEST_BYTES_MAX} bytes")
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise ImageError(f"{what} is not JSON") from err
    return value


def parse_json(data: bytes, what: str) -> Mapping[str, object]:
    """Parse a JSON object of bounded size.

    :raises ImageError: when it is none.
    """
    return _object(_value(data, what), what)


def parse_list(data: bytes, what: str) -> tuple[Mapping[str, object], ...]:
    """Parse a JSON list of objects, of bounded size.

    :raises ImageError: when it is none.
    """
    value = _value(data, what)
    if not isinstance(value, list):
        raise ImageError(f"{what} is not a list")
    return tuple(_object(item, what) for item in value)


def parse_document(data: bytes, media_type: str = "") -> Manifest | Index:
    """Parse a manifest or an index; ``media_type`` is what came beside it, "" when nothing did.

    A document that could be read as either is refused, as is one whose own media type is another
    than the one beside it: two readers would see two images (CVE-2021-41190).

    :raises ImageError: when it is neither, or malformed.
    """
    fields = parse_json(data, "the manifest")
    own = _text(fields, "mediaType")
    kind = own or media_type
    if own and media_type in {*_MANIFESTS, *_INDEXES} and own != media_type:
        raise ImageError(f'the manifest is a "{own[:100]}" but came as "{media_type}"')
    if fields.get("schemaVersion") != 2:
        raise ImageError("the manifest is not of schema version 2")
    is_index, is_manifest = "manifests" in fields, "layers" in fields or "config" in fields
    if is_index and is_manifest:
        raise ImageError("the manifest is an index and an image at once")
    annotations = _text_map(fields, "annotations")
    if kind in _INDEXES or (is_index and kind not in _MANIFESTS):
        entries = _list(fields, "manifests")
        manifests = tuple(parse_descriptor(entry) for entry in entries)
        return Index(media_type=kind or INDEX_OCI, manifests=manifests, annotations=annotations)
    if kind not in _MANIFESTS and (kind or not is_manifest):
        raise ImageError(f'a manifest of type "{kind[:100]}" is not an image')
    layers = tuple(parse_descriptor(entry) for entry in _list(fields, "layers"))
    if len(layers) > _LAYERS_MAX:
        raise ImageError(f"the image has {len(layers)} layers, more than {_LAYERS_MAX}")
    for layer in layers:
        if any(word in layer.media_type for word in _UNUSABLE):
            raise ImageError(
                f'a layer of type "{layer.media_type[:100]}" is not distributed with its image, '
                "or not for everybody",
                hint="Windows' base layers and encrypted ones cannot be used here",
            )
    config = parse_descriptor(fields.get("config"))
    return Manifest(
        media_type=kind or MANIFEST_OCI, config=config, layers=layers, annotations=annotations
    )


def parse_descriptor(value: object) -> Descriptor:
    """Parse one descriptor (descriptor.md).

    :raises ImageError: when a field is missing or malformed.
    """
    fields = _object(value, "a descriptor")
    size = fields.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _BLOB_BYTES_MAX:
        raise ImageError("a descriptor has no valid size")
    platform = fields.get("platform")
    return Descriptor(
        media_type=_text(fields, "mediaType"),
        digest=parse_digest(_text(fields, "digest")),
        size=size,
        platform=None if platform is None else _platform(_object(platform, "a platform")),
        annotations=_text_map(fields, "annotations"),
    )


def parse_config(data: bytes) -> ImageConfig:
    """Parse an image's config (config.md), as docker and OCI builders write it.

    :raises ImageError: when it is malformed.
    """
    fields = parse_json(data, "the image's config")
    config = _object(fields.get("config") or {}, "the image's config")
    rootfs = _object(fields.get("rootfs") or {}, "rootfs of the image's config")
    health = config.get("Healthcheck")
    return ImageConfig(
        platform=_platform(fields),
        diff_ids=_digests(rootfs),
        created=_text(fields, "created") or None,
        author=_text(fields, "author"),
        user=_text(config, "User"),
        env=_texts(config, "Env") or (),
        entrypoint=_texts(config, "Entrypoint"),
        cmd=_texts(config, "Cmd"),
        args_escaped=config.get("ArgsEscaped") is True,
        shell=_texts(config, "Shell"),
        working_dir=_text(config, "WorkingDir"),
        labels=_text_map(config, "Labels"),
        exposed_ports=_keys(config, "ExposedPorts"),
        volumes=_keys(config, "Volumes"),
        stop_signal=_text(config, "StopSignal") or None,
        healthcheck=None if health is None else _healthcheck(_object(health, "Healthcheck")),
        on_build=_texts(config, "OnBuild") or (),
        history=tuple(_history(_object(line, "history")) for line in _list(fields, "history")),
    )


def parse_token(data: bytes) -> Token:
    """Parse a token server's answer (distribution, token authentication).

    :raises ImageError: when there is no token in it.
    """
    fields = parse_json(data, "the token")
    access = _text(fields, "token") or _text(fields, "access_token")
    if not access or not access.isascii() or not access.isprintable():
        raise ImageError("the token server gave no token")
    refresh = _text(fields, "refresh_token")
    return Token(access, refresh if refresh.isascii() and refresh.isprintable() else "")


def parse_tags(data: bytes) -> tuple[str, ...]:
    """Parse a registry's list of tags; names that are none are left out.

    :raises ImageError: when it is no list.
    """
    tags = _texts(parse_json(data, "the list of tags"), "tags") or ()
    return tuple(tag for tag in tags if TAG.fullmatch(tag))


def error_code(data: bytes) -> str:
    """Return the first code in a registry's error body (MANIFEST_UNKNOWN ...), "" without one."""
    try:
        errors = _list(parse_json(data, "the error"), "errors")
        return _text(_object(errors[0], "the error"), "code") if errors else ""
    except ImageError:
        return ""


def _platform(fields: Mapping[str, object]) -> Platform:
    return Platform(_text(fields, "os"), _text(fields, "architecture"), _text(fields, "variant"))


def _digests(rootfs: Mapping[str, object]) -> tuple[Digest, ...]:
    return tuple(parse_digest(text) for text in _texts(rootfs, "diff_ids") or ())


def _healthcheck(fields: Mapping[str, object]) -> ImageHealthcheck:
    return ImageHealthcheck(
        test=_texts(fields, "Test") or (),
        interval_ns=_integer(fields, "Interval"),
        timeout_ns=_integer(fields, "Timeout"),
        start_period_ns=_integer(fields, "StartPeriod"),
        start_interval_ns=_integer(fields, "StartInterval"),
        retries=_integer(fields, "Retries"),
    )


def _history(fields: Mapping[str, object]) -> History:
    return History(
        created_by=_text(fields, "created_by"),
        created=_text(fields, "created") or None,
        comment=_text(fields, "comment"),
        author=_text(fields, "author"),
        empty_layer=fields.get("empty_layer") is True,
    )


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ImageError(f"{what} is not an object")
    return value


def _wrong(key: str, kind: str) -> ImageError:
    return ImageError(f'"{key}" in an image document is not {kind}')


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(key, "a string")
    return value


def _integer(fields: Mapping[str, object], key: str) -> int:
    value = fields.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(key, "a number")
    return value


def _list(fields: Mapping[str, object], key: str) -> list[object]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(key, "a list")
    return value


def _texts(fields: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    """Return a list of strings; None where it is absent or null."""
    if fields.get(key) is None:
        return None
    texts = []
    for item in _list(fields, key):
        if not isinstance(item, str):
            raise _wrong(key, "a list of strings")
        texts.append(item)
    return tuple(texts)


def _text_map(fields: Mapping[str, object], key: str) -> Mapping[str, str]:
    value = _object(fields.get(key) or {}, f'"{key}"')
    texts = {}
    for name, text in value.items():
        if not isinstance(text, str):
            raise _wrong(key, "a map of strings")
        texts[name] = text
    return texts


def _keys(fields: Mapping[str, object], key: str) -> tuple[str, ...]:
    """Return the keys of a set written as an object ("ExposedPorts": {"80/tcp": {}}), sorted."""
    return tuple(sorted(_object(fields.get(key) or {}, f'"{key}"')))
