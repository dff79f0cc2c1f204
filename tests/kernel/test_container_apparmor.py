"""AppArmor on a kernel that confines by it: the profile that is named, and ours where none is."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.cell import Cell, argv, open_cell, spec

from orchestra.engine.container import apparmor
from orchestra.engine.container.launching import private_launcher
from orchestra.engine.container.oneshot import OneShot, run_once
from orchestra.engine.container.security_options import DEFAULT_PROFILE
from orchestra.errors import ContainerError

pytestmark = [pytest.mark.kernel, pytest.mark.apparmor, pytest.mark.anyio]
CURRENT = "cat /proc/1/attr/current /proc/self/attr/current"
RULES = "file, capability, network, signal, ptrace, deny /etc/group r,"


def parser(option: str, text: str) -> None:
    argv = ["apparmor_parser", option, "--skip-cache", "--skip-read-cache"]
    subprocess.run(argv, input=text.encode(), check=True)


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened


@pytest.fixture
def profile(token: str) -> Iterator[str]:
    """A profile of the host's own, which lets everything be but /etc/group."""
    text = f"profile {token} flags=(attach_disconnected) {{ {RULES} }}\n"
    parser("--replace", text)
    yield token
    parser("--remove", text)


def loaded(name: str) -> bool:
    lines = Path("/sys/kernel/security/apparmor/profiles").read_text().splitlines()
    return f"{name} (enforce)" in lines


@pytest.mark.parametrize("init", [False, True])
@pytest.mark.parametrize("runtime", ["native", "runc"])
async def test_the_named_profile_confines(
    cell: Cell, profile: str, runtime: str, init: bool
) -> None:
    if runtime == "runc" and init:
        return  # needs a program of the host, and is no matter of ours
    script = "exec 2>&1; cat /etc/group; cat /proc/self/attr/current; exec sleep 1000"
    wanted = spec(*argv(script), security_opt=(f"apparmor={profile}",), runtime=runtime, init=init)
    record = await cell.start(wanted)
    code, output = await cell.exec(record, "/bin/cat", "/proc/self/attr/current")
    assert (code, output) == (0, f"{profile} (enforce)\n")
    code, output = await cell.exec(record, "/bin/cat", "/etc/group", privileged=True)
    assert (code, "Permission denied" in output) == (1, True)
    await cell.containers.kill(record)
    await cell.containers.wait(record)
    assert cell.output(record).endswith(f"Permission denied\n{profile} (enforce)\n")


@pytest.mark.parametrize("runtime", ["native", "runc"])
async def test_a_profile_that_is_not_loaded(cell: Cell, runtime: str) -> None:
    record = await cell.create(
        spec(*argv("true"), security_opt=("apparmor=nosuch",), runtime=runtime)
    )
    with pytest.raises(ContainerError) as caught:
        await cell.containers.start(record)
    if runtime == "native":
        assert 'AppArmor has no profile "nosuch" loaded' in caught.value.message
    else:
        assert "apparmor" in caught.value.message
    assert not any(cell.run_directory(record).glob("*.pid"))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, f"{DEFAULT_PROFILE} (enforce)"),
        ({"user": "alice"}, f"{DEFAULT_PROFILE} (enforce)"),
        ({"security_opt": ("no-new-privileges",)}, f"{DEFAULT_PROFILE} (enforce)"),
        ({"security_opt": ("apparmor=docker-default",)}, f"{DEFAULT_PROFILE} (enforce)"),
        ({"security_opt": ("apparmor=unconfined",)}, "unconfined"),
        ({"privileged": True}, "unconfined"),
        (
            {"privileged": True, "security_opt": ("apparmor=orchestra-default",)},
            f"{DEFAULT_PROFILE} (enforce)",
        ),
    ],
    ids=str,
)
async def test_what_a_container_gets(cell: Cell, changes: dict[str, object], found: str) -> None:
    assert await cell.run(*argv("cat /proc/self/attr/current"), **changes) == (0, f"{found}\n")


# What every other wall has been taken down for, so that AppArmor's is the one that stands.
NO_OTHER_WALL = {
    "cap_add": ("ALL",),
    "security_opt": ("seccomp=unconfined", "systempaths=unconfined"),
}
ALLOWED = "echo 5 > /proc/self/oom_score_adj; echo 1 > /proc/sys/kernel/shm_rmid_forced; kill -0 $$"
DENIED = (
    "mount -t tmpfs none /tmp",
    "mount -o remount,rw /sys",
    "echo h > /proc/sysrq-trigger",
    "echo 1 > /proc/sys/kernel/panic",
    "echo 1 > /proc/sys/vm/drop_caches",
    "echo 1 > /proc/sys/kernel/sysrq",
    "head -c 1 /proc/kcore",
)


