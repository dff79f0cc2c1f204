"""Where contexts come from: git, URLs, stdin, image layouts; stages that leave the cache alone."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
from pathlib import Path

import anyio
import pytest
from support.builds import join_workers
from support.gitserver import git_server
from support.webserver import web_server

from orchestra.engine.build.builder import check_image
from orchestra.engine.image.ingest import Ingest
from orchestra.engine.image.store import ImageStore
from orchestra.errors import BuildError
from orchestra.oci.digest import hex_of
from orchestra.planner.building import BuildSpec

pytestmark = pytest.mark.kernel


@pytest.fixture
def repositories(tmp_path):
    with git_server(tmp_path) as repositories:
        yield repositories


def packed(files, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(text, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, text[0]
                tar.addfile(info)
                continue
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def remote(builder, context, dockerfile="Dockerfile", **spec):
    return builder.build("unused", context=context, dockerfile=dockerfile, **spec)


def test_a_context_from_git(builder, repositories):
    repositories.make("r", Dockerfile="FROM scratch\nCOPY . /all\n", a="1", secret="2",
                      _dockerignore="secret", d__Dockerfile="FROM scratch\nCOPY x /x\n", d__x="3")  # fmt: skip
    url = f"{repositories.url}/r.git"
    files = builder.layer_files(remote(builder, url))
    assert set(files) == {
        "all/Dockerfile",
        "all/a",
        "all/.dockerignore",
        "all/d/Dockerfile",
        "all/d/x",
    }
    assert builder.layer_files(remote(builder, f"{url}#main:d")) == {"x": b"3"}
    assert builder.layer_files(
        remote(builder, url, "d/Dockerfile", dockerfile_inline="FROM scratch\nCOPY a /")
    ) == {"a": b"1"}
    repositories.git("branch", "old", cwd=repositories.root / "r-tree")
    repositories.git("push", "-q", "origin", "old", cwd=repositories.root / "r-tree")
    repositories.commit("r", a="4")
    assert builder.layer_files(remote(builder, f"{url}#old"))["all/a"] == b"1"
    assert builder.layer_files(remote(builder, f"{url}?branch=main"))["all/a"] == b"4"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a": "1"}, 'no Dockerfile "Dockerfile"'),
        ({"Dockerfile": "-> /etc/hostname"}, "no Dockerfile"),
        ({"Dockerfile": "FROM scratch\nCOPY out/hostname /\n", "out": "-> /etc"}, "not there"),
        ({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "-> ../../../../../../etc/hostname"}, "not there"),
    ],
)  # fmt: skip
def test_a_fetched_context_reads_nothing_of_this_host(builder, repositories, files, why):
    repositories.make("r", **files)
    with pytest.raises(BuildError, match=why):
        remote(builder, f"{repositories.url}/r.git")


def test_a_fetched_dockerfile_has_its_own_ignore_file(builder, repositories):
    repositories.make("r", web_Dockerfile="FROM scratch\nCOPY a b /\n", web_Dockerfile_dockerignore="b\n", _dockerignore="a\n", a="1", b="2")  # fmt: skip
    url = f"{repositories.url}/r.git"
    with pytest.raises(BuildError, match='"b" is not there'):
        remote(builder, url, "web.Dockerfile")


def test_the_ignore_file_of_a_fetched_context_is_its_own(builder, repositories):
    repositories.make(
        "r", Dockerfile="FROM scratch\nCOPY . /\n", a="1", _dockerignore="-> /etc/passwd"
    )
    assert "a" in builder.layer_files(remote(builder, f"{repositories.url}/r.git"))


def test_a_context_from_a_url(builder):
    files = {
        "Dockerfile": "FROM scratch\nCOPY a /a\n",
        "a": "1",
        "web/Dockerfile": "FROM scratch\nCOPY web /w",
    }
    contents = {
        "/c.tar.gz": packed(files),
        "/plain": b"FROM scratch\nCOPY <<f /\nhi\nf\n",
        "/evil.tar": packed({"../x": "1"}),
    }
    with web_server(contents) as url:
        assert builder.layer_files(remote(builder, f"{url}/c.tar.gz")) == {"a": b"1"}
        made = remote(builder, f"{url}/c.tar.gz", "web/Dockerfile")
        assert set(builder.layer_files(made)) == {"w/Dockerfile"}
        assert builder.layer_files(remote(builder, f"{url}/plain")) == {"f": b"hi\n"}
        with pytest.raises(BuildError, match="leads out"):
            remote(builder, f"{url}/evil.tar")
        with pytest.raises(BuildError, match="404"):
            remote(builder, f"{url}/none")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_context_from_stdin(builder, mode):
    data = packed(
        {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1", "l": ("/etc/passwd",)}, mode
    )
    assert builder.layer_files(remote(builder, "-", stdin=data)) == {"a": b"1"}


def test_a_dockerfile_from_stdin(builder):
    image = remote(builder, "-", stdin=b"FROM scratch\nCOPY <<f /\nhi\nf\n")
    assert builder.layer_files(image) == {"f": b"hi\n"}
    with pytest.raises(BuildError, match="not there"):
        remote(builder, "-", stdin=b"FROM scratch\nCOPY a /\n")
    with pytest.raises(BuildError, match="no stdin"):
        remote(builder, "-")


def test_additional_contexts_from_elsewhere(builder, repositories, tmp_path):
    repositories.make("r", a="git", d__b="sub")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "c").write_text("dir")
    (tmp_path / "dir" / ".dockerignore").write_text("hidden")
    (tmp_path / "dir" / "hidden").write_text("no")
    with web_server({"/c.tar": packed({"t": "tar"}, "w")}) as url:
        image = builder.build(
            "FROM scratch\nCOPY --from=g a /\nCOPY --from=s b /\nCOPY --from=t t /\nCOPY --from=p / /\n",
            additional_contexts={
                "g": f"{repositories.url}/r.git",
                "s": f"{repositories.url}/r.git#main:d",
                "t": f"{url}/c.tar",
                "p": str(tmp_path / "dir"),
            },
        )
    files = builder.layer_files(image)
    assert {name: text.decode() for name, text in files.items() if name != ".dockerignore"} == {
        "a": "git", "b": "sub", "t": "tar", "c": "dir",
    }  # fmt: skip
    for value in ("ftp://x/y", "relative/path", "-"):
        with pytest.raises(BuildError, match="not supported"):
            builder.build("FROM scratch", additional_contexts={"x": value})


def test_a_stage_starts_from_the_files_of_a_context(builder, tmp_path):
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs" / "f").write_text("1")
    text = "FROM base\nCOPY <<g /\n2\ng\n"
    image = builder.build(text, additional_contexts={"base": str(tmp_path / "rootfs")})
    assert builder.layer_files(image) == {"f": b"1", "g": b"2\n"}
    assert builder.build(text, additional_contexts={"base": str(tmp_path / "rootfs")}) == image
    assert builder.done() == []


def layout_of(builder, image, directory, tag="latest"):
    """Write an image of the store as a layout."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    wanted = [image.manifest, image.id, *(layer.descriptor.digest for layer in image.layers)]
    for digest in wanted:
        with builder.store.open_blob(digest) as file:
            (blobs / hex_of(digest)).write_bytes(file.read())
    size = builder.store.blob_size(image.manifest)
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.manifest,
             "size": size, "annotations": {"org.opencontainers.image.ref.name": tag}}  # fmt: skip
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def test_an_image_layout_is_a_context(builder, tmp_path):
    image = builder.build("FROM scratch\nCOPY <<f /\nlaid out\nf\nENV A=1\n")
    layout = tmp_path / "layout"
    layout_of(builder, image, layout, tag="v1")
    builder.store.drop_blob(image.layers[0].descriptor.digest)
    for name in (f"{layout}", f"{layout}:v1", f"{layout}@{image.manifest}"):
        made = builder.build(
            "FROM base\nCOPY --from=base f /g", additional_contexts={"base": f"oci-layout://{name}"}
        )
        assert builder.layer_files(made)["g"] == b"laid out\n"
        assert "A=1" in made.config.env
    for name, why in {
        f"{layout}:none": "there is no none",
        f"{tmp_path}/void": "cannot read",
    }.items():
        with pytest.raises(BuildError, match=why):
            builder.build("FROM base", additional_contexts={"base": f"oci-layout://{name}"})
    blob = layout / "blobs" / "sha256" / hex_of(image.layers[0].descriptor.digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    builder.store.drop_blob(image.layers[0].descriptor.digest)
    with pytest.raises(BuildError, match="cannot use blob"):
        builder.build("FROM base", additional_contexts={"base": f"oci-layout://{layout}"})


@pytest.mark.parametrize(
    "text",
    [
        "FROM {layout}\nLABEL x=y\n",
        "ARG L={layout}\nFROM $L\nLABEL x=y\n",
        "FROM scratch\nCOPY --from={layout} /f /\n",
        "FROM test/box\nRUN --mount=from={layout},target=/m cat /m/f\n",
    ],
    ids=["FROM", "ARG", "COPY", "RUN"],
)
def test_a_dockerfile_names_no_layout_of_this_machine(builder, tmp_path, text):
    """Who starts a build says what of the machine it may read; a Dockerfile may be anybody's."""
    image = builder.build("FROM scratch\nCOPY <<f /\nnot yours\nf\n")
    layout_of(builder, image, tmp_path / "layout")
    with pytest.raises(BuildError, match="is not an image reference"):
        builder.build(text.format(layout=f"oci-layout://{tmp_path}/layout"))


class WatchedStore(ImageStore):
    """Calls back at the second time that a blob is looked for."""

    def watch(self, digest, call):
        self.watched, self.call, self.count = digest, call, 0

    def has_blob(self, digest, size=None):
        if digest == self.watched:
            self.count += 1
            if self.count == 2:
                self.call()
        return super().has_blob(digest, size)


def test_a_layout_that_somebody_else_copies_is_waited_for(builder, tmp_path):
    image = builder.build("FROM scratch\nCOPY <<f /\ncopied by two\nf\n")
    layout_of(builder, image, tmp_path / "layout")
    layer = image.layers[0].descriptor
    content = builder.store.read_blob(layer.digest)
    builder.store.drop_blob(layer.digest)
    other = Ingest(builder.store, layer)
    assert other.open()

    def finish():
        other.write(content)
        other.finish()
        other.close()

    builder.store = WatchedStore(builder.paths)
    builder.store.watch(layer.digest, finish)
    made = builder.build(
        "FROM base\nLABEL x=y\n",
        additional_contexts={"base": f"oci-layout://{tmp_path}/layout"},
    )
    assert made.layers == image.layers
    assert builder.store.read_blob(layer.digest) == content


def check(builder, stdin=None, **spec):
    """Check a build, and build nothing."""
    environment = builder.environment(stdin)
    full = BuildSpec(**{"dockerfile": "Dockerfile", **spec})
    try:
        return anyio.run(lambda: check_image(full, environment=environment))
    finally:
        join_workers()


def test_a_check_reads_only_the_config_of_a_layout(builder, tmp_path):
    image = builder.build("FROM scratch\nCOPY <<f /\na layer of its own\nf\nENV A=1\n")
    layout_of(builder, image, tmp_path / "layout")
    builder.store.untag("test/result")
    for digest in (image.manifest, image.id, image.layers[0].descriptor.digest):
        builder.store.drop_blob(digest)
    before = (builder.store.list(), builder.store.blobs())
    text = "FROM base\nENV C=$A$D\n"
    found = check(
        builder,
        context=str(builder.context),
        dockerfile_inline=text,
        additional_contexts={"base": f"oci-layout://{tmp_path}/layout"},
    )
    assert [(finding.rule, "D" in finding.detail) for finding in found.findings] == [
        ("UndefinedVar", True)
    ], "A is known from the layout"
    assert (builder.store.list(), builder.store.blobs()) == before


def test_a_check_keeps_a_sweep_away(builder):
    def stdin():
        with builder.store.writing(exclusive=True) as alone:
            assert not alone
        return io.BytesIO(b"FROM scratch\n")

    assert check(builder, stdin, context="-").error is None


def test_a_check_opens_git_as_the_build_does(builder, repositories, tmp_path, monkeypatch):
    """With the agent of --ssh, and with .git where an argument asks for it."""
    commit = repositories.make("r", Dockerfile="FROM scratch\n")
    keep = {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}
    url = f"{repositories.url}/r.git"
    found = check(builder, context=url, dockerfile=".git/HEAD", args=keep)
    assert found.text == f"{commit}\n"
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho $SSH_AUTH_SOCK > {tmp_path}/seen\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        with pytest.raises(BuildError):
            check(builder, context="git@127.0.0.1:x.git", ssh={"default": f"{tmp_path}/agent"})
    assert (tmp_path / "seen").read_text() == f"{tmp_path}/agent\n"


def test_stages_named_by_the_filter_are_built_again(builder):
    text = (
        "FROM test/box AS one\nRUN echo $RANDOM > /r\nFROM test/box AS two\nRUN echo fixed > /s\n"
        "FROM scratch\nCOPY --from=two /s /s\nCOPY --from=one /r /r\n"
    )
    builder.build(text)
    builder.build(text, no_cache_filter=("ONE",))
    assert builder.done() == ["RUN echo $RANDOM > /r", "COPY --from=one /r /r"]
    builder.build(text)
    assert builder.done() == []


def test_the_same_input_gives_the_same_digest_from_anywhere(builder, repositories, tmp_path):
    text = "FROM test/box\nWORKDIR /w\nCOPY . .\nADD --chown=1:2 . /x\nRUN mkdir /y && touch /y/z\n"
    repositories.make("r", Dockerfile=text, a="1", d__b="2")
    other = tmp_path / "copy"
    repositories.git("clone", "-q", str(repositories.root / "r.git"), str(other))
    arguments = {"SOURCE_DATE_EPOCH": "1000000000"}
    first = remote(builder, f"{repositories.url}/r.git", args=arguments)
    (Path(other) / ".dockerignore").write_text(".git\n.dockerignore\n")
    second = builder.build(text, context=str(other), args=arguments, no_cache=True)
    assert first.manifest == second.manifest
