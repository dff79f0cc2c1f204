"""Carry an image or an index from the store to its registry: layers in parallel, its name last.

distribution-spec, "Push": a blob is asked for (HEAD), mounted from another repository where one is
known to have it, or sent; a connection that breaks is taken up where the registry says that it
is. Imports httpx2: reached through push.py alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from urllib.parse import quote

import anyio
import anyio.to_thread
import httpx2

from orchestra.engine.events import Progress
from orchestra.engine.image.auth import Authorizer, Credentials
from orchestra.engine.image.document import docker_manifest
from orchestra.engine.image.http import HttpClient, Unreachable
from orchestra.engine.image.place import Place, Refusal, Request, telling
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tree import Node
from orchestra.engine.image.wire import ACCEPT, Manifest
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.digest import Digest, digest_of, hex_of
from orchestra.oci.image import MANIFEST_OCI, Descriptor
from orchestra.oci.reference import ImageRef

MANIFESTS = "manifests"
_AT_ONCE = 5
_PIECE_BYTES = 1 << 20
_PIECE_BYTES_MAX = 8 << 20
"""Of a piece of a blob, where a registry does not take it whole (413)."""
_SMALL_BYTES = 1 << 16
"""A blob of at most this size is sent with the request that ends its upload."""
_PASSING = {408, 416, 429, 500, 502, 503, 504}
_LOST = {404, 416}
"""Statuses of an upload that the registry knows no longer, or has otherwise than we think."""
_REPORT_SECONDS = 0.1


class Upload:
    """The push of one image, or of an index of several."""

    def __init__(
        self,
        http: HttpClient,
        reference: ImageRef,
        store: ImageStore,
        settings: RegistrySettings,
        progress: Callable[[Progress], None],
        *,
        piece_bytes: int = 0,
    ) -> None:
        """``piece_bytes``: so much of a blob is sent at once; 0: all, as long as it is taken."""
        self._http = http
        self._reference = reference
        self._store = store
        self._settings = settings
        self._progress = progress
        self._sent = 0
        self._total = 0
        self._told_at = 0.0
        self._piece_max = piece_bytes
        self._scope = f"repository:{reference.repository}:pull,push"

    async def run(self, nodes: Sequence[Node], sources: Mapping[Digest, str]) -> Digest | None:
        """Send what is missing of a document and of all that it leads to, itself at the end.

        ``nodes``: the document first, a manifest or an index, and then what it leads to; of an
        index, what is not here has to be at the registry: None when it is not, and nothing is sent.
        ``sources``: repositories of the same registry that have some of the blobs.

        :raises RegistryError: when the registry does not take it.
        :raises ImageError: when a blob is missing here or damaged.
        """
        try:
            place = await self._place()
            for node in nodes:
                if not node.present and not await self._is_there(place, node.descriptor, MANIFESTS):
                    return None
            await self._blobs(place, _blobs_of(nodes), sources)
            for node in reversed(nodes[1:]):  # a registry wants to know what an index names
                if node.present:
                    await self._named(place, node, node.descriptor.digest)
            digest = await self._named(place, nodes[0], self._reference.tag or "latest")
        except ImageError as err:
            err.message = f'cannot push "{self._reference.familiar}": {err.message}'
            err.args = (err.message,)
            raise
        self._say("pushed")
        return digest

    async def _blobs(
        self, place: Place, wanted: Sequence[Descriptor], sources: Mapping[Digest, str]
    ) -> None:
        """Send blobs, some at a time; the first failure ends it."""
        blobs = {one.digest: one for one in wanted}
        self._total = sum(blob.size for blob in blobs.values())
        self._say("pushing")
        slots = anyio.CapacityLimiter(_AT_ONCE)
        failures: list[ImageError] = []
        async with anyio.create_task_group() as group:

            async def one(blob: Descriptor) -> None:
                try:
                    async with slots:
                        await self._blob(place, blob, sources.get(blob.digest))
                except ImageError as err:
                    failures.append(err)
                    group.cancel_scope.cancel()

            for blob in blobs.values():
                group.start_soon(one, blob)
        if failures:
            raise failures[0]

    async def _place(self) -> Place:
        """Return the endpoint of the registry that answers; mirrors are not pushed to."""
        credentials = Credentials(self._settings.docker_config)
        failures: list[RegistryError] = []
        for endpoint in self._settings.endpoints(self._reference.registry):
            if endpoint.mirror:
                continue
            authorizer = Authorizer(self._http, endpoint, credentials)
            place = Place(self._http, endpoint, self._reference, authorizer)
            try:
                async with AsyncExitStack() as stack:
                    response = await place.exchange(stack, Request(path="/v2/", scopes=self._scope))
                    if response.status_code == 200:
                        return place
                    failures.append(await place.refusal(response))
            except RegistryError as err:
                failures.append(err)
        raise telling(failures)

    async def _blob(self, place: Place, blob: Descriptor, source: str | None) -> None:
        """Make sure that the registry has a blob, begun anew where an upload got lost."""
        failed = 0
        while not await self._is_there(place, blob):
            begun = self._sent
            try:
                location = await self._begin(place, blob, source)
                if location is not None:
                    await self._send(place, blob, location)
                    return
                break
            except (Unreachable, Refusal) as err:
                self._sent = begun
                failed += 1
                lost = err.passing if isinstance(err, Unreachable) else err.status in _LOST
                if failed >= self._http.patience.attempts or not lost:
                    raise
                await self._http.sleep(self._http.patience.backoff * 2 ** (failed - 1))
        self._add(blob.size)

    async def _is_there(self, place: Place, blob: Descriptor, kind: str = "blobs") -> bool:
        headers = {"accept": ACCEPT} if kind == MANIFESTS else {}
        async with AsyncExitStack() as stack:
            path = f"{kind}/{blob.digest}"
            request = Request(method="HEAD", path=path, headers=headers, scopes=self._scope)
            response = await place.exchange(stack, request)
            if response.status_code == 200:
                return True
            if response.status_code in {401, 403, 429} or response.status_code >= 500:
                raise await place.refusal(response)
            return False

    async def _begin(self, place: Place, blob: Descriptor, source: str | None) -> str | None:
        """Open an upload and return its location; None when the blob could be mounted."""
        query, scopes = "", self._scope
        if source and source != place.repository:
            query = f"?mount={quote(blob.digest, safe='')}&from={quote(source, safe='')}"
            scopes = f"{scopes} repository:{source}:pull"
        async with AsyncExitStack() as stack:
            request = Request(
                method="POST",
                path=f"blobs/uploads/{query}",
                headers={"content-length": "0"},
                scopes=scopes,
            )
            response = await place.exchange(stack, request)
            if response.status_code == 201 and query:
                return None
            if response.status_code != 202:
                if query:  # a registry that does not like to mount
                    return await self._begin(place, blob, None)
                raise await place.refusal(response)
            return _location(response)

    async def _send(self, place: Place, blob: Descriptor, location: str) -> None:
        if blob.size <= _SMALL_BYTES:
            data = await anyio.to_thread.run_sync(self._read_whole, blob)
            await self._end(place, blob, location, data)
            self._add(blob.size)
            return
        offset, failed = 0, 0
        while offset < blob.size:
            before = offset
            end = min(blob.size, offset + (self._piece_max or blob.size))
            try:
                location = await self._patch(place, blob, location, offset, end)
                offset = end
            except (Unreachable, Refusal) as err:
                if not self._takes_less(err, end - offset):
                    if not _is_passing(err):
                        raise
                    await self._http.sleep(self._http.patience.backoff * 2**failed)
                    failed += 1
                location, offset = await self._arrived(place, location)
                failed = 0 if offset > before else failed
                if failed >= self._http.patience.attempts or offset > blob.size:
                    raise
        await self._end(place, blob, location, b"")

    def _takes_less(self, err: Exception, size: int) -> bool:
        """Send smaller pieces from now on, where something on the way took none of this size."""
        smaller = min(size // 2, _PIECE_BYTES_MAX)
        if not isinstance(err, Refusal) or err.status != 413 or smaller < _SMALL_BYTES:
            return False
        self._piece_max = smaller
        return True

    async def _patch(
        self, place: Place, blob: Descriptor, location: str, offset: int, end: int
    ) -> str:
        """Send a blob from an offset to another; return where the upload goes on."""
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(end - offset),
        }
        if end - offset < blob.size:
            headers["content-range"] = f"{offset}-{end - 1}"
        async with AsyncExitStack() as stack:
            request = Request(
                method="PATCH",
                path=location,
                headers=headers,
                body=lambda: self._pieces(blob, offset, end),
                again=False,
                redirects=False,
                scopes=self._scope,
            )
            response = await place.exchange(stack, request)
            if response.status_code not in {201, 202, 204}:
                raise await place.refusal(response)
            return _location(response)

    async def _arrived(self, place: Place, location: str) -> tuple[str, int]:
        """Ask how much of an upload has arrived."""
        async with AsyncExitStack() as stack:
            response = await place.exchange(stack, Request(path=location, scopes=self._scope))
            if response.status_code != 204:
                raise await place.refusal(response)
            first, dash, last = response.headers.get("range", "").partition("-")
            known = first == "0" and dash and last.isdigit()
            # "0-0" is what registries say of an upload of which nothing has come
            return _location(response, location), int(last) + 1 if known and last != "0" else 0

    async def _end(self, place: Place, blob: Descriptor, location: str, data: bytes) -> None:
        mark = "&" if "?" in location else "?"
        async with AsyncExitStack() as stack:
            request = Request(
                method="PUT",
                path=f"{location}{mark}digest={quote(blob.digest, safe='')}",
                headers={"content-type": "application/octet-stream"},
                body=data,
                redirects=False,
                scopes=self._scope,
            )
            response = await place.exchange(stack, request)
            if response.status_code not in {201, 204}:
                refusal = await place.refusal(response)
                await anyio.to_thread.run_sync(self._check, blob)
                raise refusal

    async def _named(self, place: Place, node: Node, name: str) -> Digest:
        """Store a document under a tag or its digest; who knows no OCI gets docker's form.

        What goes by its digest is named so in an index, and stays what it is.
        """
        data = self._store.read_blob(node.descriptor.digest)
        kind = node.descriptor.media_type
        refusal = await self._put(place, name, data, kind)
        if refusal is not None and refusal.status in {400, 415, 422} and kind == MANIFEST_OCI:
            manifest = node.document if ":" not in name else None
            other = docker_manifest(manifest) if isinstance(manifest, Manifest) else None
            if other is not None:
                data = other[0]
                refusal = await self._put(place, name, *other)
        if refusal is not None:
            raise refusal
        return digest_of(data)

    async def _put(self, place: Place, name: str, data: bytes, media_type: str) -> Refusal | None:
        async with AsyncExitStack() as stack:
            request = Request(
                method="PUT",
                path=f"{MANIFESTS}/{name}",
                headers={"content-type": media_type},
                body=data,
                redirects=False,
                scopes=self._scope,
            )
            response = await place.exchange(stack, request)
            if response.status_code not in {200, 201}:
                return await place.refusal(response)
            told = response.headers.get("docker-content-digest")
            if told and told != digest_of(data):
                raise ImageError(
                    f'registry "{place.endpoint.host}" stored a manifest with digest {told[:100]} '
                    f"for {digest_of(data)}",
                    hint="the registry or something on the way to it is broken, or lies",
                )
            return None

    async def _pieces(self, blob: Descriptor, offset: int, end: int) -> AsyncIterator[bytes]:
        with self._store.open_blob(blob.digest) as file:
            file.seek(offset)
            left = end - offset
            while left:
                piece = await anyio.to_thread.run_sync(file.read, min(left, _PIECE_BYTES))
                if not piece:
                    raise ImageError(f"blob {hex_of(blob.digest)[:12]} is damaged on disk")
                left -= len(piece)
                yield piece
                self._add(len(piece))

    def _check(self, blob: Descriptor) -> None:
        """Look whether it was our fault that a blob was not taken.

        :raises ImageError: when it is damaged; it is dropped then.
        """
        found = hashlib.sha256()
        with self._store.open_blob(blob.digest) as file:
            while piece := file.read(_PIECE_BYTES):
                found.update(piece)
        if found.hexdigest() == hex_of(blob.digest):
            return
        self._store.drop_blob(blob.digest)
        raise ImageError(
            f"blob {blob.digest[:19]} is damaged on disk", hint="pull or build the image again"
        )

    def _read_whole(self, blob: Descriptor) -> bytes:
        with self._store.open_blob(blob.digest) as file:
            return file.read(blob.size)

    def _add(self, count: int) -> None:
        self._sent = min(self._total, self._sent + count)
        now = anyio.current_time()
        if now - self._told_at >= _REPORT_SECONDS:
            self._told_at = now
            self._say("pushing")

    def _say(self, action: str) -> None:
        self._progress(
            Progress(
                subject=self._reference.familiar,
                action=action,
                current=self._sent,
                total=self._total,
            )
        )


def _location(response: httpx2.Response, known: str = "") -> str:
    location = response.headers.get("location", known)
    if not location:
        raise RegistryError("the registry opens an upload and does not say where")
    return str(response.request.url.join(location))


def _blobs_of(nodes: Iterable[Node]) -> list[Descriptor]:
    """Return what the manifests among some documents are made of."""
    found: list[Descriptor] = []
    for node in nodes:
        if isinstance(node.document, Manifest):
            found += [*node.document.layers, node.document.config]
    return found


def _is_passing(err: Unreachable | Refusal) -> bool:
    return err.passing if isinstance(err, Unreachable) else err.status in _PASSING
