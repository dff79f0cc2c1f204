"""What BuildKit's own tests of the Dockerfile ask (docs/conformance-dockerfile.md), told anew."""

from __future__ import annotations

import io
import socket
import tarfile
import threading

import pytest
from support.builds import Builder
from support.gitserver import git_server
from support.webserver import web_server

from orchestra.errors import BuildError
from orchestra.oci.platform import Platform

pytestmark = pytest.mark.kernel


def files_of(builder, text, **spec):
    """Build, and return the files of the result as text."""
    found = builder.layer_files(builder.build(text, **spec))
    return {name: data.decode() for name, data in found.items()}


def test_a_new_destination_belongs_to_root_and_what_is_in_it_to_its_owner(builder):
    builder.build(
        "FROM test/box AS source\n"
        "RUN mkdir -p /dir/sub && touch /dir/sub/f && chown 100:200 /dir && chown 101:201 /dir/sub && chown 102:202 /dir/sub/f && chmod 700 /dir\n"
        "FROM test/box\nRUN mkdir -p /there/old && chown 500:600 /there && chown 501:601 /there/old\n"
        "COPY --from=source /dir /new\nCOPY --from=source /dir/. /there\nCOPY --from=source --chown=7:8 /dir /given\n"
        "RUN stat -c '%n %u:%g %a' /new /new/sub /new/sub/f /there /there/old /there/sub /given /given/sub/f"
    )
    assert [line.rsplit(" ", 1)[0] for line in builder.said.splitlines()] == [
        "/new 0:0", "/new/sub 101:201", "/new/sub/f 102:202", "/there 500:600", "/there/old 501:601",
        "/there/sub 101:201", "/given 7:8", "/given/sub/f 7:8",
    ]  # fmt: skip
    assert builder.said.startswith("/new 0:0 755\n")


def test_excludes(builder):
    for name in (
        "dir1/a.png",
        "dir1/b.txt",
        "dir2/c.pdf",
        "dir2/d.png",
        "dir3/e.mp3",
        "dir3/f.mpeg",
    ):
        builder.write(**{name.replace("/", "__").replace(".", "_"): name})
    (builder.context / "dir3" / "l.txt").symlink_to("nowhere")
    found = files_of(
        builder,
        "FROM scratch\nCOPY --exclude=*/*.png --exclude=*/*.mp3 . /1\nADD --exclude=*.mp3 dir3/ /2/\n"
        "COPY --exclude=*.mp3 --exclude=*.png --exclude=*.txt --exclude=*.pdf dir* /3/\n"
        "ADD --exclude=* dir* /4\nCOPY --exclude=*.mp* --exclude=!*.mpeg dir3 /5/\n",
    )
    assert set(found) == {
        "1/dir1/b.txt", "1/dir2/c.pdf", "1/dir3/f.mpeg", "2/f.mpeg", "3/f.mpeg", "5/f.mpeg",
    }  # fmt: skip


def test_links_of_the_context(builder):
    builder.write(bar="1", sub__one="2", sub__three="3")
    for link, target in {
        "foo": "bar",
        "sub/l1": "one",
        "sub/l2": "two",
        "sub/two": "three",
        "d": "sub",
    }.items():
        (builder.context / link).symlink_to(target)
    found = files_of(
        builder,
        "FROM scratch\nCOPY foo /\nCOPY sub/l* /all/\nCOPY d/one /through\nCOPY d/../bar /up\n",
    )
    assert found == {"foo": "1", "all/l1": "2", "all/l2": "3", "through": "2", "up": "1"}
    found = files_of(
        builder,
        "FROM test/box AS one\nRUN mkdir -p /out/s && ln -s /out/s /a && ln -s out/s /b && echo -n x > /a/f\n"
        "FROM scratch\nCOPY --from=one /a/f /1\nCOPY --from=one /b/f /2\nCOPY --from=one b/f 3\n",
    )
    assert found == {"1": "x", "2": "x", "3": "x"}


