"""Where results of builds go and where their caches are: docker's ``type=...,key=value`` texts.

Pure. ``base`` is the directory that relative paths are below. What a type or a field here does not
do is refused by its name.
"""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from orchestra.errors import UsageError
from orchestra.values import dataclass, field

OutputKind = Literal["local", "tar", "oci", "docker", "image", "cacheonly"]
CacheKind = Literal["local", "registry", "inline"]
Compression = Literal["", "gzip", "zstd", "uncompressed"]

STDOUT = "-"
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_COMPRESSIONS: Mapping[str, Compression] = {
    "gzip": "gzip",
    "zstd": "zstd",
    "uncompressed": "uncompressed",
}
_FILES = frozenset({"type", "dest", "platform-split"})
_ARCHIVES = frozenset({"type", "dest", "tar", "name", "compression", "oci-mediatypes"})
_STORED = frozenset({"type", "name", "push", "compression", "oci-mediatypes", "unpack", "store"})
_OUTPUTS: Mapping[str, frozenset[str]] = {
    "local": _FILES,
    "tar": _FILES,
    "oci": _ARCHIVES,
    "docker": _ARCHIVES,
    "image": _STORED,
    "registry": _STORED,
    "cacheonly": frozenset({"type"}),
}
_TO = frozenset({"type", "mode", "compression", "oci-mediatypes", "ignore-error"})
_CACHES_TO: Mapping[str, frozenset[str]] = {
    "local": _TO | {"dest", "tag", "image-manifest"},
    "registry": _TO | {"ref", "image-manifest"},
    "inline": frozenset({"type", "mode"}),
}
_CACHES_FROM: Mapping[str, frozenset[str]] = {
    "local": frozenset({"type", "src", "tag", "digest"}),
    "registry": frozenset({"type", "ref"}),
}
ELSEWHERE = frozenset({"gha", "s3", "azblob"})
"""Caches that services of others keep: they are known, and not had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What becomes of a result. ``destination`` is an absolute path, "-" is stdout.

    "docker" without a destination and "image" are the store of this machine. ``names`` "" are
    those of the build.
    """

    kind: OutputKind
    destination: str = ""
    names: tuple[str, ...] = ()
    push: bool = False
    tar: bool = True
    compression: Compression = ""
    split: bool | None = None
    """``platform-split``: files of each platform in a directory of theirs; None: of several."""

    @property
    def stored(self) -> bool:
        """Tell whether the image store gets the result."""
        return self.kind == "image" or (self.kind == "docker" and not self.destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlace:
    """Where a build's cache is, or is to be: a directory, or an image of a registry."""

    kind: CacheKind
    directory: str = ""
    reference: str = ""
    tag: str = "latest"
    digest: str = ""
    every: bool = False
    """``mode=max``: the steps of every stage, not only those whose layers the result has."""
    compression: Compression = ""
    optional: bool = False
    """``ignore-error``: that it cannot be written is a warning."""

    def __str__(self) -> str:
        """Name it, for people."""
        return self.reference or self.directory or self.kind


@dataclass(frozen=True, slots=True)
class _Fields:
    option: str
    text: str
    values: Mapping[str, str] = field(default_factory=dict)

    def one_of(self, key: str, allowed: Collection[str]) -> str:
        value = self.values.get(key, "")
        if value and value not in allowed:
            raise self.wrong(f'"{value[:50]}" is no {key}', f"it is one of {', '.join(allowed)}")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.one_of(key, (*_TRUE, *_FALSE))
        return value in _TRUE if value else default

    @property
    def compression(self) -> Compression:
        return _COMPRESSIONS.get(self.one_of("compression", _COMPRESSIONS), "")

    def check(self, known: Mapping[str, frozenset[str]]) -> str:
        """Return the type, all fields known.

        :raises UsageError: when it is not, or one of them is not.
        """
        kind = self.values.get("type", "")
        if kind not in known:
            raise self.wrong(
                f'type "{kind[:50]}" is not supported', f"it is one of {', '.join(known)}"
            )
        for name in self.values:
            if name not in known[kind]:
                raise self.wrong(
                    f'"{name[:50]}" of type={kind} is not supported',
                    f"supported are {', '.join(sorted(known[kind] - {'type'})) or 'none'}",
                )
        return kind

    def wrong(self, why: str, hint: str | None = None) -> UsageError:
        return UsageError(f"{self.option} {self.text[:200]}: {why}", hint=hint)


def parse_output(text: str, base: str) -> Output:
    """Parse a value of ``--output``; "-" alone is a tar on stdout, a path alone a directory.

    :raises UsageError: when it is none, or asks for what is not supported.
    """
    words = _words("--output", text)
    if len(words) == 1 and not text.startswith("type="):
        tar = text == STDOUT
        return Output(kind="tar" if tar else "local", destination=_path(text, base))
    fields = _fields("--output", text, words)
    kind = fields.check(_OUTPUTS)
    place = _path(fields.values.get("dest", ""), base)
    compression = fields.compression
    split = fields.flag("platform-split") if "platform-split" in fields.values else None
    if kind == "local":
        if place in ("", STDOUT):
            raise fields.wrong("a directory is wanted", "add dest=DIRECTORY")
        return Output(kind="local", destination=place, split=split)
    if kind == "tar":
        return Output(kind="tar", destination=place or STDOUT, split=split)
    if kind == "cacheonly":
        return Output(kind="cacheonly")
    if kind in ("oci", "docker"):
        return _archive(fields, "oci" if kind == "oci" else "docker", place)
    push = kind == "registry" or fields.flag("push")
    if compression == "uncompressed":
        raise fields.wrong("plain layers are for type=oci and type=docker", "use gzip or zstd")
    return Output(kind="image", names=_names(fields), push=push, compression=compression)


def _archive(fields: _Fields, kind: Literal["oci", "docker"], place: str) -> Output:
    tar = fields.flag("tar", default=True)
    if kind == "oci" and tar:
        place = place or STDOUT
    if not tar and place in ("", STDOUT):
        raise fields.wrong("a directory is wanted", "add dest=DIRECTORY")
    if not tar and kind == "docker":
        raise fields.wrong("it is an archive always", "type=oci,tar=false is a directory")
    return Output(
        kind=kind,
        destination=place,
        names=_names(fields),
        tar=tar,
        compression=fields.compression,
    )


def _names(fields: _Fields) -> tuple[str, ...]:
    return tuple(name.strip() for name in fields.values.get("name", "").split(",") if name.strip())


def parse_cache_to(text: str, base: str, option: str = "--cache-to") -> CachePlace:
    """Parse where a cache is written; a name alone is an image.

    :raises UsageError: when it is none, or asks for what is not supported.
    """
    fields = _cache_fields(option, text)
    kind = fields.check(_CACHES_TO)
    every = fields.one_of("mode", ("min", "max")) == "max"
    if not fields.flag("image-manifest", default=True):
        raise fields.wrong("image-manifest=false is not supported", "readers take image manifests")
    if kind == "inline":
        if every:
            raise fields.wrong("an inline cache has mode=min always", "use type=registry")
        return CachePlace(kind="inline")
    compression = fields.compression
    optional = fields.flag("ignore-error")
    if kind == "local":
        return CachePlace(
            kind="local",
            directory=_needed(fields, "dest", base),
            tag=fields.values.get("tag") or "latest",
            every=every,
            compression=compression,
            optional=optional,
        )
    if compression == "uncompressed":
        raise fields.wrong("plain layers are for type=local", "use gzip or zstd")
    return CachePlace(
        kind="registry",
        reference=_needed(fields, "ref", ""),
        every=every,
        compression=compression,
        optional=optional,
    )


def parse_cache_from(text: str, base: str, option: str = "--cache-from") -> CachePlace:
    """Parse where a cache is read from; a name alone is an image.

    :raises UsageError: when it is none, or asks for what is not supported.
    """
    fields = _cache_fields(option, text)
    if fields.check(_CACHES_FROM) == "registry":
        return CachePlace(kind="registry", reference=_needed(fields, "ref", ""))
    return CachePlace(
        kind="local",
        directory=_needed(fields, "src", base),
        tag=fields.values.get("tag") or "latest",
        digest=fields.values.get("digest", ""),
    )


def _cache_fields(option: str, text: str) -> _Fields:
    words = _words(option, text)
    if len(words) == 1 and "=" not in text:
        return _Fields(option, text, {"type": "registry", "ref": text})
    return _fields(option, text, words)


def _needed(fields: _Fields, key: str, base: str) -> str:
    value = fields.values.get(key, "")
    if not value:
        raise fields.wrong(f"{key} is wanted", f"add {key}=...")
    return _path(value, base) if base else value


def _path(text: str, base: str) -> str:
    return posixpath.join(base, text) if text and text != STDOUT else text


def _words(option: str, text: str) -> list[str]:
    try:
        (words,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as err:
        raise UsageError(f"{option} {text[:200]}: it cannot be read") from err
    return words


def _fields(option: str, text: str, words: Iterable[str]) -> _Fields:
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f'{option} {text[:200]}: "{word[:50]}" has no value')
        values[key.strip().lower()] = value
    return _Fields(option, text, values)
