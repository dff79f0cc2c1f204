"""SELinux on a kernel that confines by it: contexts that security_opt asks for."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.cell import Cell, argv, open_cell, spec

from orchestra.engine.container import selinux
from orchestra.errors import ContainerError
from orchestra.planner.desired import Mount, MountKind

pytestmark = [pytest.mark.kernel, pytest.mark.selinux, pytest.mark.anyio]
CURRENT = "tr -d '\\0' < /proc/self/attr/current; echo"
LEVEL = r"s0:c\d+,c\d+"
ENFORCE = Path("/sys/fs/selinux/enforce")


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened


@pytest.fixture
def enforcing() -> Iterator[None]:
    before = ENFORCE.read_text()
    ENFORCE.write_text("1")
    yield
    ENFORCE.write_text(before)


@pytest.mark.parametrize(
    ("options", "process", "files"),
    [
        ((), "system_u:system_r:host_t:s0", "system_u:object_r:host_t:s0"),
        (("label=disable",), "system_u:system_r:host_t:s0", "system_u:object_r:host_t:s0"),
        (
            ("label=type:container_t",),
            f"system_u:system_r:container_t:{LEVEL}",
            f"system_u:object_r:container_file_t:{LEVEL}",
        ),
        (
            ("label=user:other_u", "label=role:other_r", "label=type:other_t"),
            f"other_u:other_r:other_t:{LEVEL}",
            f"other_u:object_r:container_file_t:{LEVEL}",
        ),
        (
            ("label=level:s0:c7,c8", "label=filetype:other_file_t"),
            "system_u:system_r:container_t:s0:c7,c8",
            "system_u:object_r:other_file_t:s0:c7,c8",
        ),
    ],
    ids=str,
)
async def test_contexts(cell: Cell, options: tuple[str, ...], process: str, files: str) -> None:
    record = await cell.start(spec(*argv(f"{CURRENT}; exec sleep 1000"), security_opt=options))
    code, output = await cell.exec(record, "/bin/sh", "-c", CURRENT)
    assert code == 0
    assert re.fullmatch(process, output.strip())
    pid = cell.pid(record, "init.pid")
    for path in ("/", "/bin/busybox", "/dev/shm", "/tmp"):
        context = os.getxattr(f"/proc/{pid}/root{path}", "security.selinux").decode().strip("\0")
        assert re.fullmatch(files, context), (path, context)


async def test_levels_are_ones_own(cell: Cell) -> None:
    wanted = {"security_opt": ("label=type:container_t",)}
    found = {await cell.run(*argv(CURRENT), **wanted) for _ in range(3)}
    assert len(found) == 3


@pytest.mark.usefixtures("enforcing")
async def test_a_container_opens_its_own_files_alone(cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("told\n")
    mount = Mount(kind=MountKind.BIND, source=str(tmp_path), target="/host")
    script = "exec 2>&1; cat /etc/passwd > /dev/null && echo fine; cat /host/secret; cat /etc/hosts"
    plain = await cell.run(*argv(script), mounts=(mount,))
    assert plain[1].startswith("fine\ntold\n")
    wanted = {"security_opt": ("label=type:container_t",)}
    code, output = await cell.run(*argv(script), mounts=(mount,), **wanted)
    assert output.startswith("fine\ncat: can't open '/host/secret': Permission denied\n")
    assert code == 0


@pytest.mark.parametrize("option", ["label=type:nosuch_t", "label=user:nosuch_u", "label=level:s9"])
async def test_what_the_policy_does_not_know(cell: Cell, option: str) -> None:
    with pytest.raises(ContainerError) as caught:
        await cell.create(spec(*argv("true"), security_opt=(option,)))
    assert caught.value.message.startswith(f'cannot set the label "{option.partition("=")[2]}"')


async def test_a_policy_without_containers(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(selinux, "_CONTEXTS", tmp_path / "none")
    with pytest.raises(ContainerError, match="has no contexts for containers"):
        await cell.create(spec(*argv("true"), security_opt=("label=type:container_t",)))
