"""What is written down of builds: every end of one, on the way, and never a secret."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
from support import images
from support.builds import Builder, join_workers
from support.machine import Run
from support.patience import FACTOR

from orchestra.engine.build.builds import Builds
from orchestra.engine.build.history import BuildHistory
from orchestra.engine.build.journal import BODY_BYTES_MAX, TAIL_BYTES_MAX, Journal
from orchestra.engine.build.journals import ENTRIES_MAX
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.image.settings import load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.errors import BuildError
from orchestra.planner.building import BuildSpec

pytestmark = pytest.mark.kernel

SECRET = "s3cr3t-value"


@pytest.fixture
def shop(tmp_path):
    """A context with two steps, and a build of it."""
    context = tmp_path / "shop"
    context.mkdir()
    (context / "file").write_text("content")
    (context / "Dockerfile").write_text(
        "FROM scratch AS base\nCOPY file /\nFROM base AS last\nARG SOME\nCOPY file /again\n"
    )
    return context


def listed(run: Run, *words: str) -> list[dict[str, object]]:
    code, out, err = run("builder", "history", "ls", "--format", "json", *words)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_a_build_is_written_down_and_a_settled_one_as_well(run: Run, shop: Path):
    words = ("image", "build", "-t", "test/shop", "--build-arg", "SOME=hidden-word", "shop")
    assert run(*words)[0] == 0
    assert run(*words)[0] == 0
    second, first = listed(run)
    assert first.items() >= {"name": "shop", "status": "Completed", "total_steps": 2}.items()
    assert (first["completed_steps"], first["cached_steps"]) == (2, 0)
    assert (second["completed_steps"], second["cached_steps"]) == (2, 2)
    assert re.fullmatch(r"default/default/[a-z0-9]{25}", str(second["ref"]))

    _, out, _ = run("builder", "history", "inspect", "--format", "json", "^1")
    known = json.loads(out)
    assert known.items() >= {
        "Name": "shop",
        "Context": "shop",
        "Dockerfile": "Dockerfile",
        "Status": "completed",
        "BuildArgs": [{"Name": "SOME"}],
        "Tags": ["test/shop"],
    }.items()  # fmt: skip
    assert known["Image"].startswith("sha256:")
    _, out, _ = run("buildx", "history", "inspect", str(second["ref"]))
    lines = out.splitlines()
    assert "Build Steps:  2/2 (100% cached)" in lines
    assert "Tags:         test/shop" in lines
    assert not any(line.startswith("Ref:") for line in lines)

    _, out, _ = run("builder", "history", "logs", "^1")
    assert " test/shop  [last 2/2] COPY file /again DONE" in out.splitlines()
    _, out, _ = run("builder", "history", "logs")
    assert " test/shop  [last 2/2] COPY file /again CACHED" in out.splitlines()
    _, out, _ = run("builder", "history", "logs", "--progress", "rawjson")
    vertexes = [each for line in out.splitlines() for each in json.loads(line)["vertexes"]]
    assert vertexes[-2]["cached"]
    for path in Path("data/build-cache/history").iterdir():
        assert b"hidden-word" not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_builds_metadata_name_its_record_and_its_warnings(
    run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
):
    (shop / "Dockerfile").write_text("FROM scratch\nCOPY file /\nENV a=$b\n")
    words = ("image", "build", "-t", "a", "--metadata-file", "metadata", "shop")
    assert run(*words)[0] == 0
    known = json.loads(Path("metadata").read_text())
    assert known["buildx.build.ref"] == listed(run)[0]["ref"]
    assert "buildx.build.warnings" not in known, "as with buildx, to be asked for"
    monkeypatch.setenv("BUILDX_METADATA_WARNINGS", "1")
    assert run(*words)[0] == 0
    (warning,) = json.loads(Path("metadata").read_text())["buildx.build.warnings"]
    assert b"UndefinedVar" in base64.b64decode(warning["short"])


def test_the_images_that_a_build_began_with_are_its_materials(
    run: Run, store: ImageStore, shop: Path
):
    base = images.store_image(store, "team/base:1", images.image([images.layer([])]))
    (shop / "Dockerfile").write_text("FROM team/base:1\nCOPY file /\n")
    for _ in range(2):
        assert run("image", "build", "-t", "test/shop", "shop")[0] == 0
    uri = "pkg:docker/team/base@1?platform=linux%2Famd64"
    for which in ("^1", ""):  # the second one is settled
        _, out, _ = run("builder", "history", "inspect", "--format", "json", which)
        assert json.loads(out)["Materials"] == [{"URI": uri, "Digests": [base.manifest]}]
    _, out, _ = run("builder", "history", "inspect")
    assert f"{uri}   {base.manifest}" in out.splitlines()


def test_a_target_and_another_dockerfile_give_the_name(run: Run, shop: Path):
    (shop / "docker").mkdir()
    (shop / "docker/web.Dockerfile").write_text("FROM scratch AS web\nCOPY file /\n")
    assert run("image", "build", "--target", "base", "shop")[0] == 0
    assert run("image", "build", "-f", "shop/docker/web.Dockerfile", "shop")[0] == 0
    assert run("image", "build", "--build-arg", "BUILDKIT_BUILD_NAME=mine", "shop")[0] == 0
    assert [row["name"] for row in listed(run)] == [
        "mine",
        "shop/docker/web.Dockerfile",
        "shop (base)",
    ]


def test_what_fails_is_written_down_with_its_place(run: Run, shop: Path):
    (shop / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    assert run("image", "build", "shop")[0] != 0
    assert run("image", "build", "https://me:pass@127.0.0.1:9/context.tar")[0] != 0
    remote, local = listed(run)
    assert local["status"] == remote["status"] == "Error"
    _, out, _ = run("builder", "history", "inspect", "^1")
    assert "Dockerfile:2" in out
    assert "missing" in out
    assert all(b"pass" not in path.read_bytes() for path in Path("data").rglob("*.jsonl"))


def test_builds_of_a_project_are_written_down(run: Run, shop: Path, tmp_path: Path):
    (tmp_path / "compose.yaml").write_text(
        "name: some\nservices:\n  web: {build: {context: shop, target: last}}\n"
    )
    for _ in range(2):
        assert run("build")[0] == 0
    second, first = listed(run)
    assert first["name"] == second["name"] == "shop (last)"
    assert (first["cached_steps"], second["cached_steps"]) == (0, 2)
    _, out, _ = run("builder", "history", "inspect", "--format", "{{.Tags}} {{.Status}}")
    assert out == "[some-web] completed\n"


def test_lists_are_filtered_and_formatted(run: Run, shop: Path):
    assert run("image", "build", "shop")[0] == 0
    (shop / "Dockerfile").write_text("FROM nonsense:\n")
    assert run("image", "build", "shop")[0] != 0
    assert [row["status"] for row in listed(run, "--filter", "status=error")] == ["Error"]
    assert [row["status"] for row in listed(run, "--filter", "status!=error")] == ["Completed"]
    assert len(listed(run, "--filter", "duration<1h", "--filter", "startedAt>1h")) == 2
    assert listed(run, "--filter", "duration>1h") == []
    identity = str(listed(run)[0]["ref"]).rpartition("/")[2]
    assert len(listed(run, "--filter", f"ref={identity[:12]}")) == 1
    _, out, _ = run("builder", "history", "ls")
    assert out.split("\n")[0].split("  ")[0] == "BUILD ID"
    _, out, _ = run("builder", "history", "ls", "--format", "{{.Ref}} {{.Status}}")
    assert out.splitlines()[0] == f"{identity} Error"
    for wrong in ("status<error", "nonsense=1", "duration=1s", "status"):
        code, _, err = run("builder", "history", "ls", "--filter", wrong)
        assert (code, "invalid filter" in err) == (2, True)
    code, _, err = run("builder", "history", "ls", "--local")
    assert (code, "no git repository" in err) == (2, True)
    (shop / ".git").mkdir()
    os.chdir(shop)
    assert len(listed(run, "--local")) == 2


def test_records_are_removed_by_id_by_offset_and_all(run: Run, shop: Path):
    for _ in range(4):
        assert run("image", "build", "-t", "test/shop", "shop")[0] == 0
    rows = [str(row["ref"]).rpartition("/")[2] for row in listed(run)]
    code, _, err = run("builder", "history", "rm", rows[0], "^1", "unknown1")
    assert code == BuildError.exit_code
    assert 'build "unknown1" is not known' in err
    assert [str(row["ref"]).rpartition("/")[2] for row in listed(run)] == rows[2:]
    assert run("builder", "history", "rm")[0] == 2
    assert run("builder", "history", "rm", "--all", rows[2])[0] == 2
    assert run("builder", "history", "rm", "--all")[0] == 0
    assert listed(run) == []
    code, _, err = run("builder", "history", "inspect")
    assert "there is no record of any build" in err
    assert code == BuildError.exit_code


def test_prune_forgets_what_builds_remember(run: Run, shop: Path):
    data = Path("data/build-cache")
    assert run("image", "build", "-t", "test/shop", "shop")[0] == 0
    (shop / "Dockerfile").write_text("FROM scratch\nCOPY file /other\n")
    assert run("image", "build", "-o", "type=cacheonly", "shop")[0] == 0
    (data / "mounts/some/data-0").mkdir(parents=True)
    assert len([*data.glob("records/*/*.json")]) == 3
    code, out, _ = run("builder", "prune", "--force", "--filter", "until=1h")
    assert (code, "Deleted" in out) == (0, False)
    assert len(listed(run)) == 2
    assert [*data.glob("mounts/*")]
    code, out, _ = run("builder", "prune", "--force")
    assert (code, out.splitlines()[0]) == (0, "Deleted build cache objects:")
    assert len([*data.glob("records/*/*.json")]) == 2, "those of an image stay"
    assert listed(run) == []
    assert not [*data.glob("mounts/*")]
    code, out, _ = run("buildx", "prune", "-af")
    assert len(out.splitlines()) == 5
    assert not [*data.glob("records/*/*.json")]


class Recorded:
    """A builder with the history of its builds."""

    def __init__(self, builder: Builder):
        self.builder = builder
        self.history = BuildHistory(Path(builder.paths.build_cache) / "history")
        self.history.clear()
        self.builds = Builds(
            builder.environment(), builder.store, lambda: load_settings(builder.paths, {})
        )
        self.heard = anyio.Event()

    def spec(self, text: str, **more) -> BuildSpec:
        dockerfile = self.builder.root / "Dockerfile"
        dockerfile.write_text(text)
        context = str(self.builder.context)
        return BuildSpec(context=context, dockerfile=str(dockerfile), network="none", **more)

    def hear(self, event):
        if isinstance(event, LogLine):
            self.heard.set()


@pytest.fixture
def recorded(builder: Builder) -> Recorded:
    return Recorded(builder)


def test_a_running_build_is_seen_and_a_canceled_one_told_from_a_failed_one(recorded: Recorded):
    spec = recorded.spec("FROM test/box\nRUN echo begun; sleep 100")
    seen = []

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorded.builds.build, spec, "test/slow", recorded.hear)
            await recorded.heard.wait()
            seen.extend(recorded.history.records())
            with pytest.raises(BuildError, match="it runs"):
                recorded.history.remove("")
            assert recorded.history.clear() == 0
            tasks.cancel_scope.cancel()

    anyio.run(main)
    join_workers()
    assert [(each.status, each.completed, each.total) for each in seen] == [("running", 0, 1)]
    (record,) = recorded.history.records()
    assert (record.id, record.status) == (seen[0].id, "canceled")
    assert [each.event.text for each in recorded.history.told("") if isinstance(each.event, LogLine)] == ["begun\n"]  # fmt: skip

    spec = recorded.spec("FROM test/box\nRUN echo why >&2; exit 3")
    with pytest.raises(BuildError):
        anyio.run(recorded.builds.build, spec, "test/bad", recorded.hear)
    join_workers()
    record = recorded.history.records()[0]
    assert (record.status, record.place.endswith(":2")) == ("error", True)


def test_a_printed_secret_is_not_written_down(recorded: Recorded, tmp_path: Path):
    (tmp_path / "token").write_text(f"{SECRET}\nsecond-line\n")
    spec = recorded.spec(
        "FROM test/box\n"
        "RUN --mount=type=secret,id=token,target=/run/t cat /run/t; sed s/^/x-/ /run/t\n"
        "RUN --mount=type=secret,id=more,env=MORE echo a-$MORE-b; echo $MORE >&2; false",
        secrets={"token": str(tmp_path / "token")},
        secret_contents={"more": "another-one"},
    )
    with pytest.raises(BuildError):
        anyio.run(recorded.builds.build, spec, "test/secret", recorded.hear)
    join_workers()
    said = [e.event.text for e in recorded.history.told("") if isinstance(e.event, LogLine)]
    assert said[:4] == ["***\n", "***\n", "x-***\n", "x-***\n"]
    assert sorted(said[4:6]) == ["***\n", "a-***-b\n"]
    for path in Path(recorded.builder.paths.build_cache, "history").iterdir():
        for word in (SECRET, "second-line", "another-one"):
            assert word.encode() not in path.read_bytes()


def test_a_killed_builder_leaves_a_record_that_says_so(run: Run, shop: Path):
    child = subprocess.Popen(
        [sys.executable, "-m", "orchestra", "image", "build", "-f", "-", "shop"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    silent = socket.create_server(("127.0.0.1", 0))  # takes a connection, and says nothing
    try:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        assert child.stdin is not None
        child.stdin.write(f"FROM scratch\nADD {address} /\n".encode())
        child.stdin.close()
        deadline = time.monotonic() + 60 * FACTOR
        while not (rows := listed(run)) or not rows[0]["total_steps"]:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.05)
        assert rows[0]["status"] == "Running"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        silent.close()
    (row,) = listed(run)
    assert row["status"] == "Canceled"
    _, out, _ = run("builder", "history", "inspect")
    assert "Canceled" in out
    assert run("builder", "history", "rm", "^0")[0] == 0


def test_a_journal_cut_anywhere_is_read_as_far_as_it_goes(tmp_path: Path):
    journal = Journal(tmp_path, {"name": "some"})
    journal.tell(Progress(subject="a", action="[1/3] COPY a"))
    journal.tell(Progress(subject="a", action="[2/3] COPY a DONE"))
    journal.end("completed", {"digest": "sha256:0"})
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    history = BuildHistory(tmp_path)
    (record,) = history.records()
    assert (record.status, record.completed, record.total) == ("completed", 1, 2)
    first = whole.index(b"\n")
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = history.records()
        assert len(found) == (length >= first)
        if found:
            statuses = {"canceled"} if length < len(whole) - 1 else {"completed"}
            assert {each.status for each in found} == statuses
            assert len(list(history.told(""))) <= 2
    history.clear()
    assert [*tmp_path.iterdir()] == []


def test_journals_are_bounded_in_size_and_number(tmp_path: Path):
    journal = Journal(tmp_path, {"name": "loud"})
    for number in range(20000):
        journal.tell(LogLine(source="a", stream="stdout", text=f"{number} {'x' * 100}\n"))
    journal.tell(LogLine(source="a", stream="stdout", text="y" * 1_000_000))
    journal.end("completed", {})
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < BODY_BYTES_MAX + TAIL_BYTES_MAX + 4096
    history = BuildHistory(tmp_path)
    told = [each.event for each in history.told("")]
    said = [event.text for event in told if isinstance(event, LogLine)]
    assert said[0].startswith("0 ")
    assert said[-1].startswith("yyy")
    assert said[-2].startswith("19999 ")
    (gap,) = [event for event in told if isinstance(event, Progress)]
    assert len(said) + int(gap.action.split()[0]) == 20001

    held = Journal(tmp_path, {"name": "held"})
    held.flush()
    for number in range(ENTRIES_MAX + 20):
        Journal(tmp_path, {"name": str(number)}).end("completed", {})
    found = history.records()
    assert len(found) <= ENTRIES_MAX
    assert found[0].name == str(ENTRIES_MAX + 19)
    assert found[-1].name == "held", "the record of a build that runs stays"
    held.end("completed", {})


def test_a_full_or_missing_disk_fails_no_build(builder: Builder, monkeypatch):
    history = Path(builder.paths.build_cache, "history")
    BuildHistory(history).clear()
    history.parent.mkdir(exist_ok=True)
    moved = history.with_name("moved")
    if history.exists():
        history.rename(moved)
    history.write_text("no directory")
    try:
        recorded = Recorded(builder)
        spec = recorded.spec("FROM test/box\nENV some=thing")
        assert anyio.run(recorded.builds.build, spec, "test/some", recorded.hear)
        join_workers()
    finally:
        history.unlink()
        if moved.exists():
            moved.rename(history)
