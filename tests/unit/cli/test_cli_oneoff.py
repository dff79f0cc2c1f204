"""What `run` makes of a service, and which plan it needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestra.cli.oneoff import OneOff, one_off_spec
from orchestra.cli.oneoff_project import adapted_project
from orchestra.cli.oneoff_run import check, environment_of
from orchestra.errors import UsageError
from orchestra.planner.compile import compile_project
from orchestra.planner.desired import Condition, ContainerSpec, DesiredState, MountKind
from orchestra.planner.observed import ObservedState
from orchestra.planner.oneoff import split_plan, with_one_off, with_places
from orchestra.planner.options import UpOptions
from orchestra.planner.reconcile import plan_up
from orchestra.planner.steps import Gate
from orchestra.spec.loader import LoadOptions, load_project
from orchestra.spec.model.project import Project

SLUG = "0123456789abcdef" * 4
COMPOSE = """
name: shop
services:
  web:
    image: nginx
    container_name: fixed
    entrypoint: ["/entry"]
    command: ["serve"]
    environment: {A: "1", B: "2"}
    ports: ["8000:80"]
    volumes: ["data:/data", "cache:/cache"]
    restart: always
    cap_add: [NET_ADMIN]
    cap_drop: [CHOWN]
    healthcheck: {test: ["CMD", "true"]}
    networks: {default: {aliases: [www]}}
    depends_on: {db: {condition: service_healthy}}
  db:
    image: mongo
    healthcheck: {test: ["CMD", "true"]}
