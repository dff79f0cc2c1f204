"""The distribution protocol, pulling side: manifests and blobs of one repository.

A repository is asked for at its mirrors first and then at its registry; what comes is checked
against its digest by whoever asked for one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import httpx2

from orchestra.engine.image.auth import Authorizer, Credentials
from orchestra.engine.image.http import HttpClient
from orchestra.engine.image.place import Place, Refusal, telling
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.wire import ACCEPT, parse_tags
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.digest import Digest, digest_of, parse_digest
from orchestra.oci.image import MANIFEST_BYTES_MAX
from orchestra.oci.reference import ImageRef
from orchestra.values import dataclass

T = TypeVar("T")
_TAGS_BYTES_MAX = 1 << 22
_TAG_PAGES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index as it came; ``digest`` is that of its bytes."""

    data: bytes
    media_type: str
    digest: Digest


class Repository:
    """One repository at all the places where it may be had."""

    def __init__(
        self,
        http: HttpClient,
        reference: ImageRef,
        settings: RegistrySettings,
        notice: Callable[[str], None],
    ) -> None:
        credentials = Credentials(settings.docker_config)
        endpoints = settings.endpoints(reference.registry)
        self._reference = reference
        self._notice = notice
        self._places = [
            Place(http, endpoint, reference, Authorizer(http, endpoint, credentials))
            for endpoint in endpoints
        ]

    async def manifest(self, name: str) -> Document:
        """Fetch the manifest or index that a tag or digest names, checked.

        :raises RegistryError: when no place has it.
        :raises ImageError: when it is not what its digest says.
        """
        return await self._first(lambda place: self._manifest(place, name))

    @asynccontextmanager
    async def blob(self, digest: Digest, offset: int) -> AsyncIterator[httpx2.Response]:
        """Open a blob's body from ``offset`` on (status 206), or from its start (200).

        :raises RegistryError: when no place has it.
        """
        async with AsyncExitStack() as stack:
            headers = {"range": f"bytes={offset}-"} if offset else {}
            path = f"blobs/{digest}"
            yield await self._first(lambda place: place.get(stack, path, headers))

    async def tags(self) -> tuple[str, ...]:
        """Return every tag of the repository, by name.

        :raises RegistryError: when no place tells.
        """
        return await self._first(self._tags)

    async def _manifest(self, place: Place, name: str) -> Document:
        async with AsyncExitStack() as stack:
            response = await place.get(stack, f"manifests/{name}", {"accept": ACCEPT})
            data = await place.http.document(response, MANIFEST_BYTES_MAX, "a manifest")
        digest = digest_of(data)
        told = response.headers.get("docker-content-digest")
        expected = parse_digest(name) if ":" in name else parse_digest(told) if told else digest
        if digest != expected:
            raise ImageError(
                f'cannot pull "{self._reference.familiar}": registry "{place.endpoint.host}" sent '
                f"a manifest with digest {digest} for {expected}",
                hint="the registry or something on the way to it is broken, or lies",
            )
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        return Document(data, media_type, digest)

    async def _tags(self, place: Place) -> tuple[str, ...]:
        """Read page after page (distribution-spec, "Listing Tags")."""
        found: set[str] = set()
        path = "tags/list"
        for _ in range(_TAG_PAGES_MAX):
            async with AsyncExitStack() as stack:
                response = await place.get(stack, path, {})
                data = await place.http.document(response, _TAGS_BYTES_MAX, "a list of tags")
            found |= set(parse_tags(data))
            following = response.links.get("next", {}).get("url")
            if not following:
                break
            path = following
        return tuple(sorted(found))

    async def _first(self, ask: Callable[[Place], Awaitable[T]]) -> T:
        """Ask one place after the other; who answered last is asked first the next time."""
        failures: list[tuple[Place, RegistryError]] = []
        for place in list(self._places):
            try:
                answer = await ask(place)
            except RegistryError as err:
                failures.append((place, err))
                if place.endpoint.mirror:
                    self._notice(f"mirror {place.endpoint.url} failed: {err.message}")
                continue
            self._places.remove(place)
            self._places.insert(0, place)
            return answer
        raise self._failure(failures)

    def _failure(self, failures: list[tuple[Place, RegistryError]]) -> RegistryError:
        """Make one error of all: the registry's own, and in the hint what the mirrors said."""
        own = [err for place, err in failures if not place.endpoint.mirror]
        chosen = telling(own)
        mirrors = "; ".join(
            f"its mirror {place.endpoint.url} was tried too: {err.message}"
            for place, err in failures
            if place.endpoint.mirror
        )
        hint = "; ".join(part for part in (chosen.hint, mirrors) if part)
        message = f'cannot pull "{self._reference.familiar}": {chosen.message}'
        if isinstance(chosen, Refusal):
            return Refusal(message, status=chosen.status, hint=hint)
        return RegistryError(message, hint=hint or None)
