"""Compose projects -> desired states, through the real loader."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orchestra.errors import SpecErrors
from orchestra.planner.compile import compile_project
from orchestra.planner.desired import (
    Attachment,
    Condition,
    Dependency,
    FileMount,
    HealthSpec,
    Mount,
    MountKind,
    PortSpec,
    PullPolicy,
    Resources,
    RestartMode,
    RestartPolicy,
)
from orchestra.spec.loader import LoadOptions, load_project

ROOT = Path(__file__).parents[3]


@pytest.fixture
def load(tmp_path):
    def compile_text(text, environment=(), **scale):
        (tmp_path / "compose.yaml").write_text(text)
        options = LoadOptions(files=(str(tmp_path / "compose.yaml"),), project_name="shop")
        return compile_project(
            load_project(options, dict(environment), tmp_path), scale=scale or None
        )

    return compile_text


@pytest.fixture
def service(load):
    """Compile one service, given its body as YAML lines."""

    def one(body, top="", environment=()):
        lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
        state = load(f"services:\n  web:\n    image: x\n{lines}\n{top}", environment)
        return next(spec for spec in (*state.containers, *state.idle) if spec.service == "web")

    return one


def refused(load, text):
    with pytest.raises(SpecErrors) as caught:
        load(text)
    return {str(error.location).partition(": ")[2]: error.message for error in caught.value.errors}


def test_the_sample():
    file = str(ROOT / "examples/compose_example/compose.yaml")
    options = LoadOptions(files=(file,), project_name="shop")
    state = compile_project(load_project(options, {}, ROOT))
    by_service = {spec.service: spec for spec in state.containers}
    assert sorted(by_service) == ["backend", "frontend", "mongodb", "nginx"]
    mongo, backend = by_service["mongodb"], by_service["backend"]
    assert mongo.name == "mongo_container"
    assert mongo.health == HealthSpec(
        test=("CMD", "mongosh", "--eval", "db.runCommand({ ping: 1 })"),
        interval=timedelta(seconds=10),
        timeout=timedelta(seconds=10),
        retries=5,
    )
    assert mongo.mounts == (Mount(kind=MountKind.VOLUME, target="/data/db", source="mongodb_data"),)
    assert backend.image == "shop-backend"
    assert backend.depends_on == (Dependency(service="mongodb", condition=Condition.HEALTHY),)
    assert by_service["nginx"].ports == (PortSpec(container_port=80, host_port=8000),)
    builds = {image.reference: image.build for image in state.images}
    assert builds["mongo:6"] is None
    assert builds["shop-backend"].context == str(ROOT / "examples/compose_example/backend")
    assert [volume.name for volume in state.volumes] == ["shop_mongodb_data"]
    assert [network.name for network in state.networks] == ["shop_default"]


def test_replicas_have_numbers_names_labels_and_one_hash(load):
    state = load("services: {web: {image: x, scale: 2, labels: {mine: '1'}}}")
    first, second = state.containers
    assert (first.name, second.name) == ("shop-web-1", "shop-web-2")
    assert first.config_hash == second.config_hash
    assert second.networks == (Attachment(network="default", aliases=("shop-web-2", "web")),)
    labels = second.labels
    assert labels["com.docker.compose.project"] == "shop"
    assert labels["com.docker.compose.service"] == "web"
    assert labels["com.docker.compose.container-number"] == "2"
    assert labels["com.docker.compose.oneoff"] == "False"
    assert labels["com.docker.compose.config-hash"] == second.config_hash
    assert labels["mine"] == "1"


def test_scale_overrides_the_file_and_zero_leaves_a_template(load):
    text = "services: {web: {image: x, scale: 2}, off: {image: y, deploy: {replicas: 0}}}"
    state = load(text, web=3)
    assert [spec.name for spec in state.containers] == [f"shop-web-{n}" for n in (1, 2, 3)]
    assert [spec.name for spec in state.idle] == ["shop-off-1"]


def test_a_range_of_ports_is_dealt_out(load):
    state = load("services: {web: {image: x, scale: 2, ports: ['8000-8001:80', '127.0.0.1::90']}}")
    assert [spec.ports for spec in state.containers] == [
        (
            PortSpec(container_port=80, host_port=8000 + n),
            PortSpec(container_port=90, host_ip="127.0.0.1"),
        )
        for n in (0, 1)
    ]
    with pytest.raises(SpecErrors, match="no port for replica 3"):
        load("services: {web: {image: x, scale: 3, ports: ['8000-8001:80']}}")


def test_mounts(service):
    spec = service(
        """