volumes: {data: {}, cache: {}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    return load_project(LoadOptions(services=("web",)), {}, tmp_path)


def wanted(**changes: object) -> OneOff:
    return OneOff(service="web", slug=SLUG, **changes)  # type: ignore[arg-type]


def compiled(project: Project, want: OneOff) -> tuple[DesiredState, ContainerSpec]:
    adapted = adapted_project(project, want, directory="/here", home="/root")
    desired = compile_project(adapted, scale={"web": 1})
    template = next(c for c in desired.containers if c.service == "web")
    return desired, one_off_spec(template, want)


def test_it_has_a_name_and_labels_of_its_own(project: Project) -> None:
    _, spec = compiled(project, wanted(labels=("a=b=c",)))
    assert spec.name == "shop-web-run-0123456789ab"
    labels: Mapping[str, str] = spec.labels
    assert labels["com.docker.compose.oneoff"] == "True"
    assert labels["com.docker.compose.slug"] == SLUG
    assert labels["com.docker.compose.service"] == "web"
    assert labels["a"] == "b=c"
    assert compiled(project, wanted(name="mine"))[1].name == "mine"


def test_it_is_never_restarted_probed_or_published(project: Project) -> None:
    _, spec = compiled(project, wanted())
    assert spec.restart.mode == "no"
    assert spec.health is not None
    assert spec.health.test == ("NONE",)
    assert not spec.heal
    assert spec.ports == ()


def test_nobody_finds_it_under_the_services_names(project: Project) -> None:
    _, spec = compiled(project, wanted())
    assert [place.aliases for place in spec.networks] == [(spec.name,)]
    _, spec = compiled(project, wanted(aliases=True))
    assert spec.networks[0].aliases == (spec.name, "web", "www")


@pytest.mark.parametrize(
    ("changes", "argv"),
    [
        ({}, (("/entry",), ("serve",))),
        ({"command": ("ls", "-l")}, (("/entry",), ("ls", "-l"))),
        ({"entrypoint": "sh -c"}, (("sh", "-c"), ())),
        ({"entrypoint": "sh -c", "command": ("ls",)}, (("sh", "-c"), ("ls",))),
        ({"entrypoint": ""}, ((), ())),
    ],
    ids=["service's", "command", "entrypoint", "both", "none"],
)
def test_a_new_entrypoint_drops_the_command(
    project: Project, changes: dict[str, object], argv: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    _, spec = compiled(project, wanted(**changes))
    assert (spec.entrypoint, spec.command) == argv


def test_options_change_the_process(project: Project) -> None:
    want = wanted(
        environment={"B": "3"},
        user="1000",
        workdir="/srv",
        cap_add=("CHOWN",),
        cap_drop=("NET_ADMIN",),
        tty=True,
    )
    _, spec = compiled(project, want)
    assert spec.environment == {"A": "1", "B": "3"}
    assert (spec.user, spec.working_dir, spec.tty, spec.stdin_open) == ("1000", "/srv", True, True)
    assert spec.cap_add == ("CHOWN",)
    assert spec.cap_drop == ("NET_ADMIN",)


def test_ports_are_published_when_asked_for(project: Project) -> None:
    _, spec = compiled(project, wanted(service_ports=True))
    assert [(port.host_port, port.container_port) for port in spec.ports] == [(8000, 80)]
    _, spec = compiled(project, wanted(publish=("127.0.0.1:81:80/udp",)))
    (port,) = spec.ports
    assert (port.host_ip, port.host_port, port.protocol) == ("127.0.0.1", 81, "udp")


def test_further_volumes_replace_those_of_their_target(project: Project) -> None:
    _, spec = compiled(project, wanted(volumes=("./src:/data:ro", "cache:/more")))
    mounts = {mount.target: mount for mount in spec.mounts}
    assert sorted(mounts) == ["/cache", "/data", "/more"]
    assert mounts["/data"].kind is MountKind.BIND
    assert mounts["/data"].source == "/here/src"
    assert mounts["/data"].read_only


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volumes": ("nowhere:/x",)}, 'no volume "nowhere"'),
        ({"volumes": ("a:b:c:d",)}, "--volume: "),
        ({"publish": ("many",)}, "--publish: "),
        ({"labels": ("alone",)}, '"alone" is no label'),
        ({"entrypoint": "'open"}, "--entrypoint: "),
    ],
)
def test_what_cannot_be_read_is_refused(
    project: Project, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compiled(project, wanted(**changes))


def test_an_unknown_service_is_refused_with_the_known_ones(project: Project) -> None:
    with pytest.raises(UsageError, match='no such service: "nope"') as caught:
        adapted_project(project, OneOff(service="nope", slug=SLUG), directory="/", home=None)
    assert caught.value.hint == "services here: db, web"


def _plan(project: Project, *, no_deps: bool = False) -> tuple[list[str], tuple[Gate, ...]]:
    desired, spec = compiled(project, wanted())
    state, name = with_one_off(desired, spec)
    nothing = ObservedState(project="shop", taken_at=datetime(2026, 1, 1, tzinfo=UTC))
    plan, gates = split_plan(
        plan_up(state, nothing, UpOptions(services=(name,), no_deps=no_deps)), name
    )
    return [step.id for step in plan.steps], gates


def test_dependencies_come_up_by_ups_plan_and_are_waited_for(project: Project) -> None:
    steps, gates = _plan(project)
    assert set(steps) >= {
        "pull image:nginx",
        "pull image:mongo",
        "create network:default",
        "create volume:data",
        "create container:shop-db-1",
        "start container:shop-db-1",
    }
    assert not [step for step in steps if "web" in step]
    assert gates == (Gate(service="db", condition=Condition.HEALTHY),)


def test_no_deps_leaves_dependencies_alone(project: Project) -> None:
    steps, _ = _plan(project, no_deps=True)
    assert not [step for step in steps if "db" in step or "mongo" in step]
    assert "create network:default" in steps


def test_what_was_wanted_stays_wanted(project: Project) -> None:
    desired, _ = compiled(project, wanted())
    assert with_places(None, desired) is desired
    known = compile_project(project)
    merged = with_places(known, desired)
    assert merged.containers == known.containers
    assert [volume.key for volume in merged.volumes] == ["cache", "data"]


def test_options_that_exclude_each_other_are_refused() -> None:
    check({"-a": True, "-b": False})
    with pytest.raises(UsageError, match="-a and -b cannot be combined"):
        check({"-a": True, "-b": True})


def test_variables_of_files_come_under_those_of_options(tmp_path: Path) -> None:
    file = tmp_path / "run.env"
    file.write_text("A=file\nB=$OUT\n")
    found = environment_of(["A=option", "OUT"], [str(file)], {"OUT": "side"})
    assert found == {"A": "option", "B": "side", "OUT": "side"}
    with pytest.raises(UsageError, match="--env-from-file: "):
        environment_of([], [str(tmp_path / "none")], {})
