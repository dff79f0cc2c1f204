"""Which files a project has, and what it is called: all that commands on containers need of them.

Imports none of the phases behind: ``ps`` and ``exec`` are to start fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestra.errors import SpecError
from orchestra.spec.discovery import LoadOptions, Site, choose_name, find_site
from orchestra.spec.findings import Findings
from orchestra.spec.plain_name import NotPlainError, plain_name_in


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
    return choose_name(options, site, None if asked else _written_name(site, findings))


def _written_name(site: Site, findings: Findings) -> str | None:
    """Return the last ``name`` that the files give, as written; read as YAML only if need be."""
    try:
        found = [plain_name_in(file) for file in site.files]
    except NotPlainError:
        from orchestra.spec.documents import Documents  # noqa: PLC0415 - imports PyYAML

        return Documents(findings).name_in(site)
    return next((name for name in reversed(found) if name), None)
