"""What this process has seen of the firewall, and as of which generation of it.

The kernel numbers what nf_tables holds, and changes that number with every change, whoever makes
it; an addition that names another one is refused (linux/nfmessages.py). So what was seen once holds
for as long as additions go through, and a start need not look at rules and chains again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from threading import Lock

from orchestra.engine.linux.nfmessages import generation_now
from orchestra.engine.network import firewall
from orchestra.engine.network.firewall import ChangedError
from orchestra.engine.network.ruleset import Element


class Guard:
    """Tables that are whole and bridges that are let through; for who holds its ``lock``."""

    def __init__(self) -> None:
        self.lock = Lock()
        self._generation = 0
        self._tables: set[str] = set()
        self._bridges: set[str] = set()

    def whole(self, tables: Collection[str], bridges: Collection[str]) -> bool:
        """Tell whether tables are whole and bridges let through, as of the known generation."""
        if self._generation and self._tables >= set(tables) and self._bridges >= set(bridges):
            return True
        before = _generation()
        if not all(map(firewall.has_table, tables)) or any(map(firewall.lacks_admission, bridges)):
            return False
        if before != self._generation:
            self.forget()
        if before == _generation():
            self._generation = before
            self._tables.update(tables)
            self._bridges.update(bridges)
        return True

    def forget(self) -> None:
        """Look at everything anew."""
        self._generation = 0
        self._tables.clear()
        self._bridges.clear()

    def put(self, table: str, elements: Iterable[Element]) -> None:
        """Add elements (see :func:`firewall.put`), to what was seen if anything was.

        :raises ChangedError: when that is not there any more; nothing is done.
        :raises NetworkError: when nftables refuses.
        """
        wanted = tuple(elements)
        if not wanted:
            self._check()
            return
        try:
            self._advance(firewall.put(table, wanted, generation=self._generation))
        except ChangedError:
            self.forget()
            raise

    def drop(self, table: str, elements: Iterable[Element]) -> None:
        """Delete elements; those that are not there are no error."""
        self._advance(firewall.drop(table, elements, generation=self._generation))

    def _check(self) -> None:
        if self._generation and self._generation != _generation():
            self.forget()
            raise ChangedError

    def _advance(self, generation: int) -> None:
        """Know what our own change has led to; nothing of it may be another's."""
        if not self._generation:
            return
        if not generation and _generation() == self._generation:
            return  # there was nothing to change
        self._generation = generation
        if not generation:
            self.forget()


def _generation() -> int:
    """Return the generation of now; 0 where there is none."""
    try:
        return generation_now()
    except OSError:
        return 0
