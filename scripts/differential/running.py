"""One case, built by one builder, as a record."""

from __future__ import annotations

import time
from collections.abc import Mapping

from scripts.differential.bases import Base
from scripts.differential.case import Case
from scripts.differential.ground import BuildFailed, Peer, laid_out
from scripts.differential.record import Record, record, replaced
from scripts.differential.server import Server


def built(peer: Peer, case: Case, images: Mapping[str, Base], server: Server) -> Record:
    """Build a case and tell what came of it; a failure is a record too."""
    server.offer(case.web)
    with laid_out(case, server.address) as ground:
        try:
            result = peer.build(ground)
        except BuildFailed as error:
            return {"fails": str(error)}
    plain = {name: base.plain for name, base in images.items()}
    found = record(result, plain, now=time.time() - _RECENT_SECONDS, epoch=case.epoch)
    return replaced(found, {server.address: "WEB", f"@{case.mtime}": "@given"})


_RECENT_SECONDS = 86400
"""All times that builds are given are years old; what is this young was made by a build."""
