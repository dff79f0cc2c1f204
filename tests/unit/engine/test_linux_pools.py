"""Small objects made after the half-used pools were filled lie side by side."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from orchestra.engine.linux import pools
rubbish = [bytes(100 + i % 200) for i in range(50_000)]
del rubbish[::201]
gc.collect()
if {filled}:
    pools.fill()
made = [bytes(size) for size in range(60, 460, 16) for _ in range(8)]
print(len({{id(each) // 4096 for each in made}}))
"""


def pages_of(*, filled: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM.format(filled=filled)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


def test_new_objects_lie_side_by_side() -> None:
    assert pages_of(filled=True) < pages_of(filled=False) / 2
