"""OpenSSL, loaded by those who encrypt: asyncio and anyio import it in vain.

That is 7 ms of each command with a loop, and 4 MB of each process that waits for years.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_NAME = "ssl"
_ASYNCIO, _ANYIO = "asyncio.sslproto", "anyio.streams.tls"
_AGAIN = ("SSLWantReadError", "SSLSyscallError")
_TAKEN = {_ASYNCIO: _AGAIN, _ANYIO: ("SSLContext",)}
"""What these take as they are imported: they are given it when it is there."""


def load_late() -> None:
    """Put a module in ssl's place that becomes it at its first use. For a start, before anyio."""
    if _NAME not in sys.modules:
        sys.modules[_NAME] = _Tls(_NAME)


class _Later(Exception):
    """What asyncio and anyio have until then."""


class _Tls(ModuleType):
    """Is ``ssl`` to whoever uses it, and loads that only then."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _TAKEN.get(sys._getframe(1).f_globals.get("__name__", ""), ()):
            return _Later
        value = getattr(_loaded(), name)
        setattr(self, name, value)
        return value


def _loaded() -> ModuleType:
    if not isinstance(sys.modules.get(_NAME), _Tls):
        return importlib.import_module(_NAME)
    del sys.modules[_NAME]
    tls = importlib.import_module(_NAME)
    if _ASYNCIO in sys.modules:
        errors = tuple(getattr(tls, name) for name in _AGAIN)
        setattr(sys.modules[_ASYNCIO], "SSLAgainErrors", errors)  # noqa: B010 - its own name
    if _ANYIO in sys.modules:
        setattr(sys.modules[_ANYIO], "SSLContext", tls.SSLContext)  # noqa: B010 - the same
    return tls