def test_wildcards_and_destinations(builder):
    builder.write(foo_go="f", bar_go="b", sub__dir1__dir2__foo="s")
    found = files_of(
        builder,
        "FROM scratch\nCOPY *.go /g/\nCOPY f*.go foo2.go\nCOPY sub/* /s1/\nCOPY sub/*/dir2/foo /s2/\n"
        "COPY sub/*/dir2/foo /s3/bar\nCOPY sub/dir1/ s4\nCOPY sub/dir1/. s5\nCOPY foo.go none* /s6/\n"
        "WORKDIR /w/x\nCOPY foo.go ../\nCOPY foo.go ./y/z\nENV empty=\nCOPY bar.go $empty\n",
    )
    assert found == {
        "g/foo.go": "f", "g/bar.go": "b", "foo2.go": "f", "s1/dir2/foo": "s", "s2/foo": "s",
        "s3/bar": "s", "s4/dir2/foo": "s", "s5/dir2/foo": "s", "s6/foo.go": "f", "w/foo.go": "f",
        "w/x/y/z": "f", "w/x/bar.go": "b",
    }  # fmt: skip


def test_a_linked_copy_goes_where_the_working_directory_says(builder):
    builder.write(f="1")
    builder.build(
        "FROM test/box\nWORKDIR /var/www\nENV empty=\nCOPY --link f .\nCOPY --link f $empty\nRUN cat f /var/www/f"
    )
    assert builder.said == "11\n"


def test_odd_names(builder):
    names = ("test-äöü.txt", "test-%C3%A4.txt", "test+aou.txt", "a b", "-dash", "[x]")
    for name in names:
        (builder.context / name).write_text(name)
    text = "FROM scratch\n" + "".join(
        f'COPY ["{name.replace("[", "[[]")}", "/"]\n' for name in names
    )
    assert files_of(builder, text) == {name: name for name in names}


def test_users_and_their_groups(builder):
    builder.build(
        "FROM test/box\nRUN printf 'root:x:0:root\\nwheel:x:10:root\\nd:x:1001:\\nmore:x:1002:d\\n' > /etc/group "
        "&& printf 'root:x:0:0::/root:/bin/sh\\nd:x:1001:1001::/bin:/bin/false\\n' > /etc/passwd\n"
        "RUN id -u; id -G\nUSER d\nRUN id -u; id -G\nUSER 1001\nRUN id -u; id -G\nUSER d:d\nRUN id -u; id -G\n"
        "USER 1001:more\nRUN id -u; id -G\nUSER 1234\nRUN id -u; id -G\nUSER 1234:5\nRUN id -u; id -G\n"
    )
    pairs = builder.said.splitlines()
    assert list(zip(pairs[0::2], pairs[1::2], strict=True)) == [
        ("0", "0 10"), ("1001", "1001 1002"), ("1001", "1001 1002"), ("1001", "1001"),
        ("1001", "1002"), ("1234", "0"), ("1234", "5"),
    ]  # fmt: skip


def test_the_name_of_the_sandbox(builder):
    text = "FROM test/box\nRUN hostname; echo $HOSTNAME; tail -1 /etc/hosts | cut -f2"
    builder.build(text, args={"BUILDKIT_SANDBOX_HOSTNAME": "foo"})
    assert builder.said.split()[0] == "foo"
    assert "foo" in builder.said.splitlines()[-1]


def test_arguments(builder):
    text = (
        'ARG a1="foo bar" a2=box\nARG a3="$a2-foo"\nFROM test/$a2 AS build\nARG a3 a4="123 456" a1\nARG none\nARG blank=\n'
        'RUN echo "$a1:$a3:$a4:${none-unset}:${blank-unset}"\nRUN echo $HTTP_PROXY:$http_proxy:$TARGETSTAGE\n'
        "ARG TARGETSTAGE\nRUN echo $TARGETSTAGE"
    )
    builder.build(text, args={"http_proxy": "hp", "UNUSED": None})
    assert builder.said == "foo bar:box-foo:123 456:unset:\nhp:hp:\nbuild\n"
    builder.build(f"{text}\nFROM scratch\nCOPY --from=build /bin/busybox /", no_cache=True)
    assert builder.said.splitlines()[-1] == "default"
    for bad, why in {
        'ARG F=${F:?"mine"}\nFROM test/box': "F: mine",
        "FROM test/box\nARG F\nARG G=${F:?x}": "F: x",
    }.items():
        with pytest.raises(BuildError, match=why):
            builder.build(bad)
    builder.build("FROM test/box\nARG F\nARG G=${F:?x}", args={"F": "1"})
    builder.build("FROM test/box\nARG G=${F:?x}", args={"G": "1"})


