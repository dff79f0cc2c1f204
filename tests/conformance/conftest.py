"""The leak check of the kernel tests, for the runtimes too."""

from __future__ import annotations

from kernel.conftest import no_leaks, token

__all__ = ["no_leaks", "token"]
