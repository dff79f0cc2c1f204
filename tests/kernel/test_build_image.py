"""Whole builds: RUN in a container, caching, mounts, images in the store; no registry needed."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path, PurePosixPath

import anyio
import pytest
from support.builds import AMD64, Builder, command_lines, join_workers
from support.webserver import web_server

from orchestra.engine.build.builder import check_image
from orchestra.engine.build.cache import BuildCache, CacheRecord
from orchestra.errors import BuildError
from orchestra.planner.building import BuildSpec

pytestmark = pytest.mark.kernel


def test_run_sees_the_files_and_leaves_its_own(builder):
    builder.write(a="hello")
    image = builder.build(
        "FROM test/box\nWORKDIR /w\nCOPY a .\nENV V=1\nRUN cat a; pwd; id -u; echo $V $PATH; echo made > b\n"
    )
    assert builder.said.split("\n")[0:4] == [
        "hello/w",
        "0",
        "1 /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "",
    ]
    files = builder.layer_files(image)
    assert files["w/b"] == b"made\n"
    assert not {name for name in files if name.startswith(("etc/resolv", "proc", "dev", "sys"))}


def test_what_is_unchanged_is_not_done_again(builder):
    text = "FROM test/box\nWORKDIR /app\nCOPY package*.json /app\nRUN echo install\nCOPY . .\nCMD x"
    builder.write(package_json="1", server_js="1")
    first = builder.build(text)
    assert builder.build(text) == first
    assert builder.done() == []
    builder.write(server_js="2")
    second = builder.build(text)
    assert builder.done() == ["COPY . ."]
    assert second.id != first.id
    assert second.layers[:-1] == first.layers[:-1]
    builder.write(package_json="2")
    builder.build(text)
    assert builder.done() == ["COPY package*.json /app", "RUN echo install", "COPY . ."]


def test_no_cache_does_everything_again(builder):
    builder.build("FROM test/box\nRUN echo one")
    builder.build("FROM test/box\nRUN echo one", no_cache=True)
    assert builder.done() == ["RUN echo one"]


def test_a_damaged_record_or_a_lost_layer_is_a_miss(builder):
    image = builder.build("FROM test/box\nRUN echo lost > /lost")
    for record in Path(builder.paths.build_cache, "records").rglob("*.json"):
        if json.loads(record.read_text())["layer"] is None:
            continue
        if json.loads(record.read_text())["layer"]["diff_id"] == image.layers[-1].diff_id:
            record.write_text(record.read_text()[:20])
    builder.build("FROM test/box\nRUN echo lost > /lost")
    assert builder.done() == ["RUN echo lost > /lost"]
    image = builder.build("FROM test/box\nRUN echo lost > /lost")
    assert builder.done() == []
    builder.store.drop_blob(image.layers[-1].descriptor.digest)
    builder.build("FROM test/box\nRUN echo lost > /lost")
    assert builder.done() == ["RUN echo lost > /lost"]


def test_source_date_epoch_makes_a_build_reproducible(builder, tmp_path):
    builder.write(a="1")
    text = "FROM test/box\nWORKDIR /n\nCOPY a /x/\nRUN echo $RANDOM > /dev/null; echo 1 > /r\n"
    args = {"SOURCE_DATE_EPOCH": "1000000000"}
    first = builder.build(text, args=args)
    os.utime(builder.context / "a")
    second = builder.build(text, args=args, no_cache=True)
    assert second.manifest == first.manifest
    assert first.config.created == "2001-09-09T01:46:40Z"


def test_a_failing_step_says_where_what_and_why(builder):
    with pytest.raises(BuildError) as caught:
        builder.build("FROM test/box\n\nRUN echo one && \\\n  echo two >&2 && \\\n  exit 3\n")
    error = caught.value
    assert error.location.line == 3
    assert error.location.file.endswith("/Dockerfile")
    assert error.message.startswith("cannot build RUN echo one && echo two >&2 && exit 3: ")
    assert "exited with code 3" in error.message
    assert set(error.message.splitlines()[1:]) == {"one", "two"}
    assert error.hint


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("RUN nonsense", "exited with code 127"),
        ('RUN ["/nonsense"]', "/nonsense"),
        ("COPY nothing /", '"nothing" is not there'),
        ("COPY --from=localhost:1/none a /", "localhost:1/none"),
        ("COPY --chown=eve context /", "not there"),
        ("USER eve\nRUN true", "eve"),
        ("RUN --mount=type=secret,id=s,required=true true", 'secret "s" is not given'),
        ("RUN --mount=type=bind,source=none,target=/x true", "not there"),
        ("COPY https://example.com/x /", "a URL cannot be"),
        ("ADD https://example.com/x.git /", "git"),
        ("ADD --checksum=sha256:00 a /", "one URL"),
    ],
)
def test_a_step_that_cannot_be_names_its_line(builder, step, why):
    with pytest.raises(BuildError, match=why) as caught:
        builder.build(f"FROM test/box\n{step}", extra_hosts=())
    assert caught.value.location.line == 1 + len(step.splitlines())


def test_user_counts_for_run_and_workdir_not_for_copy(builder):
    builder.write(a="1")
    builder.build(
        "FROM test/box\nUSER bob\nWORKDIR /home/bob\nCOPY a /x/a\nCOPY --chown=bob a /x/b\n"
        "RUN id -u && id -g && echo $HOME && stat -c %u:%g /home/bob /x/a /x/b && touch /no 2>/dev/null || echo denied"
    )
    assert builder.said.split() == [
        "1000", "1001", "/home/bob", "1000:1001", "0:0", "1000:1001", "denied",
    ]  # fmt: skip


def test_a_step_has_the_walls_of_a_container(builder):
    builder.build(
        "FROM test/box\nRUN grep -E 'CapEff|CapInh|Seccomp:|NoNewPrivs' /proc/self/status; hostname; "
        "ls /proc | grep -c '^[0-9]'; ls /sys/class/net; mount -t tmpfs x /bin || echo refused; "
        "cat /proc/sysrq-trigger; echo x > /proc/sys/kernel/core_pattern || echo read-only"
    )
    said = builder.said
    assert "00000000a80425fb" in said
    assert "CapInh:\t0000000000000000" in said
    assert "Seccomp:\t2" in said
    assert "refused" in said
    assert "read-only" in said
    assert "\nlo\n" in said


def test_only_needed_stages_are_built_and_files_come_from_others(builder):
    image = builder.build(
        "FROM test/box AS one\nRUN mkdir /out && echo 1 > /out/f && chown 7:8 /out/f\n"
        "FROM test/box AS broken\nRUN exit 1\n"
        'FROM scratch\nCOPY --from=one /out /in\nCOPY --from=test/box /etc/passwd /p\nCMD ["c"]'
    )
    assert sorted(builder.layer_files(image)) == ["in/f", "p"]
    assert (image.config.cmd, image.config.platform) == (("c",), AMD64)
    assert len(image.layers) == 2
    assert [line.empty_layer for line in image.config.history] == [False, False, True]


def test_a_copy_from_a_stage_is_known_by_content(builder):
    text = "FROM test/box AS one\nRUN echo same > /f; echo {n} > /g\nFROM scratch\nCOPY --from=one /f /f"
    first = builder.build(text.format(n=1))
    assert builder.build(text.format(n=2)) == first
    assert builder.done() == ["RUN echo same > /f; echo 2 > /g"]


def test_a_known_build_unpacks_nothing(builder):
    text = (
        "FROM test/box AS one\nRUN echo 1 > /only-here\nFROM scratch\nCOPY --from=one /only-here /f"
    )
    first = builder.build(text)
    shutil.rmtree(builder.paths.snapshots)
    assert builder.build(text) == first
    assert builder.done() == []
    assert not Path(builder.paths.snapshots).exists()


def test_an_inline_dockerfile(builder):
    builder.write(_dockerignore="hidden", hidden="1", a="2")
    image = builder.build("ignored", dockerfile="", dockerfile_inline="FROM scratch\nCOPY . /")
    assert sorted(builder.layer_files(image)) == [".dockerignore", "a"]


def test_stages_run_side_by_side(builder):
    """Two stages that each wait for the other's cache mount: one after the other would not end."""
    meet = "RUN --mount=type=cache,target=/m,id=meet touch /m/{me}; i=0; while [ ! -e /m/{you} ] && [ $i -lt 300 ]; do i=$((i+1)); sleep 0.1; done; [ -e /m/{you} ]\n"
    builder.build(
        "FROM test/box AS a\n" + meet.format(me="a", you="b")
        + "FROM test/box AS b\n" + meet.format(me="b", you="a")
        + "FROM scratch\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n"
    )  # fmt: skip


