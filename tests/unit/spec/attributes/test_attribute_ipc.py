"""services.*.ipc (compose-spec 05-services.md, ipc)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.ipc"


def beside_db(ipc: str) -> str:
    """Return a project whose "web" has this ipc; "db" is there."""
    return f"services:\n  web:\n    image: a\n    ipc: {ipc}\n  db:\n    image: b\n"


CASES = (
    Case("shareable", "ipc: shareable", "shareable"),
    Case("host", "ipc: host", "host"),
    Case("private", "ipc: private", "private"),
    Case("none", "ipc: none", "none"),
    Case("service", beside_db("service:db"), "service:db"),
    Case(
        "service-implies-dependency",
        beside_db("service:db"),
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        key="services.web.depends_on",
    ),
    Case("variable", beside_db("'service:${S}'"), "service:db", env={"S": "db"}),
    Case("merged", "ipc: host", "private", over="ipc: private"),
    Case("reset", "ipc: host", ABSENT, over="ipc: !reset null"),
)

WRONG = (
    Wrong("number", "ipc: 1", "expected text, not a number", place="4:5", hint="put it in quotes"),
    Wrong("list", "ipc: [host]", "expected text, not a list"),
    Wrong(
        "unknown-service",
        beside_db("service:bd"),
        'no service "bd" in this project',
        place="4:5",
        hint="define services.bd (services here: db, web)",
    ),
    Wrong(
        "itself",
        beside_db("service:web"),
        "services wait for each other in a circle: web -> web",
        hint="break it",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_ipc(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_ipc_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
