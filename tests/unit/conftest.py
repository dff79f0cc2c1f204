"""Unit tests leave the machine's own directories alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_directories() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as directory:
        before = os.environ.get("ORCHESTRA_DATA")
        os.environ["ORCHESTRA_DATA"] = directory
        yield
        del os.environ["ORCHESTRA_DATA"]
        if before is not None:
            os.environ["ORCHESTRA_DATA"] = before
