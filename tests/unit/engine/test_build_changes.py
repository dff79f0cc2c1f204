"""What a committed image says: its container's settings, and changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra.engine.build.changes import changed, config_of
from orchestra.errors import BuildError
from orchestra.oci.image import ImageConfig, ImageHealthcheck
from orchestra.oci.platform import Platform
from orchestra.planner.desired import ContainerSpec, HealthSpec, PortSpec

IMAGE = ImageConfig(
    platform=Platform("linux", "amd64"),
    diff_ids=(),
    env=("PATH=/bin", "A=image", "B=image"),
    entrypoint=("/entry",),
    cmd=("serve",),
    user="web",
    working_dir="/srv",
    labels={"of": "image", "kept": "yes"},
    exposed_ports=("80/tcp",),
    healthcheck=ImageHealthcheck(test=("CMD", "true"), retries=5),
    on_build=("RUN true",),
)
SPEC = ContainerSpec(
    project="shop", service="web", number=1, name="shop-web-1", image="web", config_hash=""
)


def test_a_container_that_sets_nothing_runs_as_its_image_says() -> None:
    assert config_of(IMAGE, SPEC) == replace(IMAGE, on_build=())


def test_what_a_container_sets_is_over_what_its_image_says() -> None:
    spec = replace(
        SPEC,
        environment={"B": "own", "C": "own"},
        unset=("A",),
        user="1000",
        working_dir="/work",
        labels={"of": "service"},
        stop_signal="SIGINT",
        expose=("53/udp", "8000-8001"),
        ports=(PortSpec(container_port=443),),
        health=HealthSpec(interval=timedelta(seconds=3)),
    )
    config = config_of(IMAGE, spec)
    assert config.env == ("PATH=/bin", "B=own", "C=own")
    assert (config.user, config.working_dir, config.stop_signal) == ("1000", "/work", "SIGINT")
    assert config.labels == {"of": "service", "kept": "yes"}
    assert config.exposed_ports == ("80/tcp", "53/udp", "8000/tcp", "8001/tcp", "443/tcp")
    assert config.healthcheck == ImageHealthcheck(
        test=("CMD", "true"), interval_ns=3_000_000_000, retries=5
    )


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (None, None, (("/entry",), ("serve",))),
        (None, ("other",), (("/entry",), ("other",))),
        (("/own",), None, (("/own",), None)),
        (("/own",), ("other",), (("/own",), ("other",))),
        ((), None, (None, ("serve",))),
        (("",), ("other",), (None, ("other",))),
    ],
)
def test_entrypoint_and_command(
    entrypoint: tuple[str, ...] | None,
    command: tuple[str, ...] | None,
    expected: tuple[tuple[str, ...] | None, tuple[str, ...] | None],
) -> None:
    config = config_of(IMAGE, replace(SPEC, entrypoint=entrypoint, command=command))
    assert (config.entrypoint, config.cmd) == expected


def test_changes_are_lines_of_a_dockerfile() -> None:
    lines = ["CMD echo $A", "ENV A=changed", "user nobody", "WORKDIR sub", "ONBUILD RUN false"]
    config = changed(IMAGE, lines)
    assert config.cmd == ("/bin/sh", "-c", "echo $A")
    assert config.env == ("PATH=/bin", "A=changed", "B=image")
    assert (config.user, config.working_dir) == ("nobody", "/srv/sub")
    assert config.on_build == ("RUN false",)
    assert changed(IMAGE, ()) is IMAGE


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RUN true", "RUN is no change"),
        ("COPY a b", "COPY is no change"),
        ("FROM busybox", "FROM is no change"),
        ('SHELL ["sh"]', "SHELL is no change"),
        ("NONSENSE x", "unknown instruction"),
        ("EXPOSE many", "is not a port"),
    ],
)
def test_changes_that_a_commit_cannot_make(line: str, message: str) -> None:
    with pytest.raises(BuildError, match=message) as caught:
        changed(IMAGE, ["LABEL fine=1", line])
    assert caught.value.location is not None
    assert str(caught.value.location) == "--change:2"
