"""Compose projects -> desired states, through the real loader."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orchestra.errors import SpecErrors
from orchestra.planner.attesting import Mode, Provenance
from orchestra.planner.building import FileRights
from orchestra.planner.compile import compile_project
from orchestra.planner.desired import (
    Attachment,
    Condition,
    Dependency,
    FileMount,
    HealthSpec,
    Hook,
    Mount,
    MountKind,
    PortSpec,
    PullPolicy,
    RestartMode,
    RestartPolicy,
    VolumesFrom,
)
from orchestra.planner.fingerprint import changes
from orchestra.planner.limits import BlockIo, BlockLimit, DeviceRequest, Resources, Ulimit
from orchestra.spec.loader import LoadOptions, load_project

ROOT = Path(__file__).parents[3]


@pytest.fixture
def load(tmp_path):
    def compile_text(text, environment=(), runtime=None, **scale):
        (tmp_path / "compose.yaml").write_text(text)
        options = LoadOptions(files=(str(tmp_path / "compose.yaml"),), project_name="shop")
        return compile_project(
            load_project(options, dict(environment), tmp_path),
            scale=scale or None,
            runtime=runtime,
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


def test_a_runtime_is_the_services_own_or_the_one_of_all(load):
    text = "services: {a: {image: x}, b: {image: x, runtime: native}, c: {image: x, runtime: crun}}"
    alone, among = load(text), load(text, runtime="runc")
    assert [spec.runtime for spec in alone.containers] == [None, None, "crun"]
    assert [spec.runtime for spec in among.containers] == ["runc", None, "crun"]
    changed = changes(alone.containers[0].config_hash, among.containers[0].config_hash)
    assert changed == "runtime changed"
    assert load(text, runtime="native") == alone


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


def test_swappiness_realtime_and_the_parent_cgroup(service):
    spec = service(
        "mem_swappiness: 30\ncpu_rt_runtime: 4000\ncpu_rt_period: 500000\ncgroup_parent: a//b/"
    )
    limits = spec.resources
    assert (limits.memory_swappiness, limits.cpu_rt_runtime_us) == (30, 4000)
    assert (limits.cpu_rt_period_us, spec.cgroup_parent) == (500_000, "/a/b")
    assert service("mem_swappiness: 0").resources.memory_swappiness is None


def test_requests_for_devices(service):
    spec = service(
        "devices: [/dev/null, acme.com/gpu=0, 'acme.com/gpu=1']\n"
        "gpus: [{driver: nvidia, device_ids: ['0']}]\n"
        "deploy: {resources: {reservations: {devices: [{capabilities: [tpu], count: 2}]}}}\n"
    )
    assert [device.source for device in spec.devices] == ["/dev/null"]
    assert spec.device_requests == (
        DeviceRequest(driver="cdi", device_ids=("acme.com/gpu=0", "acme.com/gpu=1")),
        DeviceRequest(driver="nvidia", device_ids=("0",), capabilities=("gpu",)),
        DeviceRequest(count=2, capabilities=("tpu",)),
    )
    (request,) = service("gpus: all").device_requests
    assert request == DeviceRequest(count=-1, capabilities=("gpu",))


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


def test_options_of_mounts(service):
    spec = service(
        "volumes:\n"
        "  - {type: volume, source: data, target: /a, volume: {subpath: x/y, nocopy: true}}\n"
        "  - {type: volume, target: /b, volume: {labels: {kind: cache}}}\n"
        "  - {type: bind, source: /s, target: /c, read_only: true, bind: {recursive: writable}}\n"
        "  - {type: image, source: 'tools:1', target: /d, image: {subpath: bin}}\n",
        "volumes: {data: }",
    )
    assert spec.mounts == (
        Mount(kind=MountKind.VOLUME, target="/a", source="data", subpath="x/y", nocopy=True),
        Mount(kind=MountKind.VOLUME, target="/b", labels={"kind": "cache"}),
        Mount(kind=MountKind.BIND, target="/c", source="/s", read_only=True, recursive="writable"),
        Mount(kind=MountKind.IMAGE, target="/d", source="tools:1", subpath="bin"),
    )


def test_labels_of_mounts(load):
    state = load(
        """services:
  web:
    image: x
    volumes: ["/a:/a:z", "/b:/b:ro,Z", "data:/c:Z", "/d:/d", {type: tmpfs, target: /e}]
