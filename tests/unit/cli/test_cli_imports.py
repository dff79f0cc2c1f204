"""What each command may import: start-up time is what a user feels first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROBE = """
import json, sys
sys.argv[0] = "orchestra"
from orchestra.__main__ import answer
answer(sys.argv[1:])
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
_HEAVY = frozenset({"pydantic", "networkx", "pyroute2", "httpx2", "rich"})
_BARE = _HEAVY | {"anyio", "asyncio", "yaml"}
_COMPOSE = 'services: {web: {image: busybox, command: ["true"]}}\n'


def modules(directory: Path, *words: str) -> set[str]:
    """Return the top-level packages that a command line leaves imported."""
    (directory / "compose.yaml").write_text(_COMPOSE)
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words],
        cwd=directory,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(root),
            "ORCHESTRA_DATA": str(directory / "data"),
            "ORCHESTRA_RUN": str(directory / "run"),
            "ORCHESTRA_CONFIG": str(directory / "config"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(found)


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("version",), ("up", "--help")])
def test_what_answers_by_itself_imports_next_to_nothing(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = modules(tmp_path, *words)
    assert found.isdisjoint(_BARE)
    assert "orchestra" in found


@pytest.mark.parametrize(
    "words",
    [("ps",), ("logs",), ("exec", "-T", "web", "true"), ("stop",), ("start",), ("ls",), ("kill",)],
    ids=lambda words: words[0],
)
def test_everyday_commands_import_nothing_heavy(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert modules(tmp_path, *words).isdisjoint(_HEAVY)


@pytest.mark.parametrize("words", [("plan",), ("config",)], ids=lambda words: words[0])
def test_plan_and_config_pay_for_the_model_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = modules(tmp_path, *words)
    assert "pydantic" in found
    assert found.isdisjoint(_HEAVY - {"pydantic"})


@pytest.mark.parametrize("words", [("ps",), ("ps", "-a"), ("ls",), ("images",)], ids=" ".join)
def test_what_only_reads_records_needs_no_event_loop(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert modules(tmp_path, *words).isdisjoint(_HEAVY | {"anyio", "asyncio"})
