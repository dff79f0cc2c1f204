"""One endpoint's view of a repository: requests with its authorization, refusals in words.

Statuses become errors that say what to do. Credentials go to the endpoint itself alone: a location
that it names on another host gets none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import anyio
import httpx2

from orchestra.engine.image.auth import Authorizer, login_hint
from orchestra.engine.image.certificates import for_another_host
from orchestra.engine.image.http import Body, HttpClient, Unreachable, redirect_target
from orchestra.engine.image.settings import Endpoint
from orchestra.engine.image.wire import error_code
from orchestra.errors import RegistryError
from orchestra.oci.reference import ImageRef
from orchestra.values import dataclass, field

_ERROR_BYTES_MAX = 1 << 16
_CODE = re.compile(r"[A-Z][A-Z_]{0,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a place; ``path`` lies below the repository, or is a whole address.

    ``again`` False: nothing is sent twice. ``scopes``: what a token has to allow beside reading.
    """

    method: str = "GET"
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    again: bool = True
    redirects: bool = True
    scopes: str = ""


class Refusal(RegistryError):
    """A registry answered, with this status."""

    def __init__(self, message: str, *, status: int, hint: str | None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


def telling(failures: Sequence[RegistryError]) -> RegistryError:
    """Return the failure that tells most, where a registry was tried with TLS and without."""
    return min(failures, key=_says_little)


def _says_little(err: RegistryError) -> int:
    """Rank failures; plain HTTP on a TLS port is answered by 400, TLS on a plain one not at all."""
    match err:
        case Unreachable():
            return 3 if "wrong_version" in err.why else 1
        case Refusal(status=400):
            return 2
        case _:
            return 0


class Place:
    """One endpoint's view of the repository, with its own authorization."""

    def __init__(
        self, http: HttpClient, endpoint: Endpoint, reference: ImageRef, authorizer: Authorizer
    ) -> None:
        self.endpoint = endpoint
        self.http = http
        self._reference = reference
        self._authorizer = authorizer
        self._authorization: str | None = None
        self._asking = anyio.Lock()

    @property
    def repository(self) -> str:
        """Return the repository's name at its registry."""
        return self._reference.repository

    async def get(
        self, stack: AsyncExitStack, path: str, headers: Mapping[str, str]
    ) -> httpx2.Response:
        """Send a GET; 200 or 206 only.

        :raises Refusal: at any other answer.
        """
        response = await self.exchange(stack, Request(path=path, headers=headers))
        if response.status_code not in {200, 206}:
            raise await self.refusal(response)
        return response

    async def exchange(self, stack: AsyncExitStack, request: Request) -> httpx2.Response:
        """Send a request, once more with a token when the registry asks for one; any status.

        Another host, to which the registry has led us, is told nothing when it asks.

        :raises RegistryError: when there is no answer, or no login where one is asked for.
        """
        asked = False
        while True:
            known = self._authorization
            response = await self._send(stack, request)
            if response.status_code != 401 or asked or not self._is_own(response.request.url):
                return response
            challenges = response.headers.get_list("www-authenticate")
            await response.aclose()
            async with self._asking:
                if self._authorization == known:  # else another request has just asked for all
                    asked = True
                    scope = request.scopes or f"repository:{self.repository}:pull"
                    self._authorization = await self._authorizer.answer(challenges, scope)
            if self._authorization is None:
                raise self._refusal(401, "")

    async def _send(self, stack: AsyncExitStack, request: Request) -> httpx2.Response:
        base = httpx2.URL(f"{self.endpoint.url}/v2/{self.repository}/")
        if request.path.startswith(("/", "http:", "https:")):
            url = redirect_target(base, request.path)
        else:
            url = base.join(request.path)
        headers, verify = dict(request.headers), self.endpoint.verify
        if not self._is_own(url):
            verify = for_another_host(verify)
        elif self._authorization:
            headers["authorization"] = self._authorization
        return await stack.enter_async_context(
            self.http.send(
                request.method,
                str(url),
                headers=headers,
                body=request.body,
                verify=verify,
                redirects=request.redirects,
                again=request.again,
            )
        )

    def _is_own(self, url: httpx2.URL) -> bool:
        base = httpx2.URL(self.endpoint.url)
        return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    async def refusal(self, response: httpx2.Response) -> Refusal:
        """Make an error of an answer that is none."""
        body = b""
        if response.status_code != 304 and response.request.method != "HEAD":
            body = await self.http.document(response, _ERROR_BYTES_MAX, "an error")
        retry_after = response.headers.get("retry-after", "")
        tried = self._authorizer.logged_in and self._is_own(response.request.url)
        return self._refusal(response.status_code, error_code(body), retry_after, tried=tried)

    def _refusal(
        self, status: int, code: str, retry_after: str = "", *, tried: bool = False
    ) -> Refusal:
        host = self.endpoint.host
        return Refusal(
            f'registry "{host}" refuses this login, or has no such image'
            if status == 401 and tried
            else _said(host, self._reference, status, code),
            status=status,
            hint=_hint(host, status, retry_after),
            code=code,
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
        case 413:
            return f'registry "{host}" takes nothing of this size (413)'
        case 429:
            return f'registry "{host}" answers that there were too many requests (429)'
        case _ if status >= 500:
            return f'registry "{host}" is out of order ({status})'
        case _:
            word = f" ({code})" if _CODE.fullmatch(code) else ""
            return f'registry "{host}" answers {status}{word}'


def _hint(host: str, status: int, retry_after: str) -> str:
    match status:
        case 401 | 403:
            return login_hint(host)
        case 404:
            return "check the spelling of name and tag"
        case 429:
            wait = f"wait {retry_after} s" if retry_after.isdigit() else "wait a while"
            return f"{wait}, log in, or set a mirror (ORCHESTRA_REGISTRY_MIRROR)"
        case _ if 400 <= status < 500 and status != 408:
            return "its own log, or whoever runs it, may tell more"
        case _:
            return "try again later, or set a mirror (ORCHESTRA_REGISTRY_MIRROR)"
