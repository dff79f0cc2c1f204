"""Digests without OpenSSL are those with it."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.hashing import sha256


@given(st.binary(max_size=300), st.integers(1, 50))
def test_it_is_sha256(data: bytes, times: int) -> None:
    ours, standard = sha256(data * times), hashlib.sha256(data * times)
    assert (ours.hexdigest(), ours.digest()) == (standard.hexdigest(), standard.digest())


@pytest.mark.parametrize("absent", [(), ("_sha2", "_sha256")])
def test_some_sha256_is_always_found(absent: tuple[str, ...]) -> None:
    lines = [f"sys.modules[{name!r}] = None" for name in absent]
    probe = "\n".join(
        ["import sys", *lines, "import orchestra.hashing as h", "print(h.sha256(b'x').hexdigest())"]
    )
    found = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == hashlib.sha256(b"x").hexdigest()
