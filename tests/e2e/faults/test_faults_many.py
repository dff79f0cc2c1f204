"""Thirty containers: up, found running, down, and nothing of them is left."""

from __future__ import annotations

from support.faults import Compose
from support.scenario import eventually

COUNT = 30
MANY = f"""\
services:
  many:
    image: alpine
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    deploy: {{replicas: {COUNT}}}
"""


def test_thirty_containers_come_and_go(compose: Compose) -> None:
    scenario = compose(MANY)
    scenario.up()
    assert scenario.services() == ["many"] * COUNT

    def all_are_named() -> bool:
        words = ("exec", "-T", "--index", str(COUNT), "many", "nslookup", "many")
        return scenario.run(*words, code=None).out.count("Address") >= COUNT

    eventually(all_are_named, "the name stands for all of them")
    scenario.run("down", "-v")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")