volumes:
  - /host:/bind:ro
  - data:/named
  - /anonymous
  - {type: tmpfs, target: /fast, tmpfs: {size: 1m, mode: 0o700}}
tmpfs: /tmp:size=1k,noexec
""",
        "volumes: {data: }",
    )
    assert {mount.target: mount for mount in spec.mounts} == {
        "/bind": Mount(kind=MountKind.BIND, target="/bind", source="/host", read_only=True),
        "/named": Mount(kind=MountKind.VOLUME, target="/named", source="data"),
        "/anonymous": Mount(kind=MountKind.VOLUME, target="/anonymous"),
        "/fast": Mount(
            kind=MountKind.TMPFS, target="/fast", tmpfs_size_bytes=2**20, tmpfs_mode=0o700
        ),
        "/tmp": Mount(kind=MountKind.TMPFS, target="/tmp", tmpfs_options=("size=1k", "noexec")),
    }


def test_volumes_from_brings_named_volumes_and_a_dependency(load):
    state = load(
        "services: {db: {image: x, volumes: ['data:/data']}, "
        "web: {image: y, volumes_from: ['db:ro']}}\nvolumes: {data: }"
    )
    web = state.containers[1]
    assert web.mounts == (
        Mount(kind=MountKind.VOLUME, target="/data", source="data", read_only=True),
    )
    assert web.depends_on == (Dependency(service="db"),)


def test_configs_and_secrets_become_files(service):
    spec = service(
        """
