"""cp: files in and out of containers that run and that do not."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile

import pytest
from support.scenario import PATIENCE_SECONDS, Scenario, command, not_on_peer


@pytest.fixture(params=["running", "stopped"])
def state(request: pytest.FixtureRequest, scenario: Scenario) -> str:
    """Have the containers run, or have them stopped."""
    scenario.up()
    return str(request.param)


def settle(scenario: Scenario, state: str) -> None:
    """Bring the containers into the state under test."""
    if state == "stopped":
        scenario.run("stop")


def inside(scenario: Scenario, *argv: str, service: str = "app") -> str:
    """Ask a container that runs, or runs again."""
    scenario.run("start")
    return scenario.exec(service, *argv).out


def archive(scenario: Scenario, *words: str) -> tarfile.TarFile:
    """Return the archive that a command writes to its stdout."""
    done = subprocess.run(
        [*command(), *words],
        cwd=scenario.directory,
        env=scenario.environment,
        capture_output=True,
        check=True,
    )
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def test_a_file_goes_in_and_comes_back(scenario: Scenario, state: str) -> None:
    settle(scenario, state)
    source = scenario.directory / "file"
    source.write_bytes(b"\0text\n")
    source.chmod(0o640)
    os.utime(source, ns=(10**18, 10**18))
    scenario.run("cp", "file", "app:/tmp/new-name")
    scenario.run("cp", "app:/tmp/new-name", "back")
    back = scenario.directory / "back"
    assert back.read_bytes() == b"\0text\n"
    assert back.stat().st_mode & 0o7777 == 0o640
    assert back.stat().st_mtime_ns == 10**18
    assert "640" in inside(scenario, "stat", "-c", "%a", "/tmp/new-name")


def test_volumes_are_seen_and_written(scenario: Scenario, state: str) -> None:
    scenario.exec("app", "sh", "-c", "echo kept > /data/file")
    settle(scenario, state)
    scenario.run("cp", "app:/data/file", ".")
    assert (scenario.directory / "file").read_text() == "kept\n"
    scenario.run("cp", "file", "app:/data/other")
    assert inside(scenario, "cat", "/data/other", service="sealed") == "kept\n"


def test_a_tmpfs_is_that_of_the_running_container(scenario: Scenario) -> None:
    not_on_peer("it sees no tmpfs")
    scenario.up()
    scenario.run("cp", "shared/note", "app:/scratch/")
    assert scenario.exec("app", "cat", "/scratch/note").out == "from the host\n"
    scenario.run("cp", "app:/scratch", "copied")
    assert (scenario.directory / "copied/note").read_text() == "from the host\n"


def test_what_is_read_only_stays_so(scenario: Scenario, state: str) -> None:
    settle(scenario, state)
    for target in ("app:/shared-ro/new", "sealed:/new"):
        assert "read-only" in scenario.run("cp", "shared/note", target, code=None).err.lower()
    assert not (scenario.directory / "shared/new").exists()
    scenario.run("cp", "shared/note", "sealed:/data/new")
    assert inside(scenario, "cat", "/data/new") == "from the host\n"


def test_links_in_a_container_never_lead_out_of_it(scenario: Scenario, state: str) -> None:
    """CVE-2018-15664: neither a read nor a write by a link, absolute or by dots."""
    secret = scenario.directory / "secret"
    secret.write_text("of the host")
    dots = "../" * 20
    scenario.exec(
        "app",
        "sh",
        "-c",
        f"ln -s {secret} /tmp/absolute; ln -s {dots}{secret} /tmp/dots; ln -s / /tmp/root;"
        f"ln -s {scenario.directory} /tmp/directory",
    )
    settle(scenario, state)
    for path in (
        "/tmp/absolute",
        "/tmp/dots",
        f"/tmp/root{secret}",
        f"{dots}{secret}",
        "/tmp/directory/secret",
    ):
        scenario.run("cp", "-L", f"app:{path}", "stolen", code=None)
        assert not (scenario.directory / "stolen").exists()
        scenario.run("cp", "shared/note", f"app:{path}", code=None)
        assert secret.read_text() == "of the host"
    inside(scenario, "mkdir", "-p", str(scenario.directory))
    scenario.run("cp", "shared/note", "app:/tmp/directory/written")
    assert not (scenario.directory / "written").exists()
    assert inside(scenario, "cat", f"{scenario.directory}/written") == "from the host\n"


def test_a_link_is_copied_as_one_unless_followed(scenario: Scenario, state: str) -> None:
    scenario.exec("app", "sh", "-c", "echo real > /tmp/real; ln -s real /tmp/link")
    settle(scenario, state)
    scenario.run("cp", "app:/tmp/link", "as-link")
    assert str((scenario.directory / "as-link").readlink()) == "real"
    scenario.run("cp", "--follow-link", "app:/tmp/link", "followed")
    assert (scenario.directory / "followed").read_text() == "real\n"
    (scenario.directory / "local").symlink_to("shared/note")
    scenario.run("cp", "-L", "local", "app:/tmp/")
    assert inside(scenario, "cat", "/tmp/local") == "from the host\n"


def test_fifos_and_devices_hold_nobody_up(scenario: Scenario) -> None:
    scenario.up()
    scenario.exec("app", "sh", "-c", "mkdir /odd; mkfifo /odd/fifo; mknod /odd/null c 1 3")
    with archive(scenario, "cp", "app:/odd", "-") as found:
        kinds = {member.name: member.type for member in found}
    assert kinds == {
        "odd": tarfile.DIRTYPE,
        "odd/fifo": tarfile.FIFOTYPE,
        "odd/null": tarfile.CHRTYPE,
    }
    scenario.run("cp", "app:/odd/fifo", "pipe")
    assert (scenario.directory / "pipe").is_fifo()
    scenario.run("cp", "pipe", "app:/odd/back")
    assert scenario.exec("app", "stat", "-c", "%F", "/odd/back").out == "fifo\n"
    scenario.run("cp", "shared/note", "app:/dev/null", code=5)


def test_the_whole_root_can_be_had_without_what_the_kernel_shows_there(scenario: Scenario) -> None:
    scenario.up()
    with archive(scenario, "cp", "app:/", "-") as found:
        names = {member.name.removeprefix("./") for member in found}
    assert {"bin/busybox", "etc/passwd", "proc", "sys", "dev", "shared-ro/note"} <= names
    assert not [name for name in names if name.startswith(("proc/", "sys/", "dev/"))]


def test_archives_by_stdin_and_stdout(scenario: Scenario, state: str) -> None:
    scenario.exec(
        "app", "sh", "-c", "mkdir -p /src/sub; echo 1 > /src/sub/file; ln /src/sub/file /src/hard"
    )
    settle(scenario, state)
    packed = scenario.directory / "packed.tar"
    with packed.open("wb") as out:
        words = [*command(), "cp", "app:/src/.", "-"]
        subprocess.run(
            words, cwd=scenario.directory, env=scenario.environment, stdout=out, check=True
        )
    with packed.open("rb") as given:
        words = [*command(), "cp", "-", "app:/tmp"]
        subprocess.run(
            words, cwd=scenario.directory, env=scenario.environment, stdin=given, check=True
        )
    found = inside(scenario, "sh", "-c", "cat /tmp/sub/file; stat -c %h /tmp/sub/file")
    assert found.split() == ["1", "2"]
    assert scenario.run("cp", "-", "app:/etc/passwd", code=None).code != 0
    done = scenario.run("cp", "-", "app:/tmp", stdin="this is no archive" * 100, code=None)
    assert done.code != 0


def test_every_replica_gets_a_copy_and_the_first_gives_one(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("cp", "shared/note", "many:/tmp/")
    for index in ("1", "2"):
        done = scenario.run("exec", "-T", "--index", index, "many", "cat", "/tmp/note")
        assert done.out == "from the host\n"
    scenario.run("cp", "--index", "2", "compose.yaml", "many:/tmp/second")
    scenario.run("cp", "many:/tmp/second", "x", code=None)
    assert not (scenario.directory / "x").exists()
    scenario.run("cp", "--index", "2", "many:/tmp/second", "x")
    assert scenario.run("cp", "--index", "3", "many:/tmp/second", "x", code=None).code == 1


def test_owners(scenario: Scenario) -> None:
    scenario.up()
    note = scenario.directory / "shared/note"
    os.chown(note, 1234, 1235)
    scenario.run("cp", "shared/note", "many:/tmp/plain")
    scenario.run("cp", "-a", "shared/note", "many:/tmp/theirs")
    owners = scenario.exec("many", "stat", "-c", "%u:%g", "/tmp/plain", "/tmp/theirs").out
    assert owners.split() == ["1234:1235", "1000:1001"]
    scenario.run("cp", "many:/tmp/plain", "ours")
    status = (scenario.directory / "ours").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())


def test_keeping_the_owner_on_the_way_out(scenario: Scenario) -> None:
    not_on_peer("it forgets --archive on the way out")
    scenario.up()
    scenario.exec("app", "sh", "-c", "touch /tmp/file; chown 12:34 /tmp/file")
    scenario.run("cp", "-a", "app:/tmp/file", "kept")
    status = (scenario.directory / "kept").stat()
    assert (status.st_uid, status.st_gid) == (12, 34)


def test_a_container_that_never_ran(scenario: Scenario) -> None:
    scenario.run("up", "--no-start")
    scenario.run("cp", "shared/note", "app:/etc/note")
    scenario.run("cp", "app:/etc/note", "back")
    assert (scenario.directory / "back").read_text() == "from the host\n"
    assert inside(scenario, "cat", "/etc/note") == "from the host\n"


def test_export_is_the_root_without_volumes(scenario: Scenario, state: str) -> None:
    scenario.exec("app", "sh", "-c", "echo volume > /data/file; echo own > /own; rm /etc/shadow")
    scenario.exec("app", "sh", "-c", "ln /own /own2; mkdir -m 1770 /odd; chown 5:6 /odd")
    settle(scenario, state)
    with archive(scenario, "export", "app") as found:
        members = {member.name: member for member in found}
        own = found.extractfile("own")
        assert own is not None
        assert own.read() == b"own\n"
    assert {"bin/busybox", "etc/passwd", "data", "odd"} <= set(members)
    assert not {"data/file", "etc/shadow", "", ".", "shared-ro/note"} & set(members)
    assert not [name for name in members if name.startswith(("proc/", "sys/"))]
    assert (members["odd"].mode, members["odd"].uid, members["odd"].gid) == (0o1770, 5, 6)
    assert members["own2"].linkname == "own"


def test_export_to_a_file(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("export", "-o", "root.tar", "--index", "2", "many")
    root = scenario.directory / "root.tar"
    assert tarfile.is_tarfile(root)
    assert root.stat().st_mode & 0o777 == 0o600
    scenario.run("export", "-o", "/nowhere/root.tar", "many", code=None)
    assert scenario.run("export", "-o", "shared", "many", code=None).code != 0
    assert scenario.run("export", "-o", "x.tar", "--index", "3", "many", code=1).out == ""
    assert not (scenario.directory / "x.tar").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_copy_that_is_broken_off_holds_nothing_up(
    scenario: Scenario, state: str, number: signal.Signals
) -> None:
    settle(scenario, state)
    process = subprocess.Popen(
        [*command(), "cp", "-", "app:/tmp"],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    with process.stdin:
        member = tarfile.TarInfo("begun")
        member.size = 10_000_000
        process.stdin.write(member.tobuf() + bytes(100_000))
        process.stdin.flush()
        process.send_signal(number)
        assert process.wait(PATIENCE_SECONDS) == (130 if number is signal.SIGINT else -9)
    scenario.run("cp", "shared/note", "app:/tmp/after")
    assert inside(scenario, "cat", "/tmp/after") == "from the host\n"


def test_a_reader_that_goes_away_ends_the_copy(scenario: Scenario) -> None:
    scenario.up()
    process = subprocess.Popen(
        [*command(), "cp", "app:/", "-"],
        cwd=scenario.directory,
        env=scenario.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(PATIENCE_SECONDS) == 141
        assert process.stderr.read() == b""