def test_a_changed_proxy_is_no_reason_to_build_again(builder):
    text = "FROM test/box\nARG FOO\nRUN echo $FOO $NO_PROXY $RANDOM > /r"
    first = builder.build(text, args={"FOO": "1"})
    assert builder.build(text, args={"FOO": "1"}) == first
    assert builder.build(text, args={"FOO": "2"}) != first


def test_history_shows_arguments_once_and_their_last_value(builder):
    image = builder.build("FROM test/box\nARG foo=bar\nARG bar=123\nARG foo=bar2\nRUN ls /etc/")
    lines = [line.created_by for line in image.config.history]
    assert lines[-4:-1] == ["ARG foo=bar", "ARG bar=123", "ARG foo=bar2"]
    assert lines[-1].startswith("RUN |2 foo=bar2 bar=123 /bin/sh -c ls /etc/")


def test_documents(builder):
    found = files_of(
        builder,
        "FROM test/box AS build\nARG name=world\nWORKDIR /dest\n"
        'COPY <<EOF q\n"quotes"\nEOF\nCOPY <<EOF s1\n\\\nEOF\nCOPY <<EOF s2\n\\\\\nEOF\nCOPY <<EOF s3\n\\$\nEOF\n'
        'COPY <<"EOF" r1\n\\\nEOF\nCOPY <<"EOF" r3\n\\$\nEOF\nCOPY <<EOF v1\nHello ${name}! \'${name}\'\nEOF\n'
        "COPY <<'EOF' v2\nHello ${name}!\nEOF\nCOPY <<-EOF t\n\ttab\nEOF\nCOPY --chmod=640 --chown=bob <<A <<B d/\n1\nA\n2\nB\n"
        "RUN cat <<E1 | tr a-z A-Z > up; cat <<E2 > low\nhello\nE1\nHELLO\nE2\n"
        'RUN <<EOF sh > sh\necho \'in sh\'\nEOF\nRUN <<-EOF\n\t#!/bin/awk -f\n\tBEGIN { print "awk" > "awk" }\nEOF\n'
        'SHELL ["/bin/awk"]\nRUN <<EOF\nBEGIN { print "shell" > "/dest/shell" }\nEOF\n'
        'SHELL ["/bin/sh", "-c"]\nRUN stat -c %a:%U d/A d/B > d/stat\n'
        "FROM scratch\nCOPY --from=build /dest /\n",
    )
    assert found == {
        "q": '"quotes"\n', "s1": "\n", "s2": "\\\n", "s3": "$\n", "r1": "\\\n", "r3": "\\$\n",
        "v1": "Hello world! 'world'\n", "v2": "Hello ${name}!\n", "t": "tab\n", "d/A": "1\n",
        "d/B": "2\n", "up": "HELLO\n", "low": "HELLO\n", "sh": "in sh\n", "awk": "awk\n",
        "shell": "shell\n", "d/stat": "640:bob\n640:bob\n",
    }  # fmt: skip


def test_triggers_of_stages_and_of_images(builder):
    builder.build("FROM test/box\nONBUILD RUN mkdir -p /out && echo -n 11 >> /out/foo", "test/on")
    assert files_of(
        builder, "FROM test/on AS base\nFROM base\nFROM scratch\nCOPY --from=1 /out /"
    ) == {"foo": "11"}
    found = files_of(
        builder,
        "FROM test/box AS src\nRUN echo -n 12 > /in\nFROM test/box AS base\nONBUILD COPY --from=src /in /out/foo\n"
        "ONBUILD RUN <<E\necho -n doc > /out/doc\nE\n"
        "ONBUILD RUN --mount=type=cache,target=/c,id=onbuild --mount=from=src,target=/s cp /s/in /c/x; cp /c/x /out/x\n"
        "FROM base AS mid\nRUN cp /out/foo /out/bar\nFROM mid AS later\nFROM scratch\nCOPY --from=later /out /",
    )
    assert found == {"foo": "12", "bar": "12", "doc": "doc", "x": "12"}


def test_a_trigger_may_name_a_context(builder, tmp_path):
    builder.build("FROM test/box\nONBUILD COPY --from=other /f /out", "test/on2")
    (tmp_path / "f").write_text("named")
    text = "FROM test/on2 AS base\nFROM scratch\nCOPY --from=base /out /"
    assert files_of(builder, text, additional_contexts={"other": str(tmp_path)}) == {"out": "named"}


