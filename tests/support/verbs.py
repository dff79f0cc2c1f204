"""The native runtime as a program, on bundles of ``support.bundles``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Any

from support.bundles import Bundle

NAME = "c"
"""The id of the container that these start, unless a test says otherwise."""


def call(
    bundle: Bundle, *arguments: str, stdin: str = "", **keywords: Any
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestra.engine.runtime", "--root", str(bundle.state_root)]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        input=stdin,
        **keywords,
    )


def start(bundle: Bundle, *arguments: str, **keywords: Any) -> int:
    """Run a container in the background, without pipes that it would hold open."""
    return _make(bundle, "run", "-d", *arguments, **keywords)


def create(bundle: Bundle) -> int:
    """Create a container, likewise."""
    return _make(bundle, "create")


def _make(bundle: Bundle, *arguments: str, **keywords: Any) -> int:
    bundle.write()
    command = [sys.executable, "-m", "orchestra.engine.runtime", "--root", str(bundle.state_root)]
    flags = ["--bundle", str(bundle.path), "--pid-file", str(bundle.path / "pid")]
    with (bundle.path / "out").open("w") as out:
        done = subprocess.run(
            [*command, *arguments, *flags, NAME],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=120,
            check=False,
            **keywords,
        )
    assert done.returncode == 0, (bundle.path / "out").read_text()
    return int((bundle.path / "pid").read_text())


def end(bundle: Bundle, pid: int) -> None:
    call(bundle, "delete", "--force", NAME)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
