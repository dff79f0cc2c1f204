"""Docker Compose makes the same of generated projects, key by key.

ORACLE_EXAMPLES=5000 tries that many, chosen at random; the suite's own few are always the same.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from support.generated import ENVIRONMENT, Generated, projects

from scripts.outside.cases import Case
from scripts.outside.compare import judge, ours, theirs

EXAMPLES = os.environ.get("ORACLE_EXAMPLES")


@settings(
    max_examples=int(EXAMPLES or 60),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(projects())
def test_docker_compose_agrees(project: Generated) -> None:
    case = Case(
        name="generated",
        files=("compose.yaml", "over.yaml"),
        written=project.files,
        environment=ENVIRONMENT,
        profiles=project.profiles,
    )
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "project"
        directory.mkdir()
        case.write(directory)
        result = judge(case, ours(case, directory), theirs(case, directory))
    assert not result.differences, "\n".join(map(str, result.differences))
