"""The command: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import scripts.validation
from scripts.validation import known, page, suite
from scripts.validation.runtimes import NATIVE, Runtime, installed, make


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.validation",
        description=scripts.validation.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runtime-tools", type=Path, required=True, help="a built checkout")
    parser.add_argument("--runtime", action="append", help="only this one: native, runc, crun")
    parser.add_argument("--only", default="*", help="only the scenarios whose name matches")
    parser.add_argument("--seconds", type=int, default=60, help="the time of one scenario")
    parser.add_argument("--output", type=Path, help="write the page here")
    return parser.parse_args()


def _measure(args: argparse.Namespace, runtimes: list[Runtime], root: Path) -> page.Results:
    results: dict[str, dict[str, suite.Outcome]] = {}
    for program in suite.scenarios(args.runtime_tools.resolve(), args.only):
        results[program.stem] = outcomes = {}
        for runtime in runtimes:
            directory = root / f"{runtime.name}.{program.stem}"
            outcomes[runtime.name] = suite.run(program, runtime, directory, args.seconds)
        told = (f"{name} {outcome.passed}" for name, outcome in outcomes.items())
        print(f"{program.stem}: {', '.join(told)}", flush=True)
    return results


def _unexplained(results: page.Results, table: list[known.Known]) -> list[str]:
    left = []
    for scenario, outcomes in results.items():
        outcome = outcomes[NATIVE]
        failed = outcome.failed
        if not failed and len(outcome.assertions) < page.expected(outcomes):
            failed = ("(missing)",)
        left += [
            f"{scenario}: {name}" for name in failed if not known.explain(scenario, name, table)
        ]
    return left


def main() -> int:
    """Run the suite; return the exit code."""
    args = _arguments()
    names = args.runtime or [name for name in (NATIVE, "runc", "crun") if installed(name)]
    with tempfile.TemporaryDirectory(prefix="validation-") as temporary:
        root = Path(temporary)
        root.chmod(0o755)
        runtimes = [make(name, root) for name in names]
        results = _measure(args, runtimes, root)
    print("", *page.table(results, runtimes), "", sep="\n")
    if NATIVE not in names:
        return 0
    table = known.read()
    left = _unexplained(results, table)
    stale = [row for row in table if not (row.met or row.sometimes)] if args.only == "*" else []
    for failure in left:
        print(f"unexplained: {failure}")
    for row in stale:
        print(f'known.yaml: fails no more: "{row.scenario}", "{row.assertion}"')
    if args.output is not None:
        args.output.write_text(page.page(results, runtimes, table), encoding="utf-8")
    print(f"{len(left)} unexplained, {sum(row.met for row in table)} known, {len(stale)} outdated")
    return 1 if left or stale else 0


if __name__ == "__main__":
    sys.exit(main())
