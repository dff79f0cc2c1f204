"""CVE-2019-5736: what starts containers is out of their reach, whichever way they start something.

A script with /proc/self/exe as its interpreter line runs as the very program that executed it: the
host's Python. Given its libraries, it does, and tries to open that program for writing.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from support.cell import Cell, make_root, open_cell, spec

import orchestra
from orchestra.engine.container.healthcheck import probe
from orchestra.engine.container.launching import LauncherClient, private_launcher
from orchestra.engine.container.oneshot import OneShot, run_once
from orchestra.engine.container.spawning import run_launcher
from orchestra.engine.shim import wire

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

# O_TRUNC asks the mount before anybody asks whether the file is being executed (ETXTBSY), which
# protects only while it runs. Its own link and those of all processes in sight are tried.
ATTACK = """#!/proc/self/exe
import os, sys
own = os.stat("/proc/self/exe")
for pid in ["self", *filter(str.isdigit, os.listdir("/proc"))]:
    path = f"/proc/{pid}/exe"
    try:
        if not os.path.samestat(own, os.stat(path)):
            continue
        for flags in (os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_TRUNC):
            try:
                os.open(path, flags)
                print(pid, 0)
            except OSError as err:
                print(pid, err.errno)
        if os.access(path, os.W_OK):
            print(pid, "writable")
    except FileNotFoundError:
        pass
    except PermissionError as err:
        print(pid, err.errno)
print("tried", sys.version_info[0])
"""
REFUSED = {errno.EROFS, errno.EPERM, errno.EACCES}
HOME = sys.base_prefix


def arm(layer: Path) -> Path:
    """Put the script into a root, with all that the host's Python needs to run there."""
    program = os.path.realpath(sys.executable)
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", linked):
        target = layer / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    standard = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
    inside = layer / "py" / standard
    names = ("encodings", "collections", "importlib", "lib-dynload", "re", "json")
    for name in names:
        shutil.copytree(Path(HOME) / standard / name, inside / name)
    for file in (Path(HOME) / standard).glob("*.py"):
        shutil.copy(file, inside)
    script = layer / "attack"
    script.write_text(ATTACK)
    script.chmod(0o755)
    return layer


def check(output: str) -> None:
    """Judge what an attack has printed: it ran, and every attempt was refused for good."""
    *tries, last = output.splitlines()
    assert last == "tried 3", output
    found = [line.split() for line in tries]
    assert len({pid for pid, _ in found}) >= 2, output
    assert {answer for _, answer in found} <= {str(number) for number in REFUSED}, output


ENVIRONMENT = {"PYTHONHOME": "/py", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        arm(opened.layer)
        yield opened


async def test_a_service_gets_no_handle_on_the_interpreter(cell: Cell) -> None:
    code, output = await cell.run("/attack", environment=ENVIRONMENT)
    check(output)
    assert code == 0


async def test_exec_gets_no_handle_on_the_interpreter(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000", environment=ENVIRONMENT, init=True))
    code, output = await cell.exec(record, "/attack")
    check(output)
    assert code == 0
    # pid 1 is ours, not the container's: it cannot even be looked at.
    assert f"1 {errno.EACCES}" in output.splitlines()


async def test_a_healthcheck_gets_no_handle_on_the_interpreter(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000", environment=ENVIRONMENT))
    result = await probe(cell.paths, record, ("CMD", "/attack"), timedelta(seconds=60))
    check(result.output)
    assert result.exit_code == 0


async def test_a_build_step_gets_no_handle_on_the_interpreter(tmp_path: Path, token: str) -> None:
    layer = arm(make_root(tmp_path / "layer"))
    for name in ("upper", "work", "scratch"):
        (tmp_path / name).mkdir()
    shot = OneShot(
        id="step-1",
        project=token,
        directory=str(tmp_path / "scratch"),
        layers=(str(layer),),
        upper=str(tmp_path / "upper"),
        work=str(tmp_path / "work"),
        args=("/attack",),
        env=tuple(f"{key}={value}" for key, value in ENVIRONMENT.items()),
    )
    output = bytearray()
    async with private_launcher() as launcher:
        code = await run_once(shot, launcher=launcher, output=lambda _, data: output.extend(data))
    check(output.decode())
    assert code == 0


def is_read_only(pid: int) -> bool:
    """Tell whether a process runs from a place that cannot be written to."""
    return bool(os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY)


async def test_launcher_and_shim_run_from_the_protected_place(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    assert is_read_only(cell.launcher_pid)
    assert is_read_only(cell.pid(record, "shim.pid"))


@pytest.mark.parametrize("protected", [True, False], ids=["as we start it", "started bare"])
def test_a_private_launcher_is_protected(protected: bool) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    arguments = ["private", "/", str(theirs.fileno())]
    with closing(ours):
        with closing(theirs):
            child = (
                run_launcher(arguments, (theirs.fileno(),), new_session=True)
                if protected
                else subprocess.Popen(
                    [sys.executable, "-m", "orchestra.engine.launcher", *arguments],
                    pass_fds=(theirs.fileno(),),
                    cwd=Path(orchestra.__file__).parent.parent,
                )
            )
            conversation, passed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with closing(passed):
                wire.send(ours, {"op": "connect"}, (passed.fileno(),))
        with closing(conversation):
            conversation.settimeout(60)
            wire.send(conversation, {"op": "nothing"})
            assert wire.receive(conversation) is not None
            found = is_read_only(child.pid)
    assert child.wait(60) == 0
    assert found


async def test_the_interpreter_is_not_open_in_the_launcher(cell: Cell) -> None:
    await LauncherClient.ensure(cell.paths, cell.project)
    directory = Path(f"/proc/{cell.launcher_pid}/fd")
    files = set()
    for path in directory.iterdir():
        with suppress(FileNotFoundError):  # it opens and closes some meanwhile
            files.add(path.stat().st_ino)
    assert files
    assert Path(sys.executable).stat().st_ino not in files