volumes: {data: {}}
"""
    )
    assert state.warnings == ()
    (spec,) = state.containers
    assert [mount.selinux for mount in spec.mounts] == ["z", "Z", "Z", "", ""]


def test_images_that_are_mounted_are_needed(load):
    state = load("services: {a: {image: x, volumes: [{type: image, source: y, target: /y}]}}")
    assert [(image.reference, image.services) for image in state.images] == [
        ("x", ("a",)),
        ("y", ("a",)),
    ]


def test_volumes_from_containers_and_unnamed_volumes_are_looked_up_at_the_start(load):
    state = load(
        "services: {db: {image: x, volumes: [/cache]}, "
        "web: {image: y, volumes_from: ['db:ro', 'container:other-db-1']}}"
    )
    web = next(spec for spec in state.containers if spec.service == "web")
    assert web.mounts == ()
    assert web.volumes_from == (
        VolumesFrom(kind="service", name="db", read_only=True),
        VolumesFrom(kind="container", name="other-db-1"),
    )


def test_what_an_interface_gets(service):
    spec = service(
        "networks:\n"
        "  default:\n"
        "    link_local_ips: [169.254.8.8, 'fe80::8']\n"
        "    driver_opts:\n"
        "      com.docker.network.endpoint.sysctls: "
        "net.ipv4.conf.IFNAME.forwarding=1,net.ipv6.conf.IFNAME.accept_ra=2\n"
        "      com.docker.network.endpoint.ifname: lan0\n"
    )
    (place,) = spec.networks
    assert place.link_local == ("169.254.8.8", "fe80::8")
    assert place.interface_name == "lan0"
    assert place.sysctls == {
        "net.ipv4.conf.IFNAME.forwarding": "1",
        "net.ipv6.conf.IFNAME.accept_ra": "2",
    }


def test_addresses_are_written_as_the_kernel_writes_them(service):
    spec = service(
        "mac_address: 02-42-AC-11-00-FF\n"
        "ports: ['[0:0:0:0:0:0:0:0]:80:80', '[FD00::00:1]:81:81', '127.0.0.1:82:82']\n"
        "networks: {default: {link_local_ips: ['FE80::0:8']}}\n"
    )
    assert [port.host_ip for port in spec.ports] == ["::", "fd00::1", "127.0.0.1"]
    assert spec.networks[0].mac == "02:42:ac:11:00:ff"
    assert spec.networks[0].link_local == ("fe80::8",)


def test_links_to_other_projects_and_networks_by_mode(load):
    state = load(
        "services:\n"
        "  a: {image: x, external_links: [other-db-1, 'other-db-1:base']}\n"
        "  b: {image: x, network_mode: bridge, links: ['c:see']}\n"
        "  c: {image: x, network_mode: bridge}\n"
        "  d: {image: x, network_mode: mine}\n"
    )
    a, b, c, d = state.containers
    assert a.links == (("other-db-1", "base"), ("other-db-1", "other-db-1"))
    assert b.links == (("c", "see"),)
    assert [place.network for place in (*b.networks, *c.networks)] == ["_bridge"] * 2
    assert {spec.network_mode for spec in state.containers} == {""}
    networks = {network.key: network for network in state.networks}
    assert networks["_bridge"].name == "shop__bridge"
    assert d.networks[0].network == "mine"
    assert networks["mine"].external


@pytest.mark.parametrize(
    ("body", "policy", "after"),
    [
        ("pull_policy: daily", PullPolicy.REFRESH, timedelta(days=1)),
        ("pull_policy: weekly", PullPolicy.REFRESH, timedelta(weeks=1)),
        ("pull_policy: every_1w2d3h4m5s", PullPolicy.REFRESH, timedelta(9, 11045)),
        ("pull_policy: refresh", PullPolicy.MISSING, None),
        ("pull_policy: refresh\npull_refresh_after: 90m", PullPolicy.REFRESH, timedelta(0, 5400)),
        ("pull_policy: if_not_present", PullPolicy.MISSING, None),
        ("pull_policy: never", PullPolicy.NEVER, None),
    ],
)
def test_pull_policies(load, body, policy, after):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (image,) = load(f"services:\n  web:\n    image: x\n{lines}").images
    assert (image.policy, image.refresh_after, image.policy_written) == (policy, after, True)


def test_of_two_spans_the_shorter_counts(load):
    text = "services: {a: {image: x, pull_policy: weekly}, b: {image: x, pull_policy: every_2h}}"
    (image,) = load(text).images
    assert image.refresh_after == timedelta(hours=2)


def test_what_a_build_is_given(load, tmp_path):
    text = """
