"""The one HTTP client: deadlines, retries with back-off, redirects that carry no secrets away.

httpx2 honours the proxy variables, but for this machine itself, which no proxy can reach as we mean
it (as Go's clients do), and uses the system's roots (SSL_CERT_FILE). Redirects are
followed here and not by it: a token goes to the host it was made for and to no other, and no
redirect leads from HTTPS to anything else.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import parsedate_to_datetime

import anyio
import httpx2

from orchestra.engine.clock import Clock, SystemClock
from orchestra.engine.image.certificates import Certificates, Trust, for_another_host
from orchestra.engine.image.settings import is_loopback
from orchestra.errors import ImageError, RegistryError
from orchestra.values import dataclass

_REDIRECTS = {301, 302, 303, 307, 308}
_REDIRECTS_MAX = 5
_PASSING = {408, 429, 500, 502, 503, 504}
"""Statuses that may be others in a moment."""
_USER_AGENT = "orchestra"
_OF_TLS = {
    "verify_failed": "if you trust it, name who has signed its certificate: as ca of the registry "
    "in config.toml, or in certs.d/HOST:PORT/ca.crt beside that",
    **dict.fromkeys(
        ("alert_certificate_required", "alert_bad_certificate", "alert_handshake_failure"),
        "it may want to know who we are: put NAME.cert and NAME.key into certs.d/HOST:PORT beside "
        "config.toml",
    ),
}
"""Hints for words of OpenSSL's."""
Body = bytes | Callable[[], AsyncIterator[bytes]]
"""What a request carries; a stream is made anew for each time that it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, and how often to try again; seconds."""

    connect: float = 10.0
    read: float = 30.0
    document: float = 60.0
    """For the whole of a manifest, config or token."""
    stall: float = 60.0
    stall_bytes: int = 4096
    """A blob's body that brings less than this within ``stall`` is given up."""
    attempts: int = 4
    backoff: float = 0.5
    retry_after_max: float = 30.0


class Unreachable(RegistryError):
    """No HTTP answer was to be had; ``passing``: it may be a moment's trouble."""

    def __init__(self, host: str, why: str, *, passing: bool) -> None:
        super().__init__(
            f'registry "{host}" does not answer: {why}',
            hint="check the network, the name and the proxy variables; without a way out, set "
            "a mirror: ORCHESTRA_REGISTRY_MIRROR=docker.io=http://HOST:PORT",
        )
        self.host = host
        self.why = why
        self.passing = passing


class HttpClient:
    """Sends requests; one for all transfers of a pull. An async context manager."""

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.patience = patience or Patience()
        self._clock = clock or SystemClock()
        self.sleep = sleep
        self._stack = AsyncExitStack()
        self._clients: dict[tuple[Trust, bool], httpx2.AsyncClient] = {}

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: Body | None = None,
        verify: Trust = True,
        redirects: bool = True,
        again: bool = True,
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request and give its answer, the body not read yet; any status may come.

        What looks like a moment's trouble is tried again, as the server asks (Retry-After) or with
        growing pauses; not with ``again`` False, where the caller has to look at what has arrived.

        :raises Unreachable: when no answer is to be had.
        :raises RegistryError: when a redirect leads where it must not.
        """
        request = _Request(method, url, dict(headers or {}), form, body, verify, redirects, again)
        response = await self._answer(request)
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _answer(self, request: _Request) -> httpx2.Response:
        """Send until there is an answer worth having, or patience is at its end."""
        attempt = 0
        while True:
            attempt += 1
            last = attempt >= self.patience.attempts or not request.again
            try:
                response = await self._follow(request)
            except Unreachable as err:
                if last or not err.passing:
                    raise
                pause = self._pause(attempt)
            else:
                pause = self._pause(attempt, response.headers.get("retry-after"))
                too_long = pause > self.patience.retry_after_max
                if last or too_long or response.status_code not in _PASSING:
                    return response
                await response.aclose()
            await self.sleep(pause)

    def _pause(self, attempt: int, retry_after: str | None = None) -> float:
        pause: float = self.patience.backoff * 2 ** (attempt - 1)
        if not retry_after:
            return pause
        if retry_after.strip().isdigit():
            return float(retry_after)
        try:
            moment = parsedate_to_datetime(retry_after)
            return max(0.0, (moment - self._clock.now()).total_seconds())
        except (ValueError, TypeError):
            return pause

    async def _follow(self, request: _Request) -> httpx2.Response:
        url, headers, verify = httpx2.URL(request.url), request.headers, request.verify
        for _ in range(_REDIRECTS_MAX + 1):
            response = await self._once(request, url, headers, verify)
            location = response.headers.get("location")
            if not (request.redirects and response.status_code in _REDIRECTS and location):
                return response
            await response.aclose()
            target = redirect_target(url, location)
            if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
                headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
                verify = for_another_host(verify)
            url = target
        raise RegistryError(f'registry "{_host(url)}" redirects in circles')

    async def _once(
        self, request: _Request, url: httpx2.URL, headers: Mapping[str, str], verify: Trust
    ) -> httpx2.Response:
        client = await self._client(verify, direct=is_loopback(_host(url)))
        body = request.body
        content = None if body is None else body if isinstance(body, bytes) else body()
        built = client.build_request(
            request.method, url, headers=headers, data=request.form, content=content
        )
        try:
            return await client.send(built, stream=True)
        except (httpx2.TransportError, ssl.SSLError) as err:
            raise unreachable(_host(url), err) from err

    async def _client(self, verify: Trust, *, direct: bool) -> httpx2.AsyncClient:
        client = self._clients.get((verify, direct))
        if client is None:
            patience = self.patience
            timeout = httpx2.Timeout(patience.read, connect=patience.connect, pool=None)
            client = httpx2.AsyncClient(
                verify=_context(verify) if isinstance(verify, Certificates) else verify,
                mounts=dict.fromkeys(("http://", "https://", "all://")) if direct else None,
                timeout=timeout,
                follow_redirects=False,
                headers={"user-agent": _USER_AGENT, "accept-encoding": "identity"},
            )
            self._clients[verify, direct] = await self._stack.enter_async_context(client)
        return client

    async def document(self, response: httpx2.Response, limit: int, what: str) -> bytes:
        """Read a small body whole.

        :raises ImageError: when it has more than ``limit`` bytes.
        :raises Unreachable: when it does not come to its end in time.
        """
        host = _host(response.request.url)
        told = response.headers.get("content-length", "0")
        data = bytearray()
        try:
            with anyio.fail_after(self.patience.document):
                if told.isdigit() and int(told) > limit:
                    raise _too_large(host, what, limit)
                async for piece in response.aiter_raw():
                    data += piece
                    if len(data) > limit:
                        raise _too_large(host, what, limit)
        except TimeoutError as err:
            raise Unreachable(host, "its answer takes too long", passing=True) from err
        except (httpx2.TransportError, ssl.SSLError) as err:
            raise unreachable(host, err) from err
        return bytes(data)

    async def pieces(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield a body as it comes, giving up when it hardly comes at all.

        :raises Unreachable: when it breaks off or stalls.
        """
        host = _host(response.request.url)
        since, count = anyio.current_time(), 0
        try:
            async for piece in response.aiter_raw():
                count += len(piece)
                now = anyio.current_time()
                if now - since > self.patience.stall:
                    if count < self.patience.stall_bytes:
                        raise Unreachable(host, "the transfer stalls", passing=True)
                    since, count = now, 0
                yield piece
        except (httpx2.TransportError, ssl.SSLError) as err:
            raise unreachable(host, err) from err


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None
    body: Body | None
    verify: Trust
    redirects: bool
    again: bool


