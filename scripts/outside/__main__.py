"""``python -m scripts.outside``: this project's loader against docker compose's, file by file.

Takes local checkouts of compose-go, docker/compose and awesome-compose and puts all their Compose
files, the texts of compose-go's tests, and cases made of the schema to both loaders. Prints counts
and every difference; known.yaml holds those that have a reason. Exits 1 on any other, and on a row
of known.yaml whose difference is gone.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from scripts import known
from scripts.outside import gotests, schema, texts, trees
from scripts.outside.cases import Corpus
from scripts.outside.compare import Outcome, Result, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.outside", description=__doc__)
    parser.add_argument("--compose-go", type=Path, help="a checkout of compose-go")
    parser.add_argument("--compose", type=Path, help="a checkout of docker/compose")
    parser.add_argument("--awesome", type=Path, help="a checkout of awesome-compose")
    parser.add_argument("--spec", type=Path, help="a checkout of compose-spec, for its schema")
    parser.add_argument("--corpus", action="append", help="only this corpus")
    parser.add_argument("--only", default="*", help="only the cases whose name matches")
    parser.add_argument("--answers", type=Path, help="keep docker compose's answers here")
    parser.add_argument("--refused", action="store_true", help="print what both refuse, and why")
    return parser.parse_args()


def _corpora(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Corpus]]]:
    go, spec = args.compose_go, args.spec or args.compose_go
    for name, root in (("compose-go", go), ("compose", args.compose), ("awesome", args.awesome)):
        if root is not None:
            yield name, partial(trees.corpus, name, root.resolve())
    if go is not None:
        yield "go-tests", partial(gotests.corpus, go)
        yield "templates", partial(texts.templates, go)
        yield "dotenv", partial(texts.env_files, go)
    if spec is not None:
        yield "schema", partial(schema.corpus, spec)


def _told(corpus: Corpus, results: list[Result]) -> None:
    counts = Counter(result.outcome for result in results)
    line = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    skipped = ", ".join(f"{amount} skipped: {why}" for why, amount in corpus.skipped.items())
    print(f"{corpus.name}: {line}" + (f"; {skipped}" if skipped else ""), flush=True)


def _both_refuse(results: list[Result]) -> None:
    for result in results:
        if result.outcome is Outcome.BOTH_REFUSE:
            print(f"  {result.case.name}")
            print(f"    ours:   {result.ours.error}\n    theirs: {result.theirs.error}")


def main() -> int:
    """Run the comparison; return the exit code."""
    args = _arguments()
    table = known.read(known.OUTSIDE)
    compared: set[str] = set()
    total = 0
    for name, make in _corpora(args):
        if args.corpus and name not in args.corpus:
            continue
        corpus = make()
        cases = [case for case in corpus.cases if fnmatchcase(case.name, args.only)]
        results = list(run(cases, args.answers))
        compared.add(name)
        _told(corpus, results)
        if args.refused:
            _both_refuse(results)
        differences = [one for result in results for one in result.differences]
        left = known.unexplained(differences, table)
        total += len(left)
        for difference in left:
            print(f"  {difference}")
    stale = [] if args.only != "*" else _stale(table, compared)
    for row in stale:
        print(f'known.yaml: no difference any more: "{row.case}" at "{row.key}"')
    print(f"{total} unexplained, {sum(row.met for row in table)} known, {len(stale)} outdated")
    return 1 if total or stale else 0


def _stale(table: list[known.Known], compared: set[str]) -> list[known.Known]:
    return [row for row in table if not row.met and row.case.partition("/")[0] in compared]


if __name__ == "__main__":
    sys.exit(main())