def test_removed_files_stay_removed(builder):
    image = builder.build(
        "FROM test/box\nRUN mkdir /d && echo 1 > /d/a && echo 2 > /d/b\nRUN rm /d/a\nRUN rm -r /d && mkdir /d && ls -A /d | wc -l\nRUN ls -A /d | wc -l"
    )
    assert builder.said.split() == ["0", "0"]
    assert len(image.layers) == 6 or len(image.layers) == 7


def test_a_step_that_changes_nothing_makes_no_layer(builder):
    base = builder.build("FROM test/box")
    image = builder.build("FROM test/box\nRUN true\nWORKDIR /etc\n")
    assert image.layers == base.layers
    told = [line for line in image.config.history if not line.empty_layer]
    assert len(told) == len(image.layers)


def test_secrets_leave_no_trace(builder, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("s3cr3t-value")
    image = builder.build(
        "FROM test/box\n"
        "RUN --mount=type=secret,id=token,target=/run/t,mode=0440,gid=5 "
        "stat -c %a:%u:%g /run/t && wc -c < /run/t && mount | grep -c /run/t\n"
        "RUN --mount=type=secret,id=token,env=TOKEN [ ${#TOKEN} = 12 ] && [ ! -e /run/secrets ]\n"
        "RUN --mount=type=secret,id=absent [ ! -e /run/secrets ]",
        secrets={"token": str(secret)},
    )
    assert builder.said.split() == ["440:0:5", "12", "1"]
    for root in (Path(builder.paths.data), Path(builder.paths.run)):
        for path in root.rglob("*"):
            if path.is_file():
                assert b"s3cr3t-value" not in path.read_bytes(), path
    assert "s3cr3t" not in str(image.config)
    assert "run/t" not in builder.layer_files(image)


def test_cache_mounts_stay_and_belong_to_their_scope(builder):
    step = "FROM test/box\nRUN --mount=type=cache,target=/c,mode=0700,uid=1000 stat -c %a:%u /c; cat /c/n; echo {n} > /c/n"
    builder.build(step.format(n=1))
    assert builder.said.startswith("700:1000\n")
    image = builder.build(step.format(n=2))
    assert builder.said.split() == ["700:1000", "1"]
    assert not [name for name in builder.layer_files(image) if name.startswith("c/")]
    other = Builder(builder.root, scope="other")
    other.build(step.format(n=2))
    assert "No such file" in other.said, "neither the mount nor its result is another project's"


def test_bind_mounts_show_and_take_nothing_back(builder):
    builder.write(a="1", _dockerignore="hidden", hidden="x")
    image = builder.build(
        "FROM test/box AS one\nRUN echo stage > /f\nFROM test/box\n"
        "RUN --mount=target=/ctx,rw --mount=from=one,source=/f,target=/g "
        "ls /ctx && cat /g && echo 2 > /ctx/a && (echo 3 > /g || echo ro)"
    )
    assert builder.said.split()[:3] == ["a", "stage", "ro"] or "ro" in builder.said
    assert (builder.context / "a").read_text() == "1"
    assert not {"ctx/a", "g"} & builder.layer_files(image).keys()
    builder.write(a="2")
    builder.build("FROM test/box\nRUN --mount=target=/ctx,source=a cat /ctx")
    assert builder.said == "2\n"
    builder.write(a="3")
    builder.build("FROM test/box\nRUN --mount=target=/ctx,source=a cat /ctx")
    assert builder.said == "3\n"


def test_tmpfs_mounts_are_of_their_size(builder):
    builder.build("FROM test/box\nRUN --mount=type=tmpfs,target=/t,size=64k df -k /t | tail -1")
    assert builder.said.split()[1:2] == ["64"]


def test_scripts_and_documents(builder):
    builder.build(
        "FROM test/box\nARG A=1\nCOPY <<one <<'two' /d/\n$A\none\n$A\ntwo\n"
        "RUN <<EOF\ncat /d/one\ncat /d/two\nEOF\nRUN <<EOF\n#!/bin/cat\nthe script\nEOF\n"
    )
    assert builder.said.split("\n") == ["1", "$A", "#!/bin/cat", "the script", ""]


def test_triggers_run_in_the_next_build(builder):
    builder.write(a="1")
    builder.build("FROM test/box\nONBUILD COPY a /a\nONBUILD RUN cat /a", "test/trigger")
    assert builder.said == ""
    image = builder.build("FROM test/trigger\nRUN echo after")
    assert builder.said == "1\nafter\n"
    assert image.config.on_build == ()


def test_names_labels_and_arguments(builder):
    image = builder.build(
        "FROM test/box\nARG SET\nARG NULL\nRUN echo $SET-$NULL\nLABEL own=1",
        args={"SET": "1", "NULL": None, "UNUSED": "1"},
        labels={"given": "2"},
        tags=("test/other:v1",),
    )
    assert builder.said.startswith("1-\n")
    assert "no ARG asks for: UNUSED" in builder.said
    assert image.config.labels == {"given": "2", "own": "1"}
    assert builder.store.get("test/result") == image == builder.store.get("test/other:v1")


def test_a_null_argument_takes_the_environments_value(builder):
    other = Builder(builder.root, variables={"NULL": "from-env"})
    other.build("FROM test/box\nARG NULL\nRUN echo $NULL", args={"NULL": None})
    assert other.said == "from-env\n"


def test_additional_contexts(builder, tmp_path):
    (tmp_path / "f").write_text("extra")
    image = builder.build(
        "FROM base\nCOPY --from=more f /f",
        additional_contexts={"more": str(tmp_path), "base": "docker-image://test/box"},
    )
    assert builder.layer_files(image)["f"] == b"extra"


def test_add_of_a_url(builder):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("in")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"in"))
    contents = {
        "/f.txt": b"from the web",
        "/x.tgz": packed.getvalue(),
        f"/{'x' * 300}": b"a long name",
    }

    with web_server(contents) as url:
        image = builder.build(f"FROM scratch\nADD {url}/f.txt /d/")
        assert builder.layer_files(image) == {"d/f.txt": b"from the web"}
        builder.build(f"FROM scratch\nADD {url}/f.txt /d/")
        assert builder.done() == []
        with pytest.raises(BuildError, match="checksum"):
            builder.build(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {url}/f.txt /d/")
        with pytest.raises(BuildError, match="404"):
            builder.build(f"FROM scratch\nADD {url}/none /d/")
        builder.build(
            f"FROM test/box\nADD {url}/f.txt {url}/x.tgz /d/\nADD --unpack=true {url}/x.tgz /u\n"
            "RUN stat -c '%a %Y %n' /d/f.txt /d/x.tgz; cat /u/in"
        )
        assert builder.said == "600 1000000000 /d/f.txt\n600 1000000000 /d/x.tgz\nin\n"
        with pytest.raises(BuildError, match="404") as caught:
            builder.build(f"FROM scratch\nADD {url.replace('//', '//me:s3cr3t@')}/none /d/")
        assert "s3cr3t" not in caught.value.message.partition("cannot fetch")[2]
        with pytest.raises(BuildError, match="cannot keep"):
            builder.build(f"FROM scratch\nADD {url}/{'x' * 300} /d/")


def test_a_build_warns_of_what_a_check_finds(builder):
    builder.build("FROM test/box\nENV A b\nCMD echo $PATH")
    assert "Dockerfile:2: LegacyKeyValueFormat: " in builder.said
    assert "Dockerfile:3: JSONArgsRecommended: " in builder.said
    builder.build("# check=skip=all\nFROM test/box\nENV A b\nCMD x")
    assert builder.said == ""


def test_a_build_may_refuse_what_a_check_finds(builder):
    text = "# check=error=true\nFROM test/box\nRUN echo ran\nCOPY $NOPE /x\nCMD x"
    with pytest.raises(BuildError, match="JSONArgsRecommended, UndefinedVar") as caught:
        builder.build(text)
    assert caught.value.location.line == 4
    assert builder.said == ""


def test_a_check_builds_nothing(builder):
    builder.build("FROM test/box\nENV FROM_BASE=1\nRUN true", "test/env")
    builder.write(_dockerignore="hidden", hidden="1")
    before = {path for path in Path(builder.paths.data).rglob("*") if path.is_file()}
    dockerfile = builder.root / "Dockerfile"
    dockerfile.write_text("FROM test/env\nCOPY $FROM_BASE hidden /\nRUN exit 1\nCMD x\n")
    spec = BuildSpec(context=str(builder.context), dockerfile=str(dockerfile))
    checked = anyio.run(lambda: check_image(spec, environment=builder.environment()))
    join_workers()
    rules = [(finding.line, finding.rule) for finding in checked.findings]
    assert rules == [(2, "CopyIgnoredFile"), (4, "JSONArgsRecommended")]
    assert checked.error is None
    assert {path for path in Path(builder.paths.data).rglob("*") if path.is_file()} == before


def test_a_cancelled_build_leaves_nothing(builder):
    async def cancelled():
        with anyio.move_on_after(120) as scope:
            builder.heard = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(builder.start, "FROM test/box\nRUN echo up; sleep 98761")
                await builder.heard.wait()
                tasks.cancel_scope.cancel()
        assert not scope.cancelled_caught

    anyio.run(cancelled)
    join_workers()
    assert b"sleep\x0098761\x00" not in set(command_lines())


def test_two_builds_at_once_agree(builder):
    builder.write(a="1")
    text = "FROM test/box\nCOPY a /a\nRUN echo both > /both"
    found = []

    async def both():
        async def one(name):
            found.append(await builder.start(text, name))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "test/one")
            tasks.start_soon(one, "test/two")

    anyio.run(both)
    join_workers()
    assert {name for name in builder.layer_files(found[0]) if name == "both"} == {"both"}
    assert builder.store.get("test/one")
    assert builder.store.get("test/two")