configs: [plain, {source: plain, target: etc/x, uid: '3', mode: 0o400}]
secrets: [token, {source: file, target: /abs}]
""",
        "configs: {plain: {content: text}}\n"
        "secrets: {token: {environment: TOKEN}, file: {file: ./f}}",
        {"TOKEN": "hush"},
    )
    files = {file.target: file for file in spec.files}
    assert files["/plain"] == FileMount(target="/plain", content="text")
    assert files["/etc/x"] == FileMount(target="/etc/x", content="text", uid=3, mode=0o400)
    assert files["/run/secrets/token"].content == "hush"
    assert files["/run/secrets/token"].secret
    assert files["/abs"].source_path is not None
    assert files["/abs"].source_path.endswith("/f")


@pytest.mark.parametrize(
    ("body", "policy", "heal"),
    [
        ("", RestartPolicy(), True),
        ('restart: "no"', RestartPolicy(), False),
        ("restart: always", RestartPolicy(mode=RestartMode.ALWAYS), True),
        (
            "restart: on-failure:3",
            RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=3),
            True,
        ),
        (
            "deploy: {restart_policy: {condition: on-failure, max_attempts: 2, delay: 5s}}",
            RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=2, delay=timedelta(seconds=5)),
            True,
        ),
        ("deploy: {restart_policy: {}}", RestartPolicy(mode=RestartMode.ALWAYS), True),
        ("x-orchestra: {on_unhealthy: ignore}", RestartPolicy(), False),
        ('restart: "no"\nx-orchestra: {on_unhealthy: restart}', RestartPolicy(), True),
    ],
)
def test_restart_and_healing(service, body, policy, heal):
    spec = service(body)
    assert (spec.restart, spec.heal) == (policy, heal)


def test_limits_come_from_the_service_or_from_deploy(service):
    own = service("mem_limit: 1m\ncpus: 3\npids_limit: 7\nmem_reservation: 1k")
    assert own.resources == Resources(
        cpus=3.0, memory_bytes=2**20, memory_reservation_bytes=2**10, pids=7
    )
    deployed = service(
        "deploy: {resources: {limits: {memory: 2m, cpus: '0.5', pids: 9}, "
        "reservations: {memory: 1m}}}"
    )
    assert deployed.resources == Resources(
        cpus=0.5, memory_bytes=2 * 2**20, memory_reservation_bytes=2**20, pids=9
    )


def test_healthcheck_disabled(service):
    assert service("healthcheck: {disable: true}").health == HealthSpec(test=("NONE",))


def test_shared_namespaces_links_and_aliases(load):
    state = load(
        "services: {db: {image: x}, side: {image: y, network_mode: 'service:db'}, "
        "web: {image: z, links: ['db:base'], networks: {default: {aliases: [www]}}}}"
    )
    by_service = {spec.service: spec for spec in state.containers}
    side, web = by_service["side"], by_service["web"]
    assert (side.network_mode, side.networks) == ("service:db", ())
    assert side.depends_on == (Dependency(service="db", restart=True),)
    assert web.links == (("db", "base"),)
    assert web.networks[0].aliases == ("shop-web-1", "web", "www")


def test_images_are_gathered_by_reference(load):
    state = load(
        "services: {a: {image: x}, b: {image: x, pull_policy: always}, "
        "c: {build: {context: ., additional_contexts: {base: 'service:d'}}}, d: {build: .}}"
    )
    images = {image.reference: image for image in state.images}
    assert sorted(images) == ["shop-c", "shop-d", "x"]
    assert images["x"].services == ("a", "b")
    assert images["x"].policy is PullPolicy.ALWAYS
    assert images["shop-c"].build.additional_contexts == {"base": "docker-image://shop-d"}


def test_inactive_services_are_known_but_not_there(load):
    state = load("services: {web: {image: x}, debug: {image: y, profiles: [p]}}")
    assert state.services == ("debug", "web")
    assert [spec.service for spec in state.containers] == ["web"]


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("provider: {type: x}", "provider"),
        ("credential_spec: {file: x}", "credential_spec"),
        ("isolation: hyperv", "isolation"),
        ("blkio_config: {weight: 10}", "blkio_config"),
        ("cgroup_parent: x", "cgroup_parent"),
        ("gpus: all", "gpus"),
        ("storage_opt: {size: 1g}", "storage_opt"),
        ("mem_swappiness: 10", "mem_swappiness"),
        ("external_links: [other]", "external_links"),
        ("post_start: [{command: x}]", "post_start"),
        ("pre_stop: [{command: x}]", "pre_stop"),
        ("deploy: {placement: {constraints: [a]}}", "deploy.placement"),
        ("deploy: {mode: global}", "deploy.mode"),
        ("network_mode: weird", "network_mode"),
        ("userns_mode: private", "userns_mode"),
        ("logging: {driver: syslog}", "logging.driver"),
        ("volumes: [{type: npipe, source: a, target: /b}]", "volumes.0.type"),
        ("volumes: ['/a:/b:z']", "volumes.0.bind.selinux"),
        ("build: {context: ., ssh: [default]}", "build.ssh"),
        ("pull_policy: daily", "pull_policy"),
        ("x-orchestra: {on_unhealthy: maybe}", "x-orchestra.on_unhealthy"),
        ("x-orchestra: {typo: 1}", "x-orchestra"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(load, body, key):
    found = refused(load, f"services: {{web: {{image: x, {body}}}}}")
    assert f"services.web.{key}" in found


def test_all_refusals_are_told_together(load):
    found = refused(load, "services: {a: {image: x, gpus: all}, b: {image: y, isolation: hyperv}}")
    assert sorted(found) == ["services.a.gpus", "services.b.isolation"]


def test_develop_is_allowed(service):
    assert service("develop: {watch: [{path: ., action: rebuild}]}\nbuild: .").service == "web"
