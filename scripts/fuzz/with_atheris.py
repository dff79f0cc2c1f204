"""``python -m scripts.fuzz.with_atheris TARGET SECONDS DIR``: coverage chooses what is changed."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["orchestra"]):
    from scripts.fuzz.seeds import seeds, words
    from scripts.fuzz.targets import TARGETS
    from scripts.fuzz.watch import Watch

_LONGEST_BYTES = 16_384


def main(name: str, seconds: int, work: Path) -> None:
    corpus = work / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    dictionary = work / "words.dict"
    lines = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in words())
    dictionary.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")
    watch = Watch(name, TARGETS[name], work / "found")
    end = time.monotonic() + seconds

    def one(data: bytes) -> None:
        watch(data)
        if time.monotonic() > end:  # libFuzzer would leave without a word
            print(watch.summary(), flush=True)
            os._exit(1 if watch.kinds else 0)

    flags = [f"-dict={dictionary}", f"-max_len={_LONGEST_BYTES}", "-timeout=120"]
    atheris.Setup([sys.argv[0], *flags, "-rss_limit_mb=1024", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
