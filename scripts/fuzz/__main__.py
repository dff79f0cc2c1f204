"""``python -m scripts.fuzz [TARGET]... [--seconds N] [--work DIR]``: throw bytes at the loader.

With atheris installed (the extra "fuzz") coverage leads the way; without it, Hypothesis draws
changes of the seeds. One process per target, one after the other. Inputs that crash, and those that
take more than a second of CPU time, are kept in DIR/found; the corpus grows in DIR/corpus.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

NAMES = ("document", "template", "shorthand", "dotenv", "loader")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=120, help="for each target")
    parser.add_argument("--work", type=Path, default=Path(".fuzz"), help="for corpus and findings")
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(NAMES))
    if unknown:
        parser.error(f"no target {unknown[0]}: choose from {', '.join(NAMES)}")
    engine = "hypothesis" if importlib.util.find_spec("atheris") is None else "atheris"
    options.work.mkdir(parents=True, exist_ok=True)
    worst = 0
    for name in options.targets or NAMES:
        module = f"scripts.fuzz.with_{engine}"
        argv = [sys.executable, "-m", module, name, str(options.seconds), str(options.work)]
        with (options.work / f"{name}.log").open("wb") as log:
            done = subprocess.run(argv, check=False, stderr=log)
        worst = max(worst, abs(done.returncode))
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
