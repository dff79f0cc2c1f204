"""The results as a page: a table of the scenarios, totals, and what fails for which reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scripts.validation.known import Known
from scripts.validation.runtimes import Runtime
from scripts.validation.suite import Outcome

Results = Mapping[str, Mapping[str, Outcome]]
"""By scenario and runtime."""

_HEAD = """# The OCI's validation suite

Written by `python -m scripts.validation --runtime-tools DIR --output docs/conformance-oci.md`: all
scenarios of opencontainers/runtime-tools over the native runtime and its peers, on one machine.

An assertion is *missing* where another runtime came to it and this one did not; a scenario is
*clean* when nothing in it failed or is missing. A scenario that ends with an error has failed as a
whole, and what passed in it is *void*: such as the assertions of a container that the runtime had
to refuse for an unknown capability. What this host lacks (see the reasons) every runtime fails, or
never comes to. crun is told that a hybrid host is a v1 one, and that the configurations are of
version 1.0.2.
"""


def expected(outcomes: Mapping[str, Outcome]) -> int:
    """Return how many assertions a scenario has, as far as any runtime has come."""
    return max(len(outcome.assertions) for outcome in outcomes.values())


def is_clean(outcome: Outcome, wanted: int) -> bool:
    """Tell whether nothing failed, and nothing is missing."""
    return not outcome.failed and len(outcome.assertions) == wanted


def totals(results: Results, runtime: str) -> dict[str, int]:
    """Return the sums of a runtime."""
    counts = {"passed": 0, "failed": 0, "missing": 0, "void": 0, "clean": 0}
    for outcomes in results.values():
        outcome, wanted = outcomes[runtime], expected(outcomes)
        counts["passed"] += outcome.passed
        counts["failed"] += len(outcome.assertions) - outcome.passed
        counts["missing"] += wanted - len(outcome.assertions)
        counts["void"] += outcome.void
        counts["clean"] += is_clean(outcome, wanted)
    return counts


def table(results: Results, runtimes: Sequence[Runtime]) -> Iterator[str]:
    """Yield the lines of both tables."""
    names = [runtime.name for runtime in runtimes]
    titles = [f"{runtime.name} {runtime.version}".strip() for runtime in runtimes]
    yield f"| | {' | '.join(titles)} |"
    yield f"|---|{'---|' * len(names)}"
    sums = {name: totals(results, name) for name in names}
    for kind, label in (
        ("passed", "assertions passed"),
        ("failed", "failed"),
        ("missing", "missing"),
        ("void", "void"),
        ("clean", f"clean scenarios of {len(results)}"),
    ):
        yield f"| {label} | {' | '.join(str(sums[name][kind]) for name in names)} |"
    yield ""
    yield f"| scenario | {' | '.join(titles)} |"
    yield f"|---|{'---|' * len(names)}"
    for scenario, outcomes in sorted(results.items()):
        wanted = expected(outcomes)
        cells = [_cell(outcomes[name], wanted) for name in names]
        yield f"| {scenario} | {' | '.join(cells)} |"


def _cell(outcome: Outcome, wanted: int) -> str:
    count = f"{outcome.passed} of {wanted}" if wanted else ""
    if is_clean(outcome, wanted):
        return count or "clean"
    return f"**{count or 'fails'}**"


def page(results: Results, runtimes: Sequence[Runtime], rows: Sequence[Known]) -> str:
    """Return the page."""
    lines = [_HEAD, *table(results, runtimes), "", "## What the native runtime fails, and why", ""]
    lines += ["| scenario | assertion | reason |", "|---|---|---|"]
    for row in rows:
        scenario, assertion = row.scenario.replace("*", "\\*"), row.assertion.replace("*", "\\*")
        lines.append(f"| {scenario} | {assertion} | {row.reason} |")
    return "\n".join(lines) + "\n"