@pytest.mark.parametrize("script", [ALLOWED, *DENIED])
async def test_the_default_is_the_wall_behind_the_others(cell: Cell, script: str) -> None:
    """Each is refused by nothing else: without the profile it is done."""
    code, output = await cell.run(*argv(script), **NO_OTHER_WALL)
    if script == ALLOWED:
        assert (code, output) == (0, "")
        return
    assert code != 0, output
    assert "ermission denied" in output
    free = {
        **NO_OTHER_WALL,
        "security_opt": (*NO_OTHER_WALL["security_opt"], "apparmor=unconfined"),
    }
    assert await cell.run(*argv(script + " > /dev/null"), **free) == (0, "")


async def test_of_sys_only_the_cgroups_are_written_to(cell: Cell) -> None:
    script = "mkdir /sys/fs/cgroup/x && cat /sys/kernel/rcu_expedited > /sys/kernel/rcu_expedited"
    named = {"privileged": True, "security_opt": ("apparmor=orchestra-default",)}
    code, output = await cell.run(*argv(script), **named)
    assert (code, output) == (
        1,
        "/bin/sh: can't create /sys/kernel/rcu_expedited: Permission denied\n",
    )
    assert await cell.run(*argv(script), privileged=True) == (0, "")


async def test_a_build_step_has_it_too(cell: Cell, tmp_path: Path, token: str) -> None:
    for name in ("upper", "work", "scratch"):
        (tmp_path / name).mkdir()
    shot = OneShot(
        id="step-1",
        project=token,
        directory=str(tmp_path / "scratch"),
        layers=(str(cell.layer),),
        upper=str(tmp_path / "upper"),
        work=str(tmp_path / "work"),
        args=("/bin/cat", "/proc/self/attr/current"),
    )
    output = bytearray()
    async with private_launcher() as launcher:
        await run_once(shot, launcher=launcher, output=lambda _, data: output.extend(data))
    assert output.decode() == f"{DEFAULT_PROFILE} (enforce)\n"


async def test_an_exec_and_a_kill_go_on(cell: Cell) -> None:
    script = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.1; done"
    record = await cell.start(spec(*argv(script)))
    code, output = await cell.exec(record, "/bin/sh", "-c", CURRENT)
    assert (code, output) == (0, f"{DEFAULT_PROFILE} (enforce)\n" * 2)
    ended = await cell.containers.stop(record)
    assert ended is not None
    assert ended["code"] == 3


async def test_the_default_is_loaded_again(cell: Cell) -> None:
    """Package upgrades unload what they do not know."""
    record = await cell.start(spec("/bin/sleep", "1000"))
    assert loaded(DEFAULT_PROFILE)
    text = apparmor.profile_text(own="", abi=True)
    parser("--remove", text)
    assert not loaded(DEFAULT_PROFILE)
    code, output = await cell.exec(record, "/bin/cat", "/proc/self/attr/current")
    assert (code, output) == (0, f"{DEFAULT_PROFILE} (enforce)\n")
    await cell.containers.kill(record)
    await cell.containers.wait(record)
    parser("--remove", text)
    record = await cell.containers.start(record)
    assert loaded(DEFAULT_PROFILE)


async def test_a_container_made_without_it_gets_it(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apparmor, "_PROFILES", tmp_path / "nothing")
    record = await cell.create(spec(*argv("cat /proc/self/attr/current")))
    monkeypatch.undo()
    await cell.containers.wait(await cell.containers.start(record))
    monkeypatch.setattr(apparmor, "_PROFILES", tmp_path / "nothing")
    await cell.containers.wait(await cell.containers.start(record))
    assert cell.output(record) == f"{DEFAULT_PROFILE} (enforce)\nunconfined\n"


async def test_a_profile_that_cannot_be_loaded_is_told(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = await cell.create(spec("/bin/true"))
    monkeypatch.setattr(apparmor, "_RULES", "  nonsense,\n")
    parser("--remove", apparmor.profile_text(own="", abi=True).replace("nonsense", "file"))
    with pytest.raises(
        ContainerError, match='cannot load the AppArmor profile "orchestra-default"'
    ):
        await cell.containers.start(replace(record))
    monkeypatch.undo()
    assert await cell.containers.start(record)
