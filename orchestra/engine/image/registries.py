"""Registries as commands see them that need no store: logins, and searches. Any user may."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.image.settings import RegistrySettings

if TYPE_CHECKING:
    from orchestra.engine.image.search import Hit


class Registries:
    """The registries that this user's settings lead to."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    @property
    def path(self) -> Path | None:
        """Return docker's config file, where logins are kept."""
        return self._settings.docker_config

    async def log_in(
        self,
        server: str,
        username: str,
        password: str,
        *,
        ask: Callable[[str], tuple[str, str]],
    ) -> str:
        """Try a login and keep it; return the helper that keeps it, "" for the config file.

        What is not given is what is known already; ``ask`` is called with the name known, where
        that is nothing, or no longer good.

        :raises RegistryError: when the registry refuses it or does not answer.
        """
        from orchestra.engine.image.auth import Login  # noqa: PLC0415 - 80 ms: httpx2
        from orchestra.engine.image.logins import Accounts, Refused  # noqa: PLC0415

        accounts = Accounts(self._settings)
        if username and password:
            return await accounts.log_in(server, Login(username, password))
        known = await accounts.known(server)
        if known is not None and not username and not password:
            with suppress(Refused):  # then ask for a better one
                return await accounts.log_in(server, known)
        name, secret = ask(known.username if known else "")
        return await accounts.log_in(server, Login(name, secret))

    async def log_out(self, server: str) -> bool:
        """Forget a login; False when there was none."""
        from orchestra.engine.image.logins import Accounts  # noqa: PLC0415 - 80 ms: httpx2

        return await Accounts(self._settings).log_out(server)

    async def search(self, term: str, *, limit: int) -> tuple[Hit, ...]:
        """Return the repositories that fit a word, best first.

        :raises RegistryError: when the registry does not tell.
        """
        from orchestra.engine.image.search import search  # noqa: PLC0415 - 80 ms: httpx2

        return await search(term, self._settings, limit=limit)
