"""Image references: ``registry/repository:tag@digest`` with Docker Hub's defaults.

Grammar: distribution/reference. A first component is a registry when it holds a dot or a colon,
or is ``localhost``. Its name may hold "_", as in compose-spec 05-services.md, image.
"""

from __future__ import annotations

import re

from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, parse_digest
from orchestra.values import dataclass

DOCKER_HUB = "docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*)(?::[0-9]+)?"
)
_REPOSITORY_LENGTH = 255


@dataclass(frozen=True, slots=True, order=True)
class ImageRef:
    """A parsed reference; ``tag`` is "latest" when neither tag nor digest was written."""

    registry: str
    repository: str
    tag: str | None
    digest: Digest | None = None

    def __str__(self) -> str:
        """Render the canonical, fully qualified form."""
        text = f"{self.registry}/{self.repository}"
        if self.tag is not None:
            text += f":{self.tag}"
        if self.digest is not None:
            text += f"@{self.digest}"
        return text

    @property
    def familiar(self) -> str:
        """Return the short form that people write: Docker Hub's prefixes are left out."""
        text = str(self)
        for prefix in (f"{DOCKER_HUB}/library/", f"{DOCKER_HUB}/"):
            if text.startswith(prefix):
                return text.removeprefix(prefix)
        return text


def parse_reference(text: str) -> ImageRef:
    """Parse a reference as people write it.

    :raises ImageError: when it does not follow the grammar.
    """
    name, _, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if digest_text else None
    registry, rest = _split_registry(name)
    repository, colon, tag_text = rest.partition(":")
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    tag = tag_text if colon else None
    valid = (
        ("@" not in text or digest)
        and len(registry) + len(repository) <= 2 * _REPOSITORY_LENGTH
        and _REGISTRY.fullmatch(registry)
        and _REPOSITORY.fullmatch(repository)
        and len(repository) <= _REPOSITORY_LENGTH
        and (tag is None or TAG.fullmatch(tag))
    )
    if not valid:
        raise ImageError(
            f'"{text[:300]}" is not an image reference',
            hint="write it as [registry/]repository[:tag][@sha256:...], in lower case",
        )
    if tag is None and digest is None:
        tag = "latest"
    return ImageRef(registry, repository, tag, digest)


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        hub = first in {"index.docker.io", "registry-1.docker.io"}
        return (DOCKER_HUB if hub else first), rest
    return DOCKER_HUB, name
