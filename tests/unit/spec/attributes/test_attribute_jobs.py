"""jobs (compose-spec, jobs): containers that run to completion."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "jobs"

_WEB = "services: {web: {image: busybox}}\n"
_BASE = {"command": None, "entrypoint": None, "image": "busybox", "networks": {"default": None}}


def _job(text: str) -> str:
    return f"{_WEB}jobs:\n  task: {{image: busybox, {text}}}\n"


def _shown(**attributes: object) -> dict[str, object]:
    return {"task": {**_BASE, **attributes}}


CASES = (
    Case("manual", _job("triggers: {manual: true}"), _shown(triggers={"manual": True})),
    Case("never", _job("triggers: {manual: 'false'}"), _shown(triggers={"manual": False})),
    Case(
        "crontab",
        _job("triggers: {schedule: ['0 * * * *']}"),
        _shown(triggers={"schedule": [{"cron": "0 * * * *"}]}),
    ),
    Case(
        "schedule",
        _job(
            "triggers: {schedule: [{cron: '@daily', timezone: UTC, concurrency: queue,"
            " missed_fires: skip}]}"
        ),
        _shown(
            triggers={
                "schedule": [
                    {
                        "cron": "@daily",
                        "timezone": "UTC",
                        "concurrency": "queue",
                        "missed_fires": "skip",
                    }
                ]
            }
        ),
    ),
    Case(
        "container",
        _job("triggers: {manual: true}, environment: [A=1], cap_add: [ALL], ports: ['80:80']"),
        _shown(
            triggers={"manual": True},
            environment={"A": "1"},
            cap_add=["ALL"],
            ports=[{"mode": "ingress", "protocol": "tcp", "published": "80", "target": 80}],
        ),
    ),
    Case(
        "depends",
        _job("triggers: {manual: true}, depends_on: [web]"),
        _shown(
            triggers={"manual": True},
            depends_on={"web": {"condition": "service_started", "required": True}},
        ),
    ),
    Case(
        "overridden",
        _job("triggers: {manual: true}, environment: {A: a, B: b}"),
        _shown(triggers={"manual": False}, environment={"A": "x", "B": "b"}),
        over="services: {}\njobs: {task: {triggers: {manual: false}, environment: [A=x]}}",
    ),
    Case(
        "extends",
        f"{_WEB}jobs:\n  base: {{image: busybox, triggers: {{manual: true}}, cap_add: [ALL]}}\n"
        "  task: {extends: base, cap_add: [KILL], triggers: {manual: false}}\n",
        _shown(triggers={"manual": False}, cap_add=["ALL", "KILL"])["task"],
        key="jobs.task",
    ),
    Case(
        "inactive",
        f"{_WEB}jobs:\n  task: {{image: busybox, triggers: {{manual: true}}}}\n"
        "  other: {image: busybox, triggers: {manual: true}, profiles: [tools]}\n",
        _shown(triggers={"manual": True}),
    ),
)

WRONG = (
    Wrong("no trigger", _job("command: x"), '"triggers" is missing'),
    Wrong("empty trigger", _job("triggers: {}"), "nothing triggers this job"),
    Wrong(
        "mount of nothing",
        _job("triggers: {manual: true}, volumes: [{type: bind, target: /a}]"),
        '"source" is missing',
    ),
    Wrong("unknown", _job("triggers: {manual: true}, scale: 2"), 'unknown key "scale"'),
    Wrong("name", _job("triggers: {manual: true}, name: other"), 'unknown key "name"'),
    Wrong("service", _job("triggers: {manual: true}").replace("task", "web"), "is named"),
    Wrong("lost", _job("triggers: {manual: true}, depends_on: [db]"), 'no service "db"'),
    Wrong(
        "policy",
        _job("triggers: {schedule: [{cron: '@daily', concurrency: wait}]}"),
        'expected "forbid" or "queue"',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_jobs(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_jobs_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