def test_the_workspace_of_a_killed_build_is_swept(builder):
    left = Path(builder.paths.build_cache) / "tmp" / "0123456789abcdef"
    (left / "1-step").mkdir(parents=True)
    builder.build("FROM test/box\nLABEL swept=yes")
    assert not left.exists()


def test_state_is_nobody_elses(builder):
    builder.build("FROM test/box\nRUN --mount=type=cache,target=/c true")
    for directory in ("records", "mounts", "tmp"):
        assert (Path(builder.paths.build_cache) / directory).stat().st_mode & 0o077 == 0


def test_records_are_read_back_as_written(tmp_path):
    cache = BuildCache(PurePosixPath(tmp_path))
    record = CacheRecord(layer=None, created="2001-01-01T00:00:00Z")
    cache.put("ab" * 32, record)
    assert cache.get("ab" * 32) == record
    assert cache.get("cd" * 32) is None
    cache.put("00" * 32, record)
    assert list(cache.records()) == [("00" * 32, record), ("ab" * 32, record)]
    (tmp_path / "ab" / ("ab" * 32 + ".json")).write_text('{"version": 99}')
    assert cache.get("ab" * 32) is None
    assert list(cache.records()) == [("00" * 32, record), ("ab" * 32, None)]
    later = time.time() + 60
    assert not cache.drop("ab" * 32, later - 3600)
    assert [cache.drop(key * 32, later) for key in ("ab", "00", "cd")] == [True, True, False]
    assert list(cache.records()) == []
