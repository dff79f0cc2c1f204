"""What has been looked at in a context, and how it looked: evidence.py's trees come of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestra.engine.build.digests import TICK_NS, is_local, now_ns
from orchestra.engine.build.evidence import looks_of
from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from orchestra.engine.build.hashing import Entry


@dataclass(slots=True)
class Seen:
    """A context's ignore files by digest ("" is not there), its directories and files as listed.

    ``tells`` False: there is more to it than can be told. Paths are relative to the context, whose
    own is "".
    """

    begun_ns: int = field(default_factory=now_ns)
    ignoring: dict[str, str] = field(default_factory=dict)
    directories: dict[str, os.stat_result] = field(default_factory=dict)
    files: dict[str, Entry] = field(default_factory=dict)
    tells: bool = True

    def looks(self, root: str) -> list[str] | None:
        """Return the context at ``root`` as evidence; None when it may change without a trace.

        Nobody could tell a change in the moment in which it was looked at (digests.py).
        """
        own = self.directories.get("")
        if own is None or not self.tells:
            return None
        known = [(path, status) for path, status in self.directories.items() if path]
        known += [(path, entry.status) for path, entry in self.files.items()]
        statuses = [own, *(status for _, status in known)]
        last = self.begun_ns - TICK_NS
        if any(each.st_ctime_ns > last or each.st_dev != own.st_dev for each in statuses):
            return None
        if not is_local(root):
            return None
        return [root, "\0".join(path for path, _ in known), looks_of(statuses)]
