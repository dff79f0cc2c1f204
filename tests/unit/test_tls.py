"""OpenSSL is loaded by those who encrypt, and works then as if it had been there all the time."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = "import sys; from orchestra import tls; tls.load_late()\n"
ANYIO = "import asyncio, anyio, anyio._backends._asyncio, anyio.streams.tls\n"


def said(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", START + program], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_loop_needs_none() -> None:
    program = ANYIO + "anyio.run(anyio.sleep, 0)\nprint('_ssl' in sys.modules)"
    assert said(program) == ["False"]


@pytest.mark.parametrize("first", ["", ANYIO])
def test_whoever_uses_it_has_the_real_one(first: str) -> None:
    program = (
        first
        + "import ssl\n"
        + "from ssl import SSLContext\n"
        + "real = ssl.create_default_context()\n"
        + ANYIO
        + "import asyncio.sslproto as proto\n"
        + "print(type(real) is SSLContext is sys.modules['ssl'].SSLContext)\n"
        + "print(anyio.streams.tls.SSLContext is SSLContext)\n"
        + "print(proto.SSLAgainErrors == (ssl.SSLWantReadError, ssl.SSLSyscallError))\n"
        + "print(issubclass(ssl.SSLWantReadError, ssl.SSLError))\n"
    )
    assert said(program) == ["True"] * 4


def test_one_that_is_there_stays() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import ssl\nkept = ssl\n" + START + "print(sys.modules['ssl'] is kept)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"
