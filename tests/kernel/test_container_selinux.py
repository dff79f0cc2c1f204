"""SELinux on a kernel that confines by it: contexts that security_opt asks for."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.cell import Cell, argv, image, open_cell, spec

from orchestra.engine.container import selinux
from orchestra.engine.state.records import ImageMount, VolumeUse
from orchestra.errors import ContainerError
from orchestra.planner.desired import FileMount, Mount, MountKind

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


def label(path: Path) -> str:
    context = os.getxattr(path, "security.selinux", follow_symlinks=False)
    return context.decode().strip("\0")


SHARED = "system_u:object_r:container_file_t:s0"
HOST = "system_u:object_r:host_t:s0"
LABELLED = {"security_opt": ("label=type:container_t",)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with what can lie in one, and a link out of it."""
    top = tmp_path / "tree"
    (top / "below/further").mkdir(parents=True)
    (top / "below/further/told").write_text("told\n")
    (top / "plain").write_text("plain\n")
    (tmp_path / "outside").write_text("outside\n")
    (top / "link").symlink_to("../outside")
    (top / "broken").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    return top


def every(top: Path) -> set[str]:
    return {label(path) for path in (top, *top.rglob("*"))}


def marked(source: Path | str, mark: str, **changes: object) -> Mount:
    return Mount(
        kind=MountKind.BIND,
        source=str(source),
        target="/host",
        selinux=mark,
        **changes,  # type: ignore[arg-type]
    )


READ = argv("exec 2>&1; cat /host/below/further/told /host/plain")


@pytest.mark.usefixtures("enforcing")
async def test_z_is_for_every_container(cell: Cell, tree: Path) -> None:
    for number in range(2):
        mount = marked(tree, "z", read_only=bool(number))
        assert await cell.run(*READ, mounts=(mount,), **LABELLED) == (0, "told\nplain\n")
        assert every(tree) == {SHARED}
    assert label(tree.parent / "outside") == HOST


@pytest.mark.usefixtures("enforcing")
async def test_a_great_z_is_for_one_container_alone(cell: Cell, tree: Path) -> None:
    record = await cell.start(
        spec(
            *argv("sleep 1000"), mounts=(marked(tree, "Z"),), security_opt=LABELLED["security_opt"]
        )
    )
    assert await cell.exec(record, *READ) == (0, "told\nplain\n")
    (own,) = every(tree)
    assert re.fullmatch(f"{SHARED}:c\\d+,c\\d+", own)
    assert (
        own.removeprefix("system_u:object_r:container_file_t:")
        in (await cell.exec(record, "/bin/sh", "-c", CURRENT))[1]
    )
    code, said = await cell.run(*READ, mounts=(marked(tree, ""),), **LABELLED)
    assert code == 1
    assert said.count("Permission denied") == 2
    assert every(tree) == {own}


async def test_without_a_label_files_get_the_policys(cell: Cell, tree: Path) -> None:
    await cell.run(*READ, mounts=(marked(tree, "z"),))
    assert every(tree) == {SHARED}
    record = await cell.start(spec(*READ, mounts=(marked(tree, "Z"),)))
    await cell.containers.wait(record)
    (own,) = every(tree)
    assert re.fullmatch(f"{SHARED}:c\\d+,c\\d+", own)
    (tree / "moved").write_text("here\n")
    os.setxattr(tree / "moved", "security.selinux", HOST.encode())
    await cell.containers.wait(await cell.containers.start(record))
    assert every(tree) == {own}


@pytest.mark.parametrize("place", ["/", "/etc", "/usr", "/var/lib", "/root"])
async def test_what_the_host_lives_by_keeps_its_labels(
    cell: Cell, tree: Path, tmp_path: Path, place: str
) -> None:
    before = label(Path(place))
    (tmp_path / "way").symlink_to(place)
    mounts = (marked(tree, "Z"), replace(marked(tmp_path / "way", "Z"), target="/other"))
    record = await cell.create(spec(*argv("true"), mounts=mounts))
    with pytest.raises(ContainerError) as caught:
        await cell.containers.start(record)
    assert caught.value.message.startswith(f'cannot relabel "{place}" for SELinux ("Z"): ')
    assert label(Path(place)) == before
    assert every(tree) == {HOST}


@pytest.mark.usefixtures("enforcing")
async def test_volumes_and_configs_can_be_read_with_a_label(cell: Cell, tree: Path) -> None:
    files = (FileMount(target="/config", content="config\n"),)
    mount = Mount(kind=MountKind.VOLUME, source="v", target="/host")
    script = f"{READ[2]}; cat /config; echo new > /host/new && cat /host/new"
    wanted = spec(*argv(script), mounts=(mount,), files=files, **LABELLED)
    record = await cell.containers.create(
        replace(wanted, project=cell.project),
        image(),
        layers=[str(cell.layer)],
        mounts={"/host": str(tree)},
        volumes=(VolumeUse(volume="v", target="/host"),),
    )
    record = await cell.containers.start(record)
    await cell.containers.wait(record)
    assert cell.output(record) == "told\nplain\nconfig\nnew\n"
    assert {label(path) for path in tree.rglob("*") if path.name != "new"} == {SHARED}


@pytest.mark.usefixtures("enforcing")
async def test_the_files_of_a_mounted_image_have_the_label(cell: Cell) -> None:
    mount = Mount(kind=MountKind.IMAGE, source="tools:1", target="/tools")
    wanted = spec(*argv("exec 2>&1; grep -c root: /tools/etc/passwd"), mounts=(mount,), **LABELLED)
    record = await cell.containers.create(
        replace(wanted, project=cell.project),
        image(),
        layers=[str(cell.layer)],
        images=(ImageMount(target="/tools", layers=(str(cell.layer),), image_id=image().id),),
    )
    record = await cell.containers.start(record)
    await cell.containers.wait(record)
    assert cell.output(record) == "1\n"
