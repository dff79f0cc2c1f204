"""``python -m scripts.fuzz.with_hypothesis TARGET SECONDS DIR``: seeds, changed at random."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scripts.fuzz.seeds import seeds, words
from scripts.fuzz.targets import TARGETS
from scripts.fuzz.watch import Watch

Change = tuple[float, float, bytes]


def main(name: str, seconds: int, work: Path) -> int:
    watch = Watch(name, TARGETS[name], work / "found")
    pieces = st.binary(max_size=8) | st.sampled_from([word.encode() for word in words()])
    change = st.tuples(st.floats(0, 1), st.floats(0, 0.1), pieces)

    @settings(
        max_examples=500,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(list(seeds(name))), st.lists(change, max_size=12))
    def examples(seed: bytes, changes: list[Change]) -> None:
        for where, length, piece in changes:
            at = int(where * len(seed))
            seed = seed[:at] + piece + seed[at + int(length * len(seed)) :]
        watch(seed)

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        examples()
    print(watch.summary(), flush=True)
    return 1 if watch.kinds else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
