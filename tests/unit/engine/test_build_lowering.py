"""From text to vertices: stages, arguments, the environment, the config of the result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.graph import make_graph
from orchestra.engine.build.lowering import Base, lower_stage
from orchestra.engine.build.mounts import read_mount
from orchestra.engine.build.ports import read_ports
from orchestra.engine.build.vertices import (
    ContextSource,
    CopyVertex,
    ImageSource,
    MakeDirectoryVertex,
    StageSource,
    definition,
)
from orchestra.errors import BuildError
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def graph_of(text, arguments=None, target="", contexts=(), platform=AMD64):
    return make_graph(
        parse_dockerfile(text),
        file="Dockerfile",
        arguments=arguments or {},
        target=target,
        build_platform=AMD64,
        target_platform=platform,
        contexts=contexts,
    )


def lower(text, arguments=None, base=None, **config):
    """Lower the last stage on an image with that config."""
    graph = graph_of(text, arguments)
    start = Base(config=ImageConfig(platform=AMD64, diff_ids=(), **config))
    return lower_stage(graph, graph.stages[-1], base or start, arguments or {})


def lower_all(text):
    graph = graph_of(text)
    for stage in graph.stages:
        lower_stage(graph, stage, Base(config=ImageConfig(platform=AMD64, diff_ids=())), {})


def vertices(text, arguments=None, **config):
    return [step.vertex for step in lower(text, arguments, **config).steps if step.vertex]


def test_only_needed_stages_are_planned():
    graph = graph_of(
        "FROM a AS one\nFROM b AS two\nFROM one AS three\nCOPY --from=0 x y\nFROM c\nRUN --mount=from=three,target=/t x"
    )
    assert graph.needed == (0, 2, 3)
    assert graph_of("FROM a AS one\nFROM b", target="ONE").needed == (0,)


def test_a_stage_name_hides_an_image_from_then_on():
    graph = graph_of("FROM app AS app\nFROM app")
    assert [stage.base for stage in graph.stages] == [ImageSource("app"), StageSource(0)]


def test_additional_contexts_hide_stages_and_images():
    graph = graph_of("FROM a AS one\nFROM b AS two\nCOPY --from=one x /", contexts=("one", "b"))
    assert [stage.base for stage in graph.stages] == [ContextSource("one"), ContextSource("b")]
    assert graph.needed == (1,)


def test_arguments_before_from_fill_it_and_nothing_else():
    text = "ARG V=1\nARG I=img:$V\nFROM $I\nARG V\nRUN echo"
    (run,) = vertices(text, {"V": "2"})
    assert graph_of(text).stages[0].base == ImageSource("img:1")
    assert graph_of(text, {"V": "2"}).stages[0].base == ImageSource("img:2")
    assert "V=2" in run.env
    assert not [entry for entry in run.env if entry.startswith("I=")]


def test_platform_arguments_are_known_where_they_are_asked_for():
    text = "FROM --platform=$BUILDPLATFORM a\nARG TARGETARCH TARGETPLATFORM\nRUN x"
    graph = graph_of(text, platform=ARM64)
    assert graph.stages[0].platform == AMD64
    start = Base(config=ImageConfig(platform=ARM64, diff_ids=()))
    (step,) = [s for s in lower_stage(graph, graph.stages[0], start, {}).steps if s.vertex]
    assert {"TARGETARCH=arm64", "TARGETPLATFORM=linux/arm64"} <= set(step.vertex.env)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("RUN x\nFROM a", 1, "before the first FROM"),
        ("ARG A", 0, "no FROM"),
        ("FROM $A", 1, "blank"),
        ("FROM --platform=a/b/c/d x", 1, "platform"),
        ("FROM a\nCOPY --from=1 x y\nFROM b", 2, "not defined before"),
        ("FROM a\nCOPY --from=0 x y", 2, "not defined before"),
        ("FROM a\nCOPY --from=late x y\nFROM b AS late", 2, "not defined before"),
    ],
)
def test_graphs_that_cannot_be(text, line, why):
    with pytest.raises(BuildError, match=why) as caught:
        lower_all(text)
    assert caught.value.location.line == line


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("FROM a\nSTOPSIGNAL nope", 'cannot build STOPSIGNAL: there is no signal "nope"'),
        ("FROM a AS x\nFROM b AS y\nSTOPSIGNAL nope", 'cannot build STOPSIGNAL in stage "y": '),
        ("FROM a\nENV A=${B:?set-B}", "cannot build ENV: .*set-B"),
        ("FROM a\nENV A=${B^}", "cannot build ENV: .*modifier"),
    ],
)
def test_errors_name_instruction_and_stage(text, why):
    with pytest.raises(BuildError, match=why) as caught:
        lower_all(text)
    assert caught.value.location.line == len(text.splitlines())


@pytest.mark.parametrize("name", ["SIGTERM", "term", "9", "SIGRTMIN+3", "$S"])
def test_stop_signals(name):
    config = lower(f"FROM a\nARG S=INT\nSTOPSIGNAL {name}").config
    assert config.stop_signal == name.replace("$S", "INT")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("${v:-d}", "a.b.a"), ("${n:-d}", "d"), ("${e:-d}", "d"), ("${e-d}", ""), ("${n-d}", "d"),
        ("${v:+s}", "s"), ("${e:+s}", ""), ("${e+s}", "s"), ("${n+s}", ""), ("${n:-${v}}", "a.b.a"),
        ("${v?x}", "a.b.a"), ("${v#a*.}", "b.a"), ("${v##a*.}", "a"), ("${v%.*}", "a.b"),
        ("${v%%.*}", "a"), ("${v/a/X}", "X.b.a"), ("${v//a/X}", "X.b.X"), ("${v/./-}", "a-b.a"),
        ("${v//./\\/}", "a\\/b\\/a"), ("\\$v", "$v"), ("'$v'", "$v"), ("${n}", ""), ("$v-x", "a.b.a-x"),
    ],
)  # fmt: skip
def test_every_form_of_a_variable(word, value):
    config = lower(f"FROM a\nARG v=a.b.a e=\nLABEL l={word}").config
    assert config.labels["l"] == value


def test_unknown_target_lists_the_stages():
    with pytest.raises(BuildError, match="nope") as caught:
        graph_of("FROM a AS one\nFROM b AS two", target="nope")
    assert "one, two" in caught.value.hint


def test_env_and_arg_follow_each_other():
    (run,) = vertices(
        "FROM a\nARG X=1\nENV Y=$X X=2\nARG Z=$X\nENV P=$P:/more\nRUN x", env=("P=/bin", "PATH=/p")
    )
    assert run.env == ("P=/bin:/more", "PATH=/p", "X=2", "Y=1", "Z=2")


def test_pairs_of_one_env_do_not_see_each_other():
    lowered = lower("FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc")
    assert set(lowered.config.env) >= {"abc=bye", "def=hello", "ghi=bye"}


def test_arguments_are_variables_but_not_part_of_the_image():
    lowered = lower("FROM a\nARG A=1\nRUN echo $A")
    assert "A=1" in lowered.steps[-1].vertex.env
    assert not [entry for entry in lowered.config.env if entry.startswith("A=")]
    assert lowered.steps[-1].history.created_by == "RUN |1 A=1 /bin/sh -c echo $A"


def test_proxies_are_in_the_environment_and_not_in_the_key():
    (with_proxy,) = vertices("FROM a\nRUN x", {"http_proxy": "http://p"})
    (without,) = vertices("FROM a\nRUN x")
    assert with_proxy.proxies == ("HTTP_PROXY=http://p", "http_proxy=http://p")
    assert definition(with_proxy) == definition(without)


def test_workdir_is_relative_to_the_one_before_and_made():
    found = vertices("FROM a\nWORKDIR b\nUSER u\nWORKDIR ../c\nRUN x", working_dir="/a")
    assert found[:2] == [
        MakeDirectoryVertex(path="/a/b", user=""),
        MakeDirectoryVertex(path="/a/c", user="u"),
    ]
    assert found[2].cwd == "/a/c"


@pytest.mark.parametrize(
    ("written", "absolute"),
    [
        ("/x", "/x"), ("/x/", "/x/"), ("x", "/w/x"), ("x/", "/w/x/"), (".", "/w/"),
        ("./", "/w/"), ("..", "/"), ("/", "/"), ("/a/../b/.", "/b/"), ("../../../x", "/x"),
    ],
)  # fmt: skip
def test_destinations_keep_their_trailing_slash(written, absolute):
    (copy,) = vertices(f"FROM a\nCOPY s {written}", working_dir="/w")
    assert copy.destination == absolute


def test_user_counts_for_run_and_not_for_copy():
    copy, run = vertices("FROM a\nUSER 1000\nCOPY a b\nRUN x")
    assert (copy.chown, run.user) == ("", "1000")


def test_copy_words_are_expanded_and_documents_if_unquoted():
    text = "FROM a\nARG D=dir\nCOPY $D/a <<f <<'g' ${D}/\n$D \\$D '$D'\nf\n$D\ng\n"
    (copy,) = vertices(text)
    assert copy.sources == ("dir/a",)
    assert copy.documents == (("f", "dir $D 'dir'\n"), ("g", "$D\n"))
    assert copy.destination == "/dir/"


def test_add_unpacks_and_copy_does_not():
    add, kept, copy = vertices("FROM a\nADD a b\nADD --unpack=false a b\nCOPY a b")
    assert (add.unpack, kept.unpack, copy.unpack) == (True, False, False)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("RUN a  b", ("/bin/sh", "-c", "a  b")),
        ('RUN ["a", "b"]', ("a", "b")),
        ('SHELL ["/bin/bash", "-c"]\nRUN a', ("/bin/bash", "-c", "a")),
        ("RUN <<E\na\nb\nE", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN <<-E\n\ta\n\tE", ("/bin/sh", "-c", "a\n")),
        ("RUN cat <<E\na\nE", ("/bin/sh", "-c", "cat <<E\na\nE")),
        ("RUN <<E\n#!/bin/x\na\nE", ("/bin/sh", "-c", "/dev/pipes/E")),
    ],
)
def test_command_lines(text, args):
    run = vertices(f"FROM a\n{text}")[-1]
    assert run.args == args
    assert (run.script is not None) == args[-1].startswith("/dev/pipes")


@pytest.mark.parametrize(
    ("text", "entrypoint", "cmd"),
    [
        ("ENTRYPOINT [\"e\"]", ("e",), None),
        ("CMD [\"c\"]\nENTRYPOINT [\"e\"]", ("e",), ("c",)),
        ("CMD c", ("base",), ("/bin/sh", "-c", "c")),
        ("ENTRYPOINT []", None, None),
        ("EXPOSE 1", ("base",), ("basecmd",)),
    ],
)  # fmt: skip
def test_entrypoint_forgets_an_inherited_cmd(text, entrypoint, cmd):
    config = lower(f"FROM a\n{text}", entrypoint=("base",), cmd=("basecmd",)).config
    assert (config.entrypoint, config.cmd) == (entrypoint, cmd)


def test_metadata_is_inherited_and_added_to():
    config = lower(
        "FROM a\nLABEL b=2 c=$HOME\nEXPOSE 80 53/udp 90-91\nVOLUME /v\nSTOPSIGNAL SIGINT\nUSER u:g\n"
        "HEALTHCHECK CMD x\nONBUILD RUN y",
        labels={"a": "1", "b": "1"},
        exposed_ports=("1/tcp",),
        env=("HOME=/h",),
        on_build=("RUN old",),
    ).config
    assert config.labels == {"a": "1", "b": "2", "c": "/h"}
    assert config.exposed_ports == ("1/tcp", "53/udp", "80/tcp", "90/tcp", "91/tcp")
    assert (config.volumes, config.stop_signal, config.user) == (("/v",), "SIGINT", "u:g")
    assert config.healthcheck.test == ("CMD-SHELL", "x")
    assert config.on_build == ("RUN y",)


def test_triggers_of_the_base_run_first():
    base = Base(config=ImageConfig(platform=AMD64, diff_ids=()), triggers=("ENV T=1", "COPY . /t"))
    lowered = lower("FROM a\nRUN x", base=base)
    assert isinstance(lowered.steps[1].vertex, CopyVertex)
    assert "T=1" in lowered.steps[2].vertex.env
    assert lowered.config.on_build == ()


def test_a_copy_is_known_by_what_it_copies_not_by_how_it_was_named():
    one, two = vertices("FROM a\nCOPY x/a /d/\nCOPY y/a z /d/")
    assert definition(one) == definition(two)
    other = vertices("FROM a\nCOPY --chown=1 x/a /d/")[0]
    assert definition(one) != definition(other)


def test_what_changes_a_run_changes_its_definition():
    texts = ["RUN x", "RUN y", "USER 1\nRUN x", "ENV A=1\nRUN x", "RUN --network=none x",
             "RUN --mount=type=tmpfs,target=/t x", "RUN --security=insecure x", "SHELL [\"s\"]\nRUN x"]  # fmt: skip
    seen = [str(definition(vertices(f"FROM a\n{text}")[-1])) for text in texts]
    assert len(set(seen)) == len(texts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("type=bind", "target"),
        ("target=/", "target"),
        ("type=tmpfs,target=/x,size=1q", "size"),
        ("type=cache,target=/x,sharing=some", "sharing"),
        ("type=secret", "secret needs"),
        ("type=secret,id=a,source=b", "either"),
        ("type=secret,id=a,mode=9", "mode"),
        ("type=bind,target=/x,size=1", "not allowed"),
        ("type=ssh,source=/x", "not allowed"),
        ("type=ssh,from=a", "not allowed"),
        ("type=bind,target=/x,required", "not allowed"),
        ("type=cache,target=/x,env=A", "not allowed"),
        ("type=tmpfs,target=/x,uid=1", "not allowed"),
        ("type=bind,target=/x,what=1", "unknown key"),
        ("type=bind,target", "needs a value"),
        ("type=cache,target=/x,ro=maybe", "true or false"),
        ("from=$X,target=/x", "variable"),
    ],
)
def test_mounts_that_make_no_sense(text, why):
    with pytest.raises(BuildError, match=why):
        read_mount(text, lambda word: word, "/")


def test_mounts_are_read():
    cache = read_mount("type=cache,target=m,id=$X,sharing=locked,mode=0700,uid=5", str.lower, "/w")
    assert (cache.target, cache.id, cache.sharing, cache.mode, cache.uid) == (
        "/w/m", "$x", "locked", 0o700, 5,
    )  # fmt: skip
    secret = read_mount("type=secret,id=tok", str, "/w")
    assert (secret.target, secret.read_only) == ("/run/secrets/tok", True)
    assert read_mount("type=secret,id=tok,env=T", str, "/w").target == ""
    agent = read_mount("type=ssh,uid=5,mode=0666,required", str, "/w")
    assert (agent.id, agent.target, agent.uid, agent.mode) == ("default", "", 5, 0o666)
    assert agent.required
    bind = read_mount("target=go.mod,source=go.mod", str, "/w")
    assert (bind.kind, bind.target, bind.read_only) == ("bind", "/w/go.mod", True)
    assert not read_mount("target=/x,rw", str, "/w").read_only
    assert read_mount("type=tmpfs,target=/x,size=64m", str, "/").size_bytes == 64 << 20


@pytest.mark.parametrize("text", ["", "x", "0x1", "80/", "99999", "9-8", "80/icmp"])
def test_what_is_no_port(text):
    with pytest.raises(BuildError, match="port"):
        read_ports(text)


@given(text=st.text(alphabet='typebindcachfromsrgt=,/" $01', max_size=40))
def test_any_mount_is_read_or_refused(text):
    try:
        mount = read_mount(text, str, "/w")
    except BuildError:
        return
    assert mount.target == "" or mount.target.startswith("/")
