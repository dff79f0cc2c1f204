"""What forces a recreate, and how it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.worlds import container, network, volume

from orchestra.planner.desired import BuildSpec, Dependency, HealthSpec, Resources
from orchestra.planner.fingerprint import (
    build_hash,
    changes,
    config_hash,
    network_hash,
    volume_hash,
)
from orchestra.planner.scope import with_number

BASE = container("web", environment={"A": "1", "B": "2"}, labels={"mine": "x"})


@pytest.mark.parametrize(
    "fields",
    [
        {"depends_on": (Dependency(service="db"),)},
        {"attach": False},
        {"labels": {"mine": "x", "com.docker.compose.project.working_dir": "/elsewhere"}},
        {"environment": {"B": "2", "A": "1"}},
        {"config_hash": "whatever"},
        {"project": "other"},
    ],
    ids=str,
)
def test_what_forces_no_recreate(fields):
    assert config_hash(replace(BASE, **fields)) == BASE.config_hash


def test_replicas_share_a_hash():
    second = with_number(BASE, 2)
    assert second.name == "shop-web-2"
    assert config_hash(second) == BASE.config_hash


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"environment": {"A": "1"}}, "environment changed"),
        ({"image": "web:2"}, "image changed"),
        ({"command": ("x",), "ports": ()}, "command changed"),
        ({"command": (), "user": "1"}, "command, user changed"),
        ({"health": HealthSpec(interval=timedelta(seconds=1))}, "healthcheck changed"),
        ({"resources": Resources(cpus=1.5)}, "resource limits changed"),
        ({"labels": {}}, "labels changed"),
        ({"heal": False}, "x-orchestra changed"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_change_says_what_changed(fields, reason):
    assert changes(BASE.config_hash, config_hash(replace(BASE, **fields))) == reason


@pytest.mark.parametrize("foreign", ["", "1f6a", "v2:image=0"])
def test_a_hash_of_another_version_only_differs(foreign):
    assert changes(foreign, BASE.config_hash) == "configuration changed"


def test_a_hash_is_the_same_in_every_run_and_leaves_defaults_out():
    assert container("web").config_hash == "v1:image=530f969e426aaed0,networks=ad039f8b9a68fbb3"


def test_keys_are_no_part_of_networks_and_volumes_but_names_are():
    assert network_hash(network("a", name="n")) == network_hash(network("b", name="n"))
    assert volume_hash(volume("a", name="n")) == volume_hash(volume("b", name="n"))
    assert volume_hash(volume("a", name="n")) != volume_hash(volume("a", name="m"))
    assert network_hash(network("a")) != network_hash(network("a", internal=True))


def test_a_build_is_the_same_however_its_cache_is_used():
    build = BuildSpec(context="/x", dockerfile="/x/Dockerfile")
    assert build_hash(replace(build, no_cache=True, pull=True)) == build_hash(build)
    assert build_hash(replace(build, args={"A": "1"})) != build_hash(build)