def _context(trust: Certificates) -> ssl.SSLContext:
    """Trust the system's roots and those of files, and be who a certificate says.

    :raises ImageError: when a file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for authorities in trust.authorities:
        try:
            context.load_verify_locations(cafile=authorities)
        except (OSError, ssl.SSLError) as err:
            raise ImageError(
                f'cannot read the certificates in "{authorities}": {err.strerror or err}',
                hint="name a PEM file as ca of the registry in config.toml",
            ) from err
    if trust.certificate or trust.key:
        try:
            context.load_cert_chain(trust.certificate, trust.key or None, _no_password)
        except (OSError, ssl.SSLError) as err:
            why = err.strerror or err
            raise ImageError(
                f'cannot use "{trust.certificate}" with the key "{trust.key}": {why}',
                hint="a certificate to show is a PEM file NAME.cert with its key, without a "
                "password, in NAME.key beside it; the names of authorities end with .crt",
            ) from err
    return context


def _no_password() -> str:
    """Answer in place of OpenSSL, which would ask at the terminal."""
    return ""


def redirect_target(url: httpx2.URL, location: str) -> httpx2.URL:
    """Return where a redirect leads.

    :raises RegistryError: when that is not HTTP, or less protected than where we are.
    """
    host = _host(url)
    try:
        target = url.join(location)
    except (httpx2.InvalidURL, ValueError) as err:
        raise RegistryError(f'registry "{host}" redirects to what is no address') from err
    if target.scheme not in {"http", "https"} or not target.host:
        raise RegistryError(f'registry "{host}" redirects to "{target.scheme}:", refused')
    if url.scheme == "https" and target.scheme != "https":
        raise RegistryError(f'registry "{host}" redirects from https to http, refused')
    return target.copy_with(username=None, password=None) if target.userinfo else target


def unreachable(host: str, err: Exception) -> Unreachable:
    """Say in one clause why there was no answer."""
    if isinstance(err, httpx2.ConnectTimeout):
        return Unreachable(host, "no connection in time", passing=False)
    if isinstance(err, httpx2.TimeoutException):
        return Unreachable(host, "no answer in time", passing=True)
    if isinstance(err, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return Unreachable(host, str(err), passing=False)
    connecting = isinstance(err, httpx2.ConnectError | httpx2.ProxyError)
    cause = _cause(err)
    refused = "_alert_" in cause  # with TLS 1.3 it comes only when we read
    found = Unreachable(host, cause, passing=not connecting and not refused)
    found.hint = next((hint for word, hint in _OF_TLS.items() if word in cause), found.hint)
    return found


def _cause(err: BaseException) -> str:
    """Find the system's own word at the bottom of a chain of exceptions."""
    best = str(err)
    link: BaseException | None = err
    while link is not None:
        inner = link.exceptions[0] if isinstance(link, BaseExceptionGroup) else link
        if isinstance(inner, ssl.SSLError):
            best = f"TLS: {inner.reason or inner}"
        elif isinstance(inner, OSError) and inner.strerror:
            # asyncio writes its own words there; resolvers' errors have negative numbers
            number = inner.errno or 0
            best = os.strerror(number) if number > 0 else inner.strerror
        link = inner.__cause__ or inner.__context__
    return best.lower() or type(err).__name__


def _too_large(host: str, what: str, limit: int) -> ImageError:
    return ImageError(
        f'registry "{host}" sends {what} of more than {limit} bytes',
        hint="no image needs that; the registry or something on the way to it is broken",
    )


def _host(url: httpx2.URL) -> str:
    return url.netloc.decode("ascii", "replace")
