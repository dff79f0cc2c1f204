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


_PIECES = """
import sys
from orchestra.hashing import Sha256, sha256_of
piece = bytes(range(256)) * 1024
digest, whole = Sha256(), b""
for number in range(4):
    assert digest.hexdigest() == sha256_of(whole)
    assert ("hashlib" in sys.modules) is (number > 1)
    digest.update(piece)
    whole += piece
print(digest.hexdigest(), sha256_of(whole))
"""


@pytest.mark.parametrize("before", ["", "import hashlib\n"])
def test_pieces_give_the_digest_of_the_whole(before: str) -> None:
    text = before + _PIECES.replace("(number > 1)", "True" if before else "(number > 1)")
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    wanted = hashlib.sha256(bytes(range(256)) * 4096).hexdigest()
    assert found.stdout.split() == [wanted, wanted]
