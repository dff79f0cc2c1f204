"""Time as a dependency: the engine's clock, so that tests may pass a fake one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the engine takes the time from, and how it waits."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until ``moment``; at once when it is past."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until ``moment``; at once when it is past."""
        import anyio  # noqa: PLC0415 - who only looks at the clock waits for nothing

        await anyio.sleep(max(0.0, (moment - self.now()).total_seconds()))