def test_names_of_stages_have_no_case_and_hide_images(builder):
    builder.write(f="1")
    text = "FROM test/box AS STAge0\nCOPY f /a\nFROM test/box AS staGE1\nCOPY --from=staGE0 /a /b\nFROM scratch\nCOPY --from=stage1 /b /c"
    assert files_of(builder, text) == {"c": "1"}
    assert "b" in builder.layer_files(builder.build(text, target="Stage1"))
    with pytest.raises(BuildError, match="not defined before"):
        builder.build("FROM test/box AS a\nCOPY --from=b /x /\nFROM test/box AS b\nFROM a")
    with pytest.raises(BuildError, match="no stage") as caught:
        builder.build(text, target="stge1")
    assert "did you mean stage1?" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "written"),
    [("alpine", "alpine"), ("alpine", "alpine:latest"), ("alpine", "docker.io/library/alpine"),
     ("alpine:3", "alpine:3"), ("r.example/a", "r.example/a:latest"), ("base", "test/box AS base")],
)  # fmt: skip
def test_a_context_stands_in_for_an_image_however_it_is_written(builder, name, written):
    builder.build("FROM test/box\nRUN echo -n stand-in > /who\nENV WHO=env", "test/stand")
    spec = {"additional_contexts": {name: "docker-image://test/stand"}}
    builder.build(f"FROM {written}\nRUN cat /who; echo $WHO", **spec, no_cache=True)
    assert builder.said == "stand-inenv\n"
    reference = written.rpartition(" AS ")[2]
    image = builder.build(f"FROM {written}\nFROM scratch\nCOPY --from={reference} /who /", **spec)
    assert builder.layer_files(image) == {"who": b"stand-in"}


def test_a_context_may_be_nothing(builder):
    found = files_of(
        builder, "FROM test/box\nCOPY <<E /out\nx\nE\n",
        additional_contexts={"test/box": "docker-image://scratch", "unused": "docker-image://no/such"},
    )  # fmt: skip
    assert found == {"out": "x\n"}


def test_mounts(builder):
    builder.write(a_txt="foo", b_txt="bar")
    builder.build(
        "ARG META=/tmp/meta\nFROM test/box AS one\nENV P=/m ID=mine KIND=cache\nARG META\n"
        "RUN --mount=source=.,target=/tmp/t --mount=source=b.txt,target=/tmp/b.txt cat /tmp/t/a.txt /tmp/b.txt\n"
        "RUN --mount=type=cache,target=/m,uid=1001,gid=1002,mode=0751 stat -c ' %u %g %a' /m; touch /m/f\n"
        "RUN --mount=type=cache,target=/m2 ls /m2 | wc -l\nRUN --mount=type=$KIND,target=$P ls $P\n"
        "RUN --mount=type=cache,id=mine,target=/x touch /x/f2\n"
        "RUN --mount=type=cache,id=mine,target=$META ls $META\n"
        "RUN --mount=type=cache,target=/n/a --mount=type=cache,target=/n/a/b echo nested; ls /n/a\n"
        "FROM one\nRUN --mount=type=$KIND,id=$ID,target=/y ls /y\n"
        "RUN --mount=type=tmpfs,target=/dev/shm,size=128m df -m /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2\n"
        "RUN ls -d /m /m2 /x /y /n /tmp/t /tmp/b.txt 2>/dev/null | wc -l"
    )
    assert builder.said.split() == [
        "foobar", "1001", "1002", "751", "0", "f", "f2", "nested", "b", "f2", "128", "0",
    ]  # fmt: skip


def test_a_source_in_a_cache_does_not_lead_out_of_it(builder):
    cache = "RUN --mount=type=cache,id=escape,target=/c "
    builder.build(
        f"FROM test/box\n{cache}mkdir -p /c/sel && echo benign > /c/sel/f && ln -s /etc /c/out && ln -s sel /c/in"
    )
    for source in ("sel", "in"):
        builder.build(
            f"FROM test/box\nRUN --mount=type=cache,id=escape,source={source},target=/v cat /v/f"
        )
        assert builder.said == "benign\n"
    with pytest.raises(BuildError, match="not there in the cache"):
        builder.build(
            "FROM test/box\nRUN --mount=type=cache,id=escape,source=out,target=/v cat /v/hostname"
        )


