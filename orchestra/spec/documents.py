"""Compose files as documents with the places of their keys, each file read once."""

from __future__ import annotations

import sys

from orchestra.spec.discovery import STDIN, Site
from orchestra.spec.document import LARGEST_BYTES, Document, read_documents
from orchestra.spec.findings import Findings
from orchestra.spec.reading import cannot_tell, read_limited
from orchestra.spec.tree import Mark, lookup


class Documents:
    """The documents of Compose files, each file read once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._known: dict[str, tuple[Document, ...]] = {}

    def read(self, file: str) -> tuple[Document, ...] | None:
        """Return the documents of a file, None when it cannot be read; that is noted once."""
        if file in self._known:
            return self._known[file]
        self._findings.read(file)
        try:
            if file == STDIN:
                cannot_tell()
                content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
            else:
                content = read_limited(file, LARGEST_BYTES)
        except OSError as error:
            message = f"cannot read the file: {error.strerror}"
            self._findings.add(message, (), Mark(file), hint="check -f and COMPOSE_FILE")
            self._known[file] = ()
            return None
        self._known[file] = read_documents(content, file, self._findings)
        return self._known[file]

    def name_in(self, site: Site) -> str | None:
        """Return the last ``name`` that the files give, as written."""
        name = None
        for file in site.files:
            for document in self.read(file) or ():
                written = lookup(document.tree, "name")
                name = written if isinstance(written, str) and written else name
        return name
