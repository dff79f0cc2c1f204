"""Both programs' answers to a case, and where they differ."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestra.errors import OrchestraError
from orchestra.spec.loader import LoadOptions, load_project, render_project
from scripts.known import Difference
from scripts.outside.cases import ENVIRONMENT, Case
from scripts.outside.oracle import Json, Verdict, config

PROCESSES = 2
ABSENT = "(absent)"
REFUSED = "(refused)"


class Outcome(StrEnum):
    """How two answers compare."""

    SAME = "same"
    BOTH_REFUSE = "both refuse"
    DIFFERS = "differs"
    VERDICT_DIFFERS = "verdict differs"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a case, with every difference, and what either said when it refused."""

    case: Case
    outcome: Outcome
    differences: tuple[Difference, ...]
    ours: Verdict
    theirs: Verdict


def ours(case: Case, directory: Path) -> Verdict:
    """Return what the loader of this project makes of a case."""
    options = LoadOptions(files=case.files, profiles=case.profiles, env_files=case.env_files)
    try:
        project = load_project(options, {**ENVIRONMENT, **case.environment}, directory)
    except OrchestraError as error:
        return Verdict(error=str(error))
    return Verdict(tree=json.loads(json.dumps(render_project(project, json_shape=True))))


def theirs(case: Case, directory: Path) -> Verdict:
    """Return what docker compose makes of a case."""
    before = [word for file in case.env_files for word in ("--env-file", file)]
    environment = {**ENVIRONMENT, **case.environment}
    return config(case.files, directory, environment, profiles=case.profiles, before=before)


def differences(name: str, left: Json, right: Json, key: str = "") -> Iterator[Difference]:
    """Yield every key at which two trees differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for part in sorted({*left, *right}):
            below = f"{key}.{part}" if key else part
            if part in left and part in right:
                yield from differences(name, left[part], right[part], below)
            else:
                yield Difference(name, below, _shown(left, part), _shown(right, part))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(name, one, other, f"{key}[{index}]")
    elif left != right or type(left) is not type(right):
        yield Difference(name, key, json.dumps(left), json.dumps(right))


def _shown(tree: dict[str, Json], key: str) -> str:
    return json.dumps(tree[key]) if key in tree else ABSENT


def judge(case: Case, left: Verdict, right: Verdict) -> Result:
    """Return how the two answers compare."""
    if left.error is not None and right.error is not None:
        return Result(case, Outcome.BOTH_REFUSE, (), left, right)
    if left.error is not None or right.error is not None:
        found = Difference(
            case.name,
            "",
            f"{REFUSED} {left.error}" if left.error is not None else "accepts",
            f"{REFUSED} {right.error}" if right.error is not None else "accepts",
        )
        return Result(case, Outcome.VERDICT_DIFFERS, (found,), left, right)
    found_all = tuple(differences(case.name, left.tree, right.tree))
    return Result(case, Outcome.DIFFERS if found_all else Outcome.SAME, found_all, left, right)


def run(cases: Iterable[Case], answers: Path | None = None) -> Iterator[Result]:
    """Yield the result of each case; docker compose answers some ahead of us.

    ``answers``: a directory that keeps what docker compose said, for the next run.
    """
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(PROCESSES) as pool:
        home = Path(scratch)
        asked = [(case, _place(case, home, index)) for index, case in enumerate(cases)]
        verdicts = pool.map(lambda one: _remembered(one[0], one[1], answers), asked)
        for (case, directory), verdict in zip(asked, verdicts, strict=True):
            yield judge(case, ours(case, directory), verdict)


def _place(case: Case, home: Path, index: int) -> Path:
    if case.directory is not None:
        return case.directory
    directory = home / f"{index}" / "project"
    directory.mkdir(parents=True)
    case.write(directory)
    return directory


def _remembered(case: Case, directory: Path, answers: Path | None) -> Verdict:
    if answers is None:
        return theirs(case, directory)
    asked = repr((case.files, case.directory, sorted(case.written.items()), case.profiles))
    asked += repr((sorted(case.environment.items()), case.env_files))
    kept = answers / hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()
    places = {
        "$HERE": json.dumps(str(directory))[1:-1],
        "$UP": json.dumps(str(directory.parent))[1:-1],
    }
    if kept.exists():
        text = kept.read_text(encoding="utf-8")
        for word, place in places.items():
            text = text.replace(word, place)
        known = json.loads(text)
        return Verdict(tree=known["tree"], error=known["error"])
    verdict = theirs(case, directory)
    text = json.dumps({"tree": verdict.tree, "error": verdict.error})
    for word, place in places.items():
        text = text.replace(place, word)
    answers.mkdir(parents=True, exist_ok=True)
    kept.write_text(text, encoding="utf-8")
    return verdict