def test_a_mount_counts_by_what_it_shows(builder):
    text = "FROM test/box AS one\nCOPY bust /\nRUN mkdir /out && echo foo > /out/foo\nFROM test/box\nRUN --mount=from=one,src=out,target=/o,rw touch /o/bar && echo $RANDOM > /unique"
    builder.write(bust="0")
    first = builder.build(text)
    builder.write(bust="1")
    assert builder.build(text).layers == first.layers


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("RUN --mont=target=/x true", 'unknown flag "--mont"', "did you mean --mount?"),
        ("RUN --mount=typ=tmpfs true", 'unknown key "typ"', "did you mean type?"),
        ("RUN --mount=type=tmp true", "type=tmp is not supported", "did you mean tmpfs?"),
        ("FNTRYPOINT x", 'unknown instruction "FNTRYPOINT"', "did you mean ENTRYPOINT?"),
        ("COPY --chmod=64a f /", "not a mode", "755"),
        ("COPY --chmod=10000 f /", "not a mode", "755"),
        ("ADD --checksum=md5:7e55 https://h/f /", "no algorithm", "sha256"),
        ("ADD --checksum=sha256:12 https://h/f /", "not a sha256 digest", None),
        ("ADD --checksum=sha256:12 f /", "exactly one URL", None),
        ('RUN ["echo", "hello"]this is invalid', "exited with code", None),
        ("VOLUME $EMPTY", "empty string", None),
    ],
)
def test_mistakes(builder, text, why, hint):
    builder.write(f="1")
    with pytest.raises(BuildError, match=why) as caught:
        builder.build(f"FROM test/box\nENV EMPTY=\n{text}")
    assert caught.value.location.line == 3
    assert hint is None or hint in caught.value.hint


def test_commands_of_the_image(builder):
    config = builder.build(
        'FROM test/box\nCMD ["test"]\nSHELL ["ls"]\nENTRYPOINT my entry\n'
    ).config
    assert (config.cmd, config.entrypoint) == (("test",), ("ls", "my entry"))
    builder.build("FROM test/box\nENTRYPOINT []random string\n", "test/odd")
    assert builder.store.get("test/odd").config.entrypoint == ("/bin/sh", "-c", "[]random string")
    builder.build('FROM test/box\nENTRYPOINT ["/no"]\nRUN ["echo", "ran"]')
    assert builder.said == "ran\n"
    config = builder.build('FROM test/box\nARG P="3000 4000/udp"\nEXPOSE $P\nEXPOSE 5000').config
    assert config.exposed_ports == ("3000/tcp", "4000/udp", "5000/tcp")


def test_the_file_may_be_written_small_or_be_a_link(builder):
    (builder.context / "dockerfile").write_text("FROM scratch\nCOPY <<f /\n1\nf\n")
    spec = {"dockerfile": str(builder.context / "Dockerfile")}
    assert files_of(builder, "unused", **spec) == {"f": "1\n"}
    (builder.context / "Dockerfile").symlink_to("dockerfile")
    assert files_of(builder, "unused", **spec) == {"f": "1\n"}


def test_a_directory_that_becomes_a_file(builder):
    builder.write(foo__bar="1")
    builder.build("FROM scratch\nCOPY foo /")
    (builder.context / "foo" / "bar").unlink()
    (builder.context / "foo").rmdir()
    builder.write(foo="2")
    assert files_of(builder, "FROM scratch\nCOPY foo /") == {"foo": "2"}


def test_ignore_files(builder):
    builder.write(
        foo="1", bar="2", baz="3", bay="4", _dockerignore="ba*\nDockerfile\n!bay\n.dockerignore\n"
    )
    assert set(files_of(builder, "FROM scratch\nCOPY . .")) == {"foo", "bay"}
    builder.write(_dockerignore="!\n")
    with pytest.raises(BuildError, match="not a pattern"):
        builder.build("FROM scratch\nCOPY . .")


def tar_of(members, path):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(content, tuple):
                info.type, info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content.encode()))


