"""``python -m scripts.differential``: this project's builder against BuildKit, case by case.

Builds every case of tests/corpus/dockerfiles here and there, and compares the trees, the configs
and the histories of the images, or that both fail. known.yaml holds the differences that have a
reason. ``--record`` keeps BuildKit's answers beside the cases, which the tests ask from then on.
Exits 1 on any other difference, and on a row of known.yaml whose difference is gone. Debian's
dockerd has a BuildKit of 2020, which knows neither documents nor --link and tells history
otherwise: what it cannot build is counted, and history left alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import known
from scripts.differential.bases import bases
from scripts.differential.buildkit import buildkit
from scripts.differential.case import Case, cases
from scripts.differential.compare import compare
from scripts.differential.docker import docker
from scripts.differential.generated import generated
from scripts.differential.ground import Peer
from scripts.differential.ours import Orchestra
from scripts.differential.record import Record, stored, write
from scripts.differential.running import built
from scripts.differential.server import serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.differential", description=__doc__)
    peer = parser.add_mutually_exclusive_group()
    peer.add_argument("--buildkit", type=Path, help="the directory of buildkitd and buildctl")
    peer.add_argument("--docker", action="store_true", help="Debian's dockerd, with its BuildKit")
    parser.add_argument("--only", default="*", help="only the cases whose name matches")
    parser.add_argument("--generated", type=int, help="so many cases made by chance, and no other")
    parser.add_argument("--seed", type=int, default=0, help="of the chance")
    parser.add_argument("--record", action="store_true", help="keep the peer's answers")
    parser.add_argument("--refused", action="store_true", help="print what both refuse, and why")
    return parser.parse_args()


@contextmanager
def _peer(args: argparse.Namespace, address: str) -> Iterator[Peer | None]:
    if args.buildkit is not None:
        with buildkit(args.buildkit.resolve(), address) as peer:
            yield peer
    elif args.docker:
        with docker() as other:
            yield other
    else:
        yield None


def main() -> int:
    """Run the comparison; return the exit code."""
    args = _arguments()
    table = known.read(known.BUILDS)
    images = bases()
    counts = dict.fromkeys(("same", "known", "differ", "refused by both", "too new for it"), 0)
    with tempfile.TemporaryDirectory(prefix="differential-") as directory:
        root = Path(directory)
        with serve(images, root / "web") as server, _peer(args, server.address) as peer:
            ours = Orchestra(root, images)
            for case in _cases(args):
                mine = built(ours, case, images, server)
                theirs = (
                    stored(case.expected) if peer is None else built(peer, case, images, server)
                )
                if args.record:
                    write(case.expected, theirs)
                differences = compare(case.name, mine, theirs)
                if args.docker:
                    differences = [one for one in differences if not _of_its_age(one)]
                if args.generated:
                    differences = [one for one in differences if not _about_layers(one)]
                if args.docker and "fails" in theirs and "fails" not in mine:
                    counts["too new for it"] += 1
                    continue
                left = known.unexplained(differences, table)
                counts[_verdict(mine, len(differences), len(left))] += 1
                for difference in left:
                    print(f"  {difference}", flush=True)
                if args.refused and "fails" in mine and "fails" in theirs:
                    _both_refuse(case.name, mine, theirs)
    whole = args.only == "*" and not (args.docker or args.generated)
    stale = [row for row in table if not row.met] if whole else []
    for row in stale:
        print(f'known.yaml: no difference any more: "{row.case}" at "{row.key}"')
    print(
        ", ".join(f"{amount} {name}" for name, amount in counts.items()), f"; {len(stale)} outdated"
    )
    return 1 if counts["differ"] or stale else 0


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    if args.generated:
        return generated(args.seed, args.generated)
    return cases(args.only)


def _of_its_age(difference: known.Difference) -> bool:
    """Tell whether it is the old way to tell history, or /etc touched by mounts in it."""
    return difference.key.startswith("history.") or difference.key == "tree:/etc"


def _about_layers(difference: known.Difference) -> bool:
    """Tell whether it is that a step without changes makes no layer here."""
    if difference.key.startswith("history."):
        return difference.ours[2:] == difference.theirs[2:]
    return difference.key == "layers"


def _verdict(mine: Record, differences: int, left: int) -> str:
    if left:
        return "differ"
    if differences:
        return "known"
    return "refused by both" if "fails" in mine else "same"


def _both_refuse(name: str, mine: Record, theirs: Record) -> None:
    print(f"  {name}\n    ours:   {mine['fails']}\n    theirs: {theirs['fails']}")


if __name__ == "__main__":
    sys.exit(main())
