"""What forces a recreate, and how it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.worlds import container, network, volume

from orchestra.planner.building import BuildSpec
from orchestra.planner.desired import Dependency, FileMount, HealthSpec
from orchestra.planner.fingerprint import (
    build_hash,
    changes,
    config_hash,
    network_hash,
    volume_hash,
)
from orchestra.planner.limits import Resources
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
        ({"environment": {"A": "1"}}, "environment changed: B"),
        ({"environment": {"A": "1", "B": "3", "C": ""}}, "environment changed: B, C"),
        ({"environment": {}}, "environment changed: A, B"),
        ({"environment": {"A": "1"}, "unset": ("B",)}, "environment changed: B"),
        ({"environment": {"A": "2", "B": "2"}, "user": "1"}, "user, environment changed: A"),
        ({"environment": {f"V{n}": "" for n in range(17)}}, "environment changed"),
        ({"environment": {"A": "1", "B": "2", "=,": ""}}, "environment changed"),
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
    assert build_hash(replace(build, no_cache_filter=("a",))) == build_hash(build)
    assert build_hash(replace(build, args={"A": "1"})) != build_hash(build)


def test_a_secret_of_a_build_is_no_part_of_its_hash():
    build = BuildSpec(context="/x", dockerfile="/x/Dockerfile")
    assert build_hash(replace(build, secret_contents={"a": "s3cr3t"})) == build_hash(build)


def test_a_hash_tells_next_to_nothing_of_a_variable():
    entries = BASE.config_hash.removeprefix("v1:").split(",")
    assert [len(entry) - len("environment.A=") for entry in entries if "." in entry] == [3, 3]


def test_where_a_secret_comes_from_and_what_a_config_holds_force_a_recreate():
    def hashed(**fields):
        return config_hash(replace(BASE, files=(FileMount(target="/x", **fields),)))

    first = hashed(source_path="/a")
    assert changes(first, hashed(source_path="/b")) == "configs or secrets changed"
    assert changes(hashed(content="a"), hashed(content="b")) == "configs or secrets changed"
    assert hashed(source_path="/a") == first
