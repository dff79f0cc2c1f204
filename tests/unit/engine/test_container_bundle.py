"""Bundles: golden documents for whole containers, tables for the rules they are made by."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestra.engine.container.arguments import (
    DEFAULT_PATH,
    merge_argv,
    merge_environment,
    shell_form,
)
from orchestra.engine.container.bundle import (
    Surroundings,
    make_config,
    network_sysctls,
    user_of,
)
from orchestra.engine.container.limits import device_rules, linux_resources, rlimits
from orchestra.engine.container.mounts import file_mounts, user_mounts
from orchestra.engine.container.plain_process import exec_process
from orchestra.engine.container.security_options import (
    DEFAULT_PROFILE,
    Contexts,
    Security,
    parse_security,
)
from orchestra.engine.container.signals import signal_number
from orchestra.engine.container.users import ResolvedUser, UserFiles, resolve_user
from orchestra.errors import ContainerError
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform
from orchestra.planner.desired import (
    ContainerSpec,
    FileMount,
    Mount,
    MountKind,
)
from orchestra.planner.limits import Resources, Ulimit

ID = "0123456789ab" + "c" * 52
IMAGE = ImageConfig(
    platform=Platform("linux", "amd64"),
    diff_ids=(),
    env=("PATH=/bin", "LANG=C"),
    entrypoint=("/entry",),
    cmd=("serve",),
    working_dir="/srv",
)
FILES = UserFiles(
    passwd=(
        ("root", "x", "0", "0", "", "/root", "/bin/sh"),
        ("app", "x", "1000", "1001", "", "/home/app", "/bin/sh"),
    ),
    group=(("root", "x", "0", ""), ("app", "x", "1001", ""), ("tty", "x", "5", "app,other")),
)


def container(**changes: Any) -> ContainerSpec:
    base: dict[str, Any] = {
        "project": "shop",
        "service": "web",
        "number": 1,
        "name": "shop-web-1",
        "image": "web",
        "config_hash": "",
    }
    return ContainerSpec(**(base | changes))


def config(spec: ContainerSpec, user: ResolvedUser | None = None, *, apparmor: str = "") -> Any:
    around = Surroundings(
        container_id=ID,
        cgroup_path=f"/orchestra/shop/{ID}",
        mounts=[
            *user_mounts(spec.mounts, {"/data": "/volumes/data/_data"}),
            *file_mounts(spec.files, "/run/shop/files"),
        ],
        seccomp={"defaultAction": "SCMP_ACT_ERRNO"},
        thermal=("/sys/devices/system/cpu/cpu0/thermal_throttle",),
        apparmor=apparmor,
    )
    return make_config(spec, IMAGE, user=user or ResolvedUser(), around=around)


def test_the_hosts_init_runs_the_program_where_the_runtime_has_none() -> None:
    around = Surroundings(container_id=ID, cgroup_path="/x", init_program="/usr/bin/tini-static")
    made = make_config(container(init=True), IMAGE, user=ResolvedUser(), around=around)
    assert made["process"]["args"][:2] == ["/sbin/docker-init", "--"]
    assert made["mounts"][-1] == {
        "destination": "/sbin/docker-init",
        "type": "bind",
        "source": "/usr/bin/tini-static",
        "options": ["bind", "ro", "nosuid", "nodev"],
    }
    assert "annotations" not in made


PLAIN = container()
FULL = container(
    command=("run",),
    environment={"LANG": "de", "EMPTY": ""},
    hostname="web",
    domainname="example.org",
    mounts=(
        Mount(kind=MountKind.VOLUME, target="/data", source="data"),
        Mount(kind=MountKind.BIND, target="/data/in", source="/host", read_only=True),
        Mount(kind=MountKind.TMPFS, target="/cache", tmpfs_size_bytes=1024, tmpfs_mode=0o700),
    ),
    files=(FileMount(target="/run/secrets/key", content="x", secret=True),),
    tty=True,
    init=True,
    read_only=True,
    cap_add=("NET_ADMIN",),
    cap_drop=("MKNOD",),
    security_opt=("no-new-privileges:true",),
    ulimits=(Ulimit(name="nofile", soft=10, hard=20),),
    sysctls={"kernel.shm_rmid_forced": "1", "net.core.somaxconn": "10"},
    shm_size_bytes=1 << 20,
    resources=Resources(cpus=1.5, memory_bytes=1 << 26, pids=50, oom_score_adj=100),
    annotations={"a": "b"},
)
PRIVILEGED = container(privileged=True, pid_mode="host", ipc_mode="host", uts_mode="host")


@pytest.mark.parametrize(
    ("name", "spec"),
    [("plain", PLAIN), ("full", FULL), ("privileged", PRIVILEGED)],
    ids=["plain", "full", "privileged"],
)
def test_whole_documents(
    name: str, spec: ContainerSpec, golden: Callable[[str, str], None]
) -> None:
    user = ResolvedUser(uid=1000, gid=1001, groups=(1001, 5), home="/home/app")
    document = config(spec, user if name == "full" else None)
    golden(f"bundles/container_{name}.json", json.dumps(document, indent=1) + "\n")


@pytest.mark.parametrize(
    ("entrypoint", "command", "argv"),
    [
        (None, None, "/entry serve"),
        (None, ("x",), "/entry x"),
        (("/own",), None, "/own"),
        (("/own",), ("x",), "/own x"),
        ((), None, "serve"),
        (("",), None, "serve"),
        ((), ("x",), "x"),
        (None, (), "/entry"),
    ],
)
def test_argv_is_merged_as_docker_does(
    entrypoint: tuple[str, ...] | None, command: tuple[str, ...] | None, argv: str
) -> None:
    assert " ".join(merge_argv(entrypoint, command, ("/entry",), ("serve",))) == argv


def test_nothing_to_run_is_an_error() -> None:
    with pytest.raises(ContainerError, match="names a command"):
        merge_argv(None, None, None, None)


def test_the_project_s_environment_wins_and_order_stays() -> None:
    lines = merge_environment(
        ("A=1", "PATH=/x", "B=2"), {"B": "3", "C": "4"}, hostname="h", home="/root", tty=False
    )
    assert lines == ["PATH=/x", "HOSTNAME=h", "A=1", "B=3", "C=4", "HOME=/root"]


def test_a_variable_without_a_value_is_taken_away() -> None:
    lines = merge_environment(
        ("A=1", "B=2"), {"B": "3"}, ("A", "HOSTNAME"), hostname="h", home="/root", tty=False
    )
    assert lines == [f"PATH={DEFAULT_PATH}", "B=3", "HOME=/root"]


def test_shell_form() -> None:
    assert shell_form("a b", None) == ("/bin/sh", "-c", "a b")
    assert shell_form("a b", ("/bin/bash", "-lc")) == ("/bin/bash", "-lc", "a b")


@pytest.mark.parametrize(
    ("text", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, (0,), "/root"),
        ("app", 1000, 1001, (1001, 5), "/home/app"),
        ("1000", 1000, 1001, (1001, 5), "/home/app"),
        ("app:tty", 1000, 5, (5,), "/home/app"),
        ("app:0", 1000, 0, (0,), "/home/app"),
        ("4321", 4321, 0, (0,), "/"),
        ("4321:99", 4321, 99, (99,), "/"),
    ],
)
def test_users(text: str, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
    assert resolve_user(text, FILES) == ResolvedUser(uid=uid, gid=gid, groups=groups, home=home)


@pytest.mark.parametrize("text", ["nobody", "app:nogroup", "-1", "4294967296", "٣"])
def test_unknown_users(text: str) -> None:
    with pytest.raises(ContainerError):
        resolve_user(text, FILES)


def test_added_groups_by_name_and_id() -> None:
    assert resolve_user("app", FILES, ["root", "77"]).groups == (1001, 5, 0, 77)


def test_security_options() -> None:
    assert parse_security(["no-new-privileges"]) == Security(no_new_privileges=True)
    assert parse_security(["no-new-privileges:false"]) == Security()
    assert parse_security(["seccomp=unconfined"]).seccomp == "unconfined"
    assert parse_security(["seccomp:/a=b.json"]).seccomp == "/a=b.json"
    assert parse_security(["systempaths=unconfined"]).unmasked


@pytest.mark.parametrize(
    ("option", "profile"),
    [
        ("apparmor=mine", "mine"),
        ("apparmor:mine", "mine"),
        ("apparmor=unconfined", None),
        ("apparmor=docker-default", DEFAULT_PROFILE),
        ("apparmor=orchestra-default", DEFAULT_PROFILE),
        ("no-new-privileges", DEFAULT_PROFILE),
    ],
)
def test_a_profile_of_apparmor(option: str, profile: str | None) -> None:
    wanted = container(security_opt=(option,))
    process = config(wanted, apparmor=DEFAULT_PROFILE)["process"]
    assert process.get("apparmorProfile") == profile
    bare = config(wanted)["process"].get("apparmorProfile")
    assert bare == ("mine" if profile == "mine" else None)


def test_a_privileged_container_has_the_profile_that_it_names() -> None:
    free = config(container(privileged=True), apparmor=DEFAULT_PROFILE)["process"]
    assert "apparmorProfile" not in free
    named = container(privileged=True, security_opt=("apparmor=mine",))
    assert config(named, apparmor=DEFAULT_PROFILE)["process"]["apparmorProfile"] == "mine"


def test_an_exec_has_the_labels_of_the_container() -> None:
    """The native runtime adds them by itself; runc takes a process as it is given."""
    base = config(container(), apparmor=DEFAULT_PROFILE)
    base["process"]["selinuxLabel"] = "u:r:t:s0"
    for privileged in (False, True):
        process = exec_process(base, ["id"], environment={}, privileged=privileged)
        assert process["apparmorProfile"] == DEFAULT_PROFILE
        assert process["selinuxLabel"] == "u:r:t:s0"


@pytest.mark.parametrize(
    "option",
    ["apparmor=", "label=", "label=type:", "label=kind:x", "label=nested", "nonsense", "seccomp="],
)
def test_unknown_security_options_are_refused(option: str) -> None:
    with pytest.raises(ContainerError, match="is not supported"):
        parse_security([option])


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        (["label=disable"], ("disable",)),
        (["label:user:me", "label=type:svirt_t"], ("user:me", "type:svirt_t")),
        (["label=level:s0:c1,c2", "label=role:r"], ("level:s0:c1,c2", "role:r")),
        (["label=filetype:usr_t"], ("filetype:usr_t",)),
    ],
)
def test_labels_of_selinux(options: list[str], labels: tuple[str, ...]) -> None:
    assert parse_security(options).labels == labels


def test_contexts_are_of_the_process_and_of_its_mounts() -> None:
    around = Surroundings(container_id=ID, cgroup_path="/x", contexts=Contexts("p", "f"))
    made = make_config(container(), IMAGE, user=ResolvedUser(), around=around)
    assert (made["process"]["selinuxLabel"], made["linux"]["mountLabel"]) == ("p", "f")


def test_net_sysctls_are_the_shims() -> None:
    assert config(FULL)["linux"]["sysctl"] == {"kernel.shm_rmid_forced": "1"}
    assert network_sysctls(FULL.sysctls)["net.core.somaxconn"] == "10"
    assert network_sysctls({})["net.ipv4.ip_unprivileged_port_start"] == "0"


def test_limits() -> None:
    limits = Resources(memory_bytes=100, memory_swap_bytes=-1, cpuset="0", cpu_quota_us=5)
    found = linux_resources(limits, [])
    assert found["memory"] == {"limit": 100, "swap": -1}
    assert found["cpu"] == {"quota": 5, "cpus": "0"}
    assert "pids" not in found


def test_rlimits_without_end_and_wrong_ones() -> None:
    unlimited = rlimits([Ulimit(name="core", soft=-1, hard=-1)])[0]
    assert unlimited["hard"] == 2**64 - 1
    for wrong in (Ulimit(name="files", soft=1, hard=1), Ulimit(name="core", soft=2, hard=1)):
        with pytest.raises(ContainerError):
            rlimits([wrong])


def test_device_rules() -> None:
    rule = device_rules((), ["b 8:* r"], privileged=False)[-1]
    assert rule == {"allow": True, "access": "r", "type": "b", "major": 8}
    assert device_rules((), (), privileged=False)[0] == {"allow": False, "access": "rwm"}
    with pytest.raises(ContainerError, match="device cgroup rule"):
        device_rules((), ["c 1"], privileged=False)


def test_an_exec_keeps_the_walls_and_changes_the_rest() -> None:
    document = config(FULL)
    process = exec_process(document, ["ls"], environment={"A": "b"}, cwd="in")
    base = document["process"]
    assert process["capabilities"] == base["capabilities"]
    assert process["user"] == base["user"]
    assert process["cwd"] == "/in"
    assert process["noNewPrivileges"] is True
    assert process["env"] == [*base["env"], "A=b"]
    other = exec_process(
        document, ["ls"], environment={}, user=user_of(ResolvedUser(uid=7)), home="/h"
    )
    assert "effective" in other["capabilities"]
    assert other["capabilities"]["effective"] == []
    assert "HOME=/h" in other["env"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("rtmax-1", 63)],
)
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGNOPE", "RTMIN+99"])
def test_no_signals(text: str) -> None:
    with pytest.raises(ContainerError, match="there is no signal"):
        signal_number(text)
