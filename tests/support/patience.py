"""How long tests wait for what must come: a machine may be slow (scripts/v2 emulates one)."""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("ORCHESTRA_TEST_PATIENCE", "1"))
"""How many times longer than on a usual machine things may take."""