services:
  a:
    build:
      context: .
      ssh: [default, "key=./k"]
      privileged: true
      entitlements: [network.host]
      ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
      no_cache_filter: [one]
      secrets: [file, {source: value, target: v, uid: "5", mode: 0440}]
      additional_contexts: {l: "oci-layout://l", g: "https://h/r.git", i: "docker-image://x"}
secrets: {file: {file: ./s}, value: {environment: VALUE}}
"""
    (image,) = load(text, {"VALUE": "s3cr3t"}).images
    build = image.build
    assert build.ssh == {"default": "", "key": str(tmp_path / "k")}
    assert build.entitlements == ("network.host", "security.insecure")
    assert build.ulimits == (
        Ulimit(name="nofile", soft=1, hard=2),
        Ulimit(name="nproc", soft=3, hard=3),
    )
    assert build.no_cache_filter == ("one",)
    assert build.secrets == {"file": str(tmp_path / "s")}
    assert build.secret_contents == {"v": "s3cr3t"}
    assert build.secret_rights == {"v": FileRights(uid=5, mode=0o440)}
    assert build.additional_contexts["l"] == f"oci-layout://{tmp_path}/l"
    assert build.additional_contexts["g"] == "https://h/r.git"


def test_platforms_and_attestations_of_a_build(load):
    (image,) = load(
        "services: {a: {build: {context: ., platforms: [linux/amd64, linux/arm64], "
        "provenance: mode=min, sbom: true}}}"
    ).images
    assert image.build.platforms == ("linux/amd64", "linux/arm64")
    assert image.build.provenance == Provenance(mode=Mode.MIN)
    assert image.build.sbom
    (image,) = load(
        "services: {a: {platform: linux/arm64, build: {context: ., provenance: false}}}"
    ).images
    assert image.build.platforms == ("linux/arm64",)
    assert image.build.provenance is None
    assert not image.build.sbom


def test_the_environments_platform_is_that_of_services_that_name_none(load, tmp_path):
    text = (
        "services: {a: {image: a}, b: {image: b, platform: linux/s390x}, c: {build: .}, "
        "d: {build: {context: ., platforms: [linux/amd64, linux/arm64]}}}"
    )
    wanted = {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}
    (tmp_path / ".env").write_text("DOCKER_DEFAULT_PLATFORM=linux/arm64\n")
    for environment in (wanted, {}):
        found = {one.services[0]: one for one in load(text, environment.items()).images}
        assert [found[name].platform for name in "abcd"] == [
            "linux/arm64",
            "linux/s390x",
            "linux/arm64",
            "linux/arm64",
        ]
        assert found["c"].build.platforms == ("linux/arm64",)
        assert found["d"].build.platforms == ("linux/amd64", "linux/arm64")
    with pytest.raises(SpecErrors, match="DOCKER_DEFAULT_PLATFORM"):
        load(text, {"DOCKER_DEFAULT_PLATFORM": "linux/386"}.items())
    (tmp_path / ".env").unlink()
    assert all(one.platform is None for one in load(text).images if one.services != ("b",))


def test_attestations_that_are_not_to_be_had(load):
    text = "services: {a: {build: {context: ., sbom: generator=i, provenance: mode=x}}}"
    found = refused(load, text)
    assert "no value for sbom" in found["services.a.build.sbom"]
    assert "no value for provenance" in found["services.a.build.provenance"]


def test_a_secret_of_a_build_that_is_not_set(load):
    text = "services: {a: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {environment: NOPE}}"
    assert refused(load, text) == {
        "services.a.build.secrets[0]": 'environment variable "NOPE" is not set'
    }


@pytest.mark.parametrize(
    ("context", "dockerfile", "found"),
    [
        ("https://h/r.git#main:d", None, "Dockerfile"),
        ("git@h:o/r.git", "x/Dockerfile", "x/Dockerfile"),
        ("github.com/o/r", None, "Dockerfile"),
        ("https://h/c.tar.gz", None, "Dockerfile"),
    ],
)
def test_a_remote_context_has_its_dockerfile_inside(load, context, dockerfile, found):
    more = f", dockerfile: {dockerfile}" if dockerfile else ""
    (image,) = load(f"services: {{a: {{build: {{context: '{context}'{more}}}}}}}").images
    assert (image.build.context, image.build.dockerfile) == (context, found)


def test_inactive_services_are_known_but_not_there(load):
    state = load("services: {web: {image: x}, debug: {image: y, profiles: [p]}}")
    assert state.services == ("debug", "web")
    assert [spec.service for spec in state.containers] == ["web"]


def test_block_io(service):
    disk = "path: /dev/sda"
    spec = service(
        f"blkio_config: {{weight: 300, weight_device: [{{{disk}, weight: 400}}], "
        f"device_read_bps: [{{{disk}, rate: 12mb}}], device_read_iops: [{{{disk}, rate: 120}}], "
        f"device_write_bps: [{{{disk}, rate: 1k}}], device_write_iops: [{{{disk}, rate: 30}}]}}"
    )

    def limit(value):
        return (BlockLimit(path="/dev/sda", value=value),)

    assert spec.resources.block_io == BlockIo(
        weight=300,
        weights=limit(400),
        read_bps=limit(12 << 20),
        write_bps=limit(1024),
        read_iops=limit(120),
        write_iops=limit(30),
    )


def test_hooks(service):
    hook = "{command: echo 'a b', user: root, working_dir: /w, environment: {B: 2, A: 1, C: }}"
    spec = service(f"post_start: [{hook}]\npre_stop: [{{command: [x], privileged: true}}]")
    expected = Hook(
        command=("echo", "a b"), user="root", working_dir="/w", environment={"A": "1", "B": "2"}
    )
    assert spec.post_start == (expected,)
    assert spec.pre_stop == (Hook(command=("x",), privileged=True),)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("provider: {type: x}", "provider"),
        ("isolation: hyperv", "isolation"),
        ("cgroup_parent: ../x", "cgroup_parent"),
        ("devices: [gpu0]", "devices[0]"),
        ("storage_opt: {size: much}", "storage_opt.size"),
        ("storage_opt: {size: 1g, colour: red}", "storage_opt.colour"),
        ("mac_address: 'x }; flush ruleset; #'", "mac_address"),
        ("networks: {default: {mac_address: 02-42-AC}}", "networks.default.mac_address"),
        ("ports: [{target: 80, protocol: 'tcp }; flush ruleset; #'}]", "ports[0].protocol"),
        (
            "networks: {default: {link_local_ips: ['fe80::1%x }; flush ruleset; #']}}",
            "networks.default.link_local_ips[0]",
        ),
        ("mem_swappiness: 101", "mem_swappiness"),
        ("cpu_rt_runtime: 1000001", "cpu_rt_runtime"),
        ("networks: {default: {link_local_ips: [x]}}", "networks.default.link_local_ips[0]"),
        ("networks: {default: {driver_opts: {a: b}}}", "networks.default.driver_opts.a"),
        (
            "networks: {default: {driver_opts: {com.docker.network.endpoint.sysctls: a=b}}}",
            "networks.default.driver_opts.com.docker.network.endpoint.sysctls",
        ),
        ("userns_mode: private", "userns_mode"),
        ("logging: {driver: splunk}", "logging.driver"),
        (
            "volumes: [{type: bind, source: /a, target: /b, bind: {recursive: readonly}}]",
            "volumes[0].bind.recursive",
        ),
        ("volumes: [{type: npipe, source: a, target: /b}]", "volumes[0].type"),
        ("build: {context: ., entitlements: [devices]}", "build.entitlements[0]"),
        ("build: {context: ., provenance: max}", "build.provenance"),
        ("x-orchestra: {on_unhealthy: maybe}", "x-orchestra.on_unhealthy"),
        ("x-orchestra: {typo: 1}", "x-orchestra"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(load, body, key):
    found = refused(load, f"services: {{web: {{image: x, {body}}}}}")
    assert f"services.web.{key}" in found


@pytest.mark.parametrize(
    ("size", "found"), [("1g", 1 << 30), ("1.5M", 3 << 19), ("4096", 4096), ("0", None)]
)
def test_a_layers_size(service, size, found):
    assert service(f"storage_opt: {{size: {size}}}").storage_bytes == found


def test_all_refusals_are_told_together(load):
    found = refused(
        load, "services: {a: {image: x, use_api_socket: true}, b: {image: y, isolation: hyperv}}"
    )
    assert sorted(found) == ["services.a.use_api_socket", "services.b.isolation"]


@pytest.mark.parametrize(
    ("body", "key", "why"),
    [
        ("deploy: {mode: global}", "deploy.mode", '"global" has no effect here, it is for Swarm'),
        ("deploy: {update_config: {order: start-first}}", "deploy.update_config", "Swarm"),
        ("deploy: {rollback_config: {parallelism: 1}}", "deploy.rollback_config", "Swarm"),
        ("deploy: {placement: {constraints: [a]}}", "deploy.placement", "Swarm"),
        ("deploy: {endpoint_mode: vip}", "deploy.endpoint_mode", "Swarm"),
        ("deploy: {labels: {a: b}}", "deploy.labels", "the service's own labels"),
        (
            "deploy: {resources: {reservations: {cpus: '1'}}}",
            "deploy.resources.reservations.cpus",
            "Swarm",
        ),
        (
            "build: {context: ., cache_from: [type=gha]}",
            "build.cache_from[0]",
            'type "gha" is not supported',
        ),
        (
            "build: {context: ., cache_to: ['type=s3,bucket=b']}",
            "build.cache_to[0]",
            'type "s3" is not supported',
        ),
        ("volumes: [{type: volume, target: /b, bind: {selinux: z, propagation: rslave}}]",
         "volumes[0].bind", 'the mount is a "volume"'),
        (
            "volumes: [{type: bind, source: /a, target: /b, consistency: cached}]",
            "volumes[0].consistency",
            "Docker Desktop",
        ),
        ("volumes: [{type: bind, source: /a, target: /b, volume: {nocopy: true}}]",
         "volumes[0].volume", 'the mount is a "bind"'),
        ("ports: [{target: 80, name: web}]", "ports[0].name", "describes"),
        ("ports: [{target: 80, app_protocol: http}]", "ports[0].app_protocol", "describes"),
        ("cpu_percent: 10", "cpu_percent", "Windows"),
        ("credential_spec: {file: x}", "credential_spec", "Windows"),
    ],
)  # fmt: skip
def test_what_docker_compose_leaves_aside_is_warned_of_and_goes_on(load, body, key, why):
    state = load(f"services: {{web: {{image: x, {body}}}}}")
    (warning,) = state.warnings
    place, _, text = warning.partition(f" services.web.{key}: ")
    assert place.endswith("compose.yaml:1:" + place.rsplit(":", 2)[-2] + ":")
    assert "has no effect here, " in text
    assert why in text
    assert [spec.service for spec in state.containers] == ["web"]


def test_warnings_of_what_is_at_the_top_and_their_order(load):
    state = load(
        """services:
  web:
    image: x
    networks: [front]
    deploy:
      endpoint_mode: vip
