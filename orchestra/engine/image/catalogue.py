"""What people see of the store: images with their names, found by what is typed, and filtered.

Reads the store and changes nothing. Docker's rules for names, ids and filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from functools import cache

from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.engine.target import ImageFilter
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import Image
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef, parse_reference
from orchestra.values import dataclass, field

_PIECES = re.compile(r"\\.|\[[^\]/]+\]|.", re.DOTALL)
_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
_BEGINNING = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One name of an image; ``reference`` None is an image that has lost its last.

    ``target`` is its manifest, or the index that holds ``images``, of which it suits us best.
    """

    reference: ImageRef | None
    image: Image
    target: Digest
    images: tuple[Image, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name as people write it, "" for none."""
        return self.reference.familiar if self.reference else ""

    @property
    def repository(self) -> str:
        """Return the name without its tag and digest, "" for none."""
        return repository_of(self.reference) if self.reference else ""

    @property
    def tag(self) -> str:
        """Return the tag, "" for none."""
        return (self.reference.tag or "") if self.reference else ""

    @property
    def created(self) -> datetime:
        """Return when the image was made; 1970 where it does not tell."""
        return _created(self.image)

    @property
    def digest(self) -> str:
        """Return the digest that a registry knows it by, "" for none."""
        if self.reference and self.reference.digest:
            return self.reference.digest
        return self.annotations.get(SOURCE_DIGEST, "")


@dataclass(frozen=True, slots=True)
class Found:
    """An image that somebody named; ``reference`` None when it was by its id.

    ``target`` is its manifest, or the index that was named.
    """

    image: Image
    reference: ImageRef | None
    target: Digest


class Catalogue:
    """The images of a store as they are now."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        lines = [
            Listed(
                reference=parse_reference(line.reference) if line.reference else None,
                image=line.image,
                target=line.target.digest,
                images=line.images,
                annotations=line.annotations,
            )
            for line in store.list()
        ]
        lines.sort(key=lambda line: line.name)
        lines.sort(key=lambda line: line.created, reverse=True)
        self.lines = tuple(lines)

    def names_of(self, image: Image) -> tuple[Listed, ...]:
        """Return the names of an image."""
        return tuple(
            line
            for line in self.lines
            if line.reference and any(one.id == image.id for one in line.images)
        )

    def find(self, text: str, platform: Platform | None = None) -> Found:
        """Return the image that a name, an id or the beginning of an id means.

        Of an index it is the one for ``platform``, or for this machine.

        :raises ImageError: when there is none, or there are several.
        """
        if match := _ID.fullmatch(text):
            found = {
                image.id: Found(image, None, line.target)
                for line in reversed(self.lines)
                for image in line.images
                if hex_of(image.id).startswith(match[1])
            }
            named = None if text.startswith("sha256:") else self._named(text, platform)
            if named is not None and len(match[1]) < 64:
                return named
            if len(found) > 1:
                raise ImageError(
                    f'"{text}" is the beginning of the ids of {len(found)} images',
                    hint="write more of it",
                )
            if found:
                return next(iter(found.values()))
        elif (named := self._named(text, platform)) is not None:
            return named
        raise ImageError(f'no image "{text[:300]}" here', hint="see `orchestra image ls`")

    def _named(self, text: str, platform: Platform | None) -> Found | None:
        reference = parse_reference(text)
        image, target = self._store.get(text, platform), self._store.target(text)
        if target is None:
            return None
        if image is None:
            raise ImageError(
                f'no image "{text[:300]}" for {platform} here', hint="pull it for that"
            )
        return Found(image, reference, target.digest)

    def all_named(self, text: str) -> tuple[Listed, ...]:
        """Return every tag of a repository, none where the text names one image only."""
        return self.tags_of(text) if is_repository(text) and not _ID.fullmatch(text) else ()

    def tags_of(self, repository: str) -> tuple[Listed, ...]:
        """Return every tag of a repository."""
        wanted = repository_of(parse_reference(repository))
        return tuple(line for line in self.lines if line.repository == wanted and line.tag)

    def select(self, wanted: ImageFilter) -> tuple[Listed, ...]:
        """Return the lines that a filter lets through, newest first.

        :raises ImageError: when an image that it names is not here.
        """
        before = _created(self.find(wanted.before).image) if wanted.before else None
        since = _created(self.find(wanted.since).image) if wanted.since else None
        return tuple(
            line
            for line in self.lines
            if _passes(line, wanted)
            and (before is None or line.created < before)
            and (since is None or line.created > since)
        )


def _passes(line: Listed, wanted: ImageFilter) -> bool:
    labels = line.image.config.labels
    return (
        (wanted.dangling is None or wanted.dangling is (line.reference is None))
        and all(_has(labels, label) for label in wanted.labels)
        and not any(_has(labels, label) for label in wanted.without_labels)
        and (wanted.until is None or line.created < wanted.until)
        and (not wanted.references or _matches(line, wanted.references))
    )


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _matches(line: Listed, patterns: Iterable[str]) -> bool:
    """Tell whether a name fits a pattern, with its tag or without; "*" stops at "/"."""
    if line.reference is None:
        return False
    whole, name = line.name, line.repository
    texts = {whole, name, str(line.reference), str(line.reference).removesuffix(f":{line.tag}")}
    return any(_pattern(pattern).fullmatch(text) for pattern in patterns for text in texts)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of path.Match: no wildcard of it goes beyond a slash."""
    try:
        return re.compile("".join(map(_piece, _PIECES.findall(text))))
    except re.error as err:
        raise ImageError(f'"{text[:100]}" is no pattern for names: {err.msg}') from err


def _piece(text: str) -> str:
    if text == "*":
        return "[^/]*"
    if text == "?":
        return "[^/]"
    if len(text) > 2 and text[0] == "[" and text[-1] == "]":
        inner = re.sub(r"([\\\[\]])", r"\\\1", text[1:-1])
        return f"[{inner}]"
    return re.escape(text.removeprefix("\\") or text)


def is_repository(text: str) -> bool:
    """Tell whether a name as people write it leaves the tag open."""
    return "@" not in text and ":" not in text.rpartition("/")[2]


def repository_of(reference: ImageRef) -> str:
    """Return a name as people write it, without tag and digest."""
    return ImageRef(reference.registry, reference.repository, None).familiar


def _created(image: Image) -> datetime:
    """Return when an image was made; 1970 where it does not tell."""
    return moment_of(image.config.created) or _BEGINNING


def moment_of(text: str | None) -> datetime | None:
    """Read a time of an image's config; None where there is none, or it makes no sense.

    The first year is Go's way to say nothing; in it and in the last, a zone leads out of time.
    """
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.year in (MINYEAR, MAXYEAR):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
