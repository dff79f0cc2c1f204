"""Look for repositories by a word: Docker Hub's search, or a registry's own list."""

from __future__ import annotations

from contextlib import AsyncExitStack
from urllib.parse import quote

from orchestra.engine.image.auth import Authorizer, Credentials
from orchestra.engine.image.http import HttpClient
from orchestra.engine.image.place import Place, Request, telling
from orchestra.engine.image.settings import Endpoint, RegistrySettings
from orchestra.engine.image.wire import parse_json
from orchestra.errors import RegistryError
from orchestra.oci.reference import DOCKER_HUB, ImageRef
from orchestra.values import dataclass

_BYTES_MAX = 1 << 22
_PAGES_MAX = 1000
_HUB = "https://index.docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A repository that fits."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False


async def search(term: str, settings: RegistrySettings, *, limit: int) -> tuple[Hit, ...]:
    """Return what fits a word, best first; ``HOST/WORD`` asks that registry.

    :raises RegistryError: when it does not tell.
    """
    first, _, rest = term.partition("/")
    foreign = bool(rest) and ("." in first or ":" in first or first == "localhost")
    registry, word = (first, rest) if foreign else (DOCKER_HUB, term)
    async with HttpClient() as http:
        if registry == DOCKER_HUB:
            endpoints: tuple[Endpoint, ...] = (Endpoint(url=_HUB),)
        else:
            endpoints = tuple(e for e in settings.endpoints(registry) if not e.mirror)
        failures: list[RegistryError] = []
        for endpoint in endpoints:
            reference = ImageRef(registry, word or "x", None)
            authorizer = Authorizer(http, endpoint, Credentials(settings.docker_config))
            place = Place(http, endpoint, reference, authorizer)
            try:
                return await _asked(place, word, limit, hub=registry == DOCKER_HUB)
            except RegistryError as err:
                failures.append(err)
        raise telling(failures)


async def _asked(place: Place, word: str, limit: int, *, hub: bool) -> tuple[Hit, ...]:
    query = f"/v1/search?q={quote(word, safe='')}&n={limit}"
    async with AsyncExitStack() as stack:
        response = await place.exchange(stack, Request(path=query, scopes="registry:catalog:*"))
        known = response.status_code == 200
        if hub and not known:
            raise await place.refusal(response)
        data = await place.http.document(response, _BYTES_MAX, "an answer") if known else b""
    if known:
        return _hits(data)[:limit]
    found = [name for name in await _catalog(place) if word.lower() in name]
    return tuple(Hit(name=f"{place.endpoint.host}/{name}") for name in found[:limit])


def _hits(data: bytes) -> tuple[Hit, ...]:
    results = parse_json(data, "the answer").get("results")
    found = []
    for entry in results if isinstance(results, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            stars = entry.get("star_count")
            found.append(
                Hit(
                    name=entry["name"],
                    description=str(entry.get("description") or ""),
                    stars=stars if isinstance(stars, int) else 0,
                    official=entry.get("is_official") is True,
                )
            )
    return tuple(found)


async def _catalog(place: Place) -> tuple[str, ...]:
    """Read a registry's list of repositories, page after page."""
    found: list[str] = []
    path = "/v2/_catalog?n=1000"
    for _ in range(_PAGES_MAX):
        async with AsyncExitStack() as stack:
            request = Request(path=path, scopes="registry:catalog:*")
            response = await place.exchange(stack, request)
            if response.status_code != 200:
                raise await place.refusal(response)
            data = await place.http.document(response, _BYTES_MAX, "a list of repositories")
            names = parse_json(data, "the list").get("repositories")
            found += [str(name) for name in names] if isinstance(names, list) else []
            following = response.links.get("next", {}).get("url")
        if not following:
            break
        path = following
    return tuple(sorted(found))