networks:
  front:
    attachable: true
"""
    )
    assert [warning.rpartition("compose.yaml:")[2] for warning in state.warnings] == [
        "6:7: services.web.deploy.endpoint_mode: has no effect here, it is for Swarm",
        "9:5: networks.front.attachable: has no effect here, it is for Swarm",
    ]


def test_a_plain_file_warns_of_nothing(load):
    state = load(
        "services: {web: {image: x, ports: ['80', '81:81/udp'], volumes: ['/a:/b', 'd:/d'], "
        "deploy: {mode: replicated, replicas: 1}, tmpfs: /t}}\nvolumes: {d: }"
    )
    assert state.warnings == ()


def test_errors_carry_place_and_hint_and_come_in_file_order(load, tmp_path):
    text = """services:
  web:
    image: x
    ports:
      - "80"
      - {target: 81, published: "90-91"}
    scale: 3
    restart: sometimes
  api:
    image: y
    use_api_socket: true
    logging:
      driver: gelf
  "a.b":
    image: z
    secrets: [token]
secrets:
  token:
    external: true
"""
    with pytest.raises(SpecErrors) as caught:
        load(text)
    file = tmp_path / "compose.yaml"
    assert [str(error.location) for error in caught.value.errors] == [
        f"{file}:6:22: services.web.ports[1].published",
        f"{file}:8:5: services.web.restart",
        f"{file}:11:5: services.api.use_api_socket",
        f"{file}:13:7: services.api.logging.driver",
        f"{file}:16:15: services.a.b.secrets[0]",
    ]
    assert all(error.hint for error in caught.value.errors)


def test_places_follow_a_key_into_the_file_that_set_it(tmp_path):
    (tmp_path / "one.yaml").write_text("services:\n  web:\n    image: x\n")
    (tmp_path / "two.yaml").write_text("services:\n  web:\n\n    use_api_socket: true\n")
    options = LoadOptions(files=("one.yaml", "two.yaml"), project_name="shop")
    with pytest.raises(SpecErrors) as caught:
        compile_project(load_project(options, {}, tmp_path))
    assert (
        str(caught.value.errors[0].location)
        == f"{tmp_path}/two.yaml:4:5: services.web.use_api_socket"
    )


def test_places_are_no_part_of_what_a_project_is(tmp_path):
    text = "services: {web: {image: x}}"
    (tmp_path / "compose.yaml").write_text(text)
    first = load_project(LoadOptions(project_name="shop"), {}, tmp_path)
    (tmp_path / "compose.yaml").write_text("\n\n" + text)
    second = load_project(LoadOptions(project_name="shop"), {}, tmp_path)
    assert first == second
    assert "Places(" not in repr(first)
    assert first.places.location(("services", "web")).line == 1
    assert second.places.location(("services", "web")).line == 3


def test_an_optional_dependency_that_is_not_active_is_left_out(load):
    state = load(
        "services: {web: {image: x, depends_on: {db: {condition: service_healthy, "
        "required: false}, log: {condition: service_started}}}, "
        "db: {image: y, profiles: [p]}, log: {image: z}}"
    )
    web = next(spec for spec in state.containers if spec.service == "web")
    assert web.depends_on == (Dependency(service="log"),)
    assert web.labels["com.docker.compose.depends_on"] == "log:service_started:false"


def test_variables_without_a_value_are_unset(service):
    spec = service(
        "environment: {A: '1', EMPTY: '', FROM_SHELL: , GONE: }",
        environment={"FROM_SHELL": "x"},
    )
    assert spec.environment == {"A": "1", "EMPTY": "", "FROM_SHELL": "x"}
    assert spec.unset == ("GONE",)


def test_develop_is_allowed(service):
    assert service("develop: {watch: [{path: ., action: rebuild}]}\nbuild: .").service == "web"
