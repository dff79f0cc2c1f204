"""Pushing to a registry on loopback over HTTP (distribution-spec, "Push")."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from scripts.standins.documents import Document
from scripts.standins.errors import StandinError

NO_HEADERS: Mapping[str, str] = {}


class Registry:
    """One connection to a registry."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._home: dict[str, str] = {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> http.client.HTTPResponse:
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        response.read()
        return response

    def _expect_created(self, response: http.client.HTTPResponse, what: str) -> None:
        if response.status != http.HTTPStatus.CREATED:
            raise StandinError(f"cannot push {what} to {self._address}: status {response.status}")

    def blob(self, repository: str, digest: str, source: Path | bytes) -> None:
        """Upload a blob unless the repository has it or another one can lend it.

        :raises StandinError: when the registry refuses.
        """
        held = self._request("HEAD", f"/v2/{repository}/blobs/{digest}")
        if held.status == http.HTTPStatus.OK:
            self._home.setdefault(digest, repository)
            return
        home = self._home.get(digest)
        query = f"?mount={digest}&from={home}" if home else ""
        opened = self._request("POST", f"/v2/{repository}/blobs/uploads/{query}", b"")
        if opened.status == http.HTTPStatus.CREATED:
            return
        location = urlsplit(opened.headers.get("Location", ""))
        join = f"{location.query}&" if location.query else ""
        body = source if isinstance(source, bytes) else source.read_bytes()
        stored = self._request(
            "PUT",
            f"{location.path}?{join}digest={digest}",
            body,
            {"Content-Type": "application/octet-stream"},
        )
        self._expect_created(stored, f"a blob of {repository}")
        self._home[digest] = repository

    def manifest(self, repository: str, reference: str, document: Document) -> None:
        """Store a manifest or index under a tag or digest.

        :raises StandinError: when the registry refuses.
        """
        stored = self._request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            document.body,
            {"Content-Type": document.media_type},
        )
        self._expect_created(stored, f"{repository}:{reference}")
