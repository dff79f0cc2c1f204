"""``stats`` and its formats: docker's units, tables, JSON and templates."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestra.cli.render.gotemplate import print_formatted
from orchestra.cli.render.stats import HEADER, stats_row
from orchestra.engine.target import ContainerUsage
from orchestra.errors import UsageError
from orchestra.planner.observed import ObservedContainer, Phase

WEB = ObservedContainer(
    id="ab" * 32,
    name="shop-web-1",
    service="web",
    number=1,
    image="nginx",
    image_id="sha256:1",
    config_hash="h",
    phase=Phase.RUNNING,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
THEN = ContainerUsage(
    cpu_time=timedelta(seconds=10),
    memory_bytes=3 << 19,
    memory_limit_bytes=64 << 20,
    received_bytes=1234,
    sent_bytes=0,
    read_bytes=5_600_000,
    written_bytes=999,
    pids=3,
)
NOW = replace(THEN, cpu_time=timedelta(seconds=11.5))
ROW = {
    "Container": "ab" * 6,
    "ID": "ab" * 6,
    "Name": "shop-web-1",
    "CPUPerc": "75.00%",
    "MemUsage": "1.5MiB / 64MiB",
    "MemPerc": "2.34%",
    "NetIO": "1.23kB / 0B",
    "BlockIO": "5.6MB / 999B",
    "PIDs": "3",
}


def row(before: ContainerUsage | None = THEN, now: ContainerUsage | None = NOW) -> dict[str, str]:
    return stats_row(WEB, before, now, timedelta(seconds=2), whole=False)


def test_a_row_has_dockers_fields_and_units() -> None:
    assert row() == ROW


def test_a_row_without_a_first_reading_claims_no_processor() -> None:
    assert row(before=None)["CPUPerc"] == "0.00%"


def test_what_does_not_run_uses_nothing() -> None:
    assert row(now=None)["MemUsage"] == "0B / 0B"


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("json", json.dumps(ROW, separators=(",", ":")) + "\n"),
        ("{{.Name}}: {{ .PIDs }}", "shop-web-1: 3\n"),
        ("{{json .Name}}", '"shop-web-1"\n'),
        ("{{json .}}", json.dumps(ROW, separators=(",", ":")) + "\n"),
        (r"{{.Name}}\t{{.MemPerc}}", "shop-web-1\t2.34%\n"),
        (r"table {{.Name}}\t{{.CPUPerc}}", "NAME         CPU %\nshop-web-1   75.00%\n"),
    ],
)
def test_formats(template: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_formatted(template, HEADER, [row()])
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("template", ["{{.Nope}}", "{{range .}}", "{{nope .}}", "{{}}"])
def test_a_template_that_asks_for_more_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match=r"the format asks for|cannot use the format"):
        print_formatted(template, HEADER, [row()])
