"""The distribution protocol, pulling side: manifests and blobs of one repository.

A repository is asked for at its mirrors first and then at its registry; what comes is checked
against its digest by whoever asked for one. Statuses become errors that say what to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import httpx2

from orchestra.engine.image.auth import Authorizer, Credentials, login_hint
from orchestra.engine.image.http import HttpClient
from orchestra.engine.image.settings import Endpoint, RegistrySettings
from orchestra.engine.image.wire import ACCEPT, error_code
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.digest import Digest, digest_of, parse_digest
from orchestra.oci.image import MANIFEST_BYTES_MAX
from orchestra.oci.reference import ImageRef
from orchestra.values import dataclass

T = TypeVar("T")
_ERROR_BYTES_MAX = 1 << 16


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
            _Place(http, endpoint, reference, Authorizer(http, endpoint, credentials))
            for endpoint in endpoints
        ]

    async def manifest(self, name: str) -> Document:
        """Fetch the manifest or index that a tag or digest names, checked.

        :raises RegistryError: when no place has it.
        :raises ImageError: when it is not what its digest says.
        """
        return await self._first(lambda place: place.manifest(name))

    @asynccontextmanager
    async def blob(self, digest: Digest, offset: int) -> AsyncIterator[httpx2.Response]:
        """Open a blob's body from ``offset`` on (status 206), or from its start (200).

        :raises RegistryError: when no place has it.
        """
        async with AsyncExitStack() as stack:
            yield await self._first(lambda place: place.blob(stack, digest, offset))

    async def _first(self, ask: Callable[[_Place], Awaitable[T]]) -> T:
        """Ask one place after the other; who answered last is asked first the next time."""
        failures: list[tuple[_Place, RegistryError]] = []
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

    def _failure(self, failures: list[tuple[_Place, RegistryError]]) -> RegistryError:
        """Make one error of all: the registry's own, and in the hint what the mirrors said."""
        own = [err for place, err in failures if not place.endpoint.mirror]
        chosen = next((err for err in own if isinstance(err, Refusal)), own[0])
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


class Refusal(RegistryError):
    """A registry answered, with this status."""

    def __init__(self, message: str, *, status: int, hint: str | None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class _Place:
    """One endpoint's view of the repository, with its own authorization."""

    def __init__(
        self, http: HttpClient, endpoint: Endpoint, reference: ImageRef, authorizer: Authorizer
    ) -> None:
        self.endpoint = endpoint
        self._http = http
        self._reference = reference
        self._authorizer = authorizer
        self._authorization: str | None = None

    async def manifest(self, name: str) -> Document:
        async with AsyncExitStack() as stack:
            response = await self._get(stack, f"manifests/{name}", {"accept": ACCEPT})
            data = await self._http.document(response, MANIFEST_BYTES_MAX, "a manifest")
        digest = digest_of(data)
        told = response.headers.get("docker-content-digest")
        expected = parse_digest(name) if ":" in name else parse_digest(told) if told else digest
        if digest != expected:
            raise ImageError(
                f'cannot pull "{self._reference.familiar}": registry "{self.endpoint.host}" sent '
                f"a manifest with digest {digest} for {expected}",
                hint="the registry or something on the way to it is broken, or lies",
            )
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        return Document(data, media_type, digest)

    async def blob(self, stack: AsyncExitStack, digest: Digest, offset: int) -> httpx2.Response:
        headers = {"range": f"bytes={offset}-"} if offset else {}
        return await self._get(stack, f"blobs/{digest}", headers)

    async def _get(
        self, stack: AsyncExitStack, path: str, headers: dict[str, str]
    ) -> httpx2.Response:
        """Send a GET, once more with a token when the registry asks for one; 200 or 206 only."""
        url = f"{self.endpoint.url}/v2/{self._reference.repository}/{path}"
        response = await self._send(stack, url, headers)
        if response.status_code == 401:
            challenges = response.headers.get_list("www-authenticate")
            await response.aclose()
            scope = f"repository:{self._reference.repository}:pull"
            self._authorization = await self._authorizer.answer(challenges, scope)
            if self._authorization is None:
                raise self._refusal(401, "")
            response = await self._send(stack, url, headers)
        if response.status_code not in {200, 206}:
            body = b""
            if response.status_code != 304:
                body = await self._http.document(response, _ERROR_BYTES_MAX, "an error")
            raise self._refusal(
                response.status_code, error_code(body), response.headers.get("retry-after", "")
            )
        return response

    async def _send(
        self, stack: AsyncExitStack, url: str, headers: dict[str, str]
    ) -> httpx2.Response:
        if self._authorization:
            headers = {**headers, "authorization": self._authorization}
        return await stack.enter_async_context(
            self._http.send("GET", url, headers=headers, verify=self.endpoint.verify)
        )

    def _refusal(self, status: int, code: str, retry_after: str = "") -> Refusal:
        host = self.endpoint.host
        return Refusal(
            _said(host, self._reference, status, code),
            status=status,
            hint=_hint(host, status, retry_after),
        )


def _said(host: str, reference: ImageRef, status: int, code: str) -> str:
    match status:
        case 401:
            return f'registry "{host}" asks for a login, or has no such image'
        case 403:
            return f'registry "{host}" denies access'
        case 404 if code == "NAME_UNKNOWN":
            return f'registry "{host}" has no repository "{reference.repository}"'
        case 404:
            name = reference.digest or reference.tag
            return f'registry "{host}" has no "{name}" of "{reference.repository}"'
        case 429:
            return f'registry "{host}" answers that there were too many requests (429)'
        case _ if status >= 500:
            return f'registry "{host}" is out of order ({status})'
        case _:
            return f'registry "{host}" answers {status}'


def _hint(host: str, status: int, retry_after: str) -> str:
    match status:
        case 401 | 403:
            return login_hint(host)
        case 404:
            return "check the spelling of name and tag"
        case 429:
            wait = f"wait {retry_after} s" if retry_after.isdigit() else "wait a while"
            return f"{wait}, log in, or set a mirror (ORCHESTRA_REGISTRY_MIRROR)"
        case _:
            return "try again later, or set a mirror (ORCHESTRA_REGISTRY_MIRROR)"