def test_archives(builder):
    root = builder.context
    tar_of({"implied/dir/f": "1"}, root / "a.tar")
    tar_of({"real": None, "link": (tarfile.SYMTYPE, "/real")}, root / "rootfs.tar")
    tar_of({"link/f": "2", "hard": (tarfile.LNKTYPE, "link/f")}, root / "payload.tar")
    assert files_of(builder, "FROM scratch\nADD a.tar /\n") == {"implied/dir/f": "1"}
    found = files_of(builder, "FROM scratch\nADD rootfs.tar /\nADD payload.tar /\n")
    assert found == {"real/f": "2", "hard": "2"}
    assert set(files_of(builder, "FROM scratch\nADD [ap]*.tar /d")) == {
        "d/implied/dir/f",
        "d/link/f",
        "d/hard",
    }
    builder.build(
        "FROM test/box\nARG g=5\nADD --chown=4:$g a.tar /o/\nRUN stat -c %u:%g /o /o/implied/dir/f"
    )
    assert builder.said == "4:5\n4:5\n"
    builder.write(f="3")
    found = files_of(builder, "FROM scratch\nADD rootfs.tar /\nCOPY f /link/\n")
    assert found == {"real/f": "3"}


def test_the_network_of_a_step(builder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve():
            for _ in range(2):
                client, _ = server.accept()
                client.sendall(b"hello\n")
                client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        ask = f"nc 127.0.0.1 {port} </dev/null"
        builder.build(f"FROM test/box\nRUN --network=host {ask}", entitlements=("network.host",))
        assert builder.said == "hello\n"
        builder.build(
            f"FROM test/box\nRUN {ask}\nRUN --network=none ! nc -w1 127.0.0.1 {port} 2>/dev/null </dev/null",
            network="host",
            no_cache=True,
        )
        assert builder.said == "hello\n"
        thread.join(60)


def test_reproducible_dates(builder):
    text = "ARG SOURCE_DATE_EPOCH={}\nFROM test/box\nRUN touch /t\nWORKDIR /mydir\n"
    image = builder.build(text.format(1000000000))
    assert image.config.created == "2001-09-09T01:46:40Z"
    image = builder.build(text.format(1000000000), args={"SOURCE_DATE_EPOCH": "1100000000"})
    assert image.config.created == "2004-11-09T11:33:20Z"
    image = builder.build(text.format(1000000000), args={"SOURCE_DATE_EPOCH": ""})
    assert image.config.created > "2020"
    with pytest.raises(BuildError, match="not a number of seconds"):
        builder.build(text.format("yesterday"))
    other = Builder(builder.root, variables={"SOURCE_DATE_EPOCH": "1200000000"})
    assert other.build("FROM test/box\nRUN touch /u").config.created == "2008-01-10T21:20:00Z"


def test_dates_are_those_of_a_context(builder, tmp_path):
    told = "FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL told=$SOURCE_DATE_EPOCH\n"
    fetched = io.BytesIO()
    with tarfile.open(fileobj=fetched, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size, info.mtime = len(told), 1300000000
        tar.addfile(info, io.BytesIO(told.encode()))
    with git_server(tmp_path) as repositories, web_server({"/c.tar": fetched.getvalue()}) as url:
        repositories.make("r", Dockerfile=told)
        git = f"{repositories.url}/r.git"
        for context in (git, f"{url}/c.tar"):
            image = builder.build(
                "", context=context, dockerfile="Dockerfile", args={"SOURCE_DATE_EPOCH": "context"}
            )
            assert image.config.labels["told"] == "1000000000"
            assert image.config.created == "2001-09-09T01:46:40Z"
        image = builder.build(
            told, additional_contexts={"src": git}, args={"SOURCE_DATE_EPOCH": "src"}
        )
        assert image.config.created == "2001-09-09T01:46:40Z"
    image = builder.build(
        "",
        context="-",
        dockerfile="Dockerfile",
        stdin=fetched.getvalue(),
        args={"SOURCE_DATE_EPOCH": "context"},
    )
    assert image.config.labels["told"] == "1300000000"
    assert builder.build(told, args={"SOURCE_DATE_EPOCH": "context"}).config.labels == {"told": ""}


def test_a_git_context_keeps_its_directory_where_that_is_asked_for(builder, tmp_path):
    with git_server(tmp_path) as repositories:
        repositories.make("r", Dockerfile="FROM scratch\nCOPY . /\n")
        url = f"{repositories.url}/r.git"
        spec = {"context": url, "dockerfile": "Dockerfile"}
        assert set(files_of(builder, "", **spec)) == {"Dockerfile"}
        kept = builder.build("", **spec, args={"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"})
        assert ".git/HEAD" in builder.layer_files(kept)


def test_a_stage_for_another_platform_is_described_so(builder):
    text = "FROM --platform=linux/arm64 scratch\nCOPY <<f /\nx\nf\n"
    assert builder.build(text).config.platform == Platform("linux", "arm64")
