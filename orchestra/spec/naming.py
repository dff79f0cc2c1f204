"""Which files a project has, and what it is called: all that commands on containers need of them.

Imports none of the phases behind: ``ps`` and ``exec`` are to start fast.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from orchestra.errors import SpecError
from orchestra.spec.discovery import STDIN, LoadOptions, Site, choose_name, find_site
from orchestra.spec.document import LARGEST_BYTES, Document, read_documents
from orchestra.spec.findings import Findings
from orchestra.spec.reading import read_limited
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


def discover(options: LoadOptions, environment: Mapping[str, str], cwd: Path) -> tuple[str, ...]:
    """Return the absolute paths of the files that would be read; none when there are none.

    :raises SpecError: when an env file is missing or malformed.
    """
    return find_site(options, environment, cwd, Findings()).files


def project_name_of(options: LoadOptions, environment: Mapping[str, str], cwd: Path) -> str:
    """Return only the name of the project; the files are looked at for their ``name`` alone.

    :raises SpecError: when no name can be made, or there is no file to take it from.
    """
    findings = Findings()
    site = find_site(options, environment, cwd, findings)
    asked = options.project_name or site.environment.get("COMPOSE_PROJECT_NAME")
    if not asked and not site.files:
        raise SpecError(
            f'no Compose file in "{cwd}" or above',
            hint="go to the project's directory, or name it with -p NAME",
        )
    return choose_name(options, site, None if asked else Documents(findings).name_in(site))
