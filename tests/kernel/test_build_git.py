"""ADD of git repositories: fetched by the host's git over HTTP, and nothing else of this host."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.builds import command_lines, join_workers
from support.gitserver import git_server

from orchestra.engine.build.git_access import GitAccess
from orchestra.engine.build.git_fetch import git_environment
from orchestra.engine.build.git_source import read_git_source
from orchestra.errors import BuildError

pytestmark = pytest.mark.kernel


@pytest.fixture
def repositories(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with git_server(tmp_path) as repositories:
        yield repositories


def test_a_repository_is_added_with_and_without_its_git_directory(builder, repositories):
    commit = repositories.make("r", a="1", d__b="2")
    url = f"{repositories.url}/r.git"
    image = builder.build(f"FROM scratch\nADD {url} /src")
    assert builder.layer_files(image) == {"src/a": b"1", "src/d/b": b"2"}
    image = builder.build(f"FROM scratch\nADD --keep-git-dir=true {url} /src")
    files = builder.layer_files(image)
    assert files["src/.git/HEAD"].decode().strip() == commit
    assert "src/.git/shallow" in files
    assert not {"src/.git/FETCH_HEAD", "src/.git/hooks/update.sample"} & files.keys()


def test_refs_and_directories_are_chosen(builder, repositories):
    first = repositories.make("r", a="1", d__b="2")
    repositories.git("tag", "-a", "-m", "t", "v1", cwd=repositories.root / "r-tree")
    repositories.git("push", "-q", "origin", "v1", cwd=repositories.root / "r-tree")
    second = repositories.commit("r", a="3")
    third = repositories.commit("r", a="4")
    url = f"{repositories.url}/r.git"
    for source, content in {
        f"{url}#v1": b"1",
        f"{url}?tag=v1": b"1",
        f"{url}?branch=main": b"4",
        f"{url}#refs/heads/main": b"4",
        f"{url}#{second}": b"3",
        f"{url}#{second[:12]}": b"3",
        f"{url}?fetch-by-commit&commit={first}": b"1",
        f"{url}?checksum={third[:10]}": b"4",
    }.items():
        assert builder.layer_files(builder.build(f"FROM scratch\nADD {source} /"))["a"] == content
    for source in (f"{url}#v1:d", f"{url}?ref=v1&subdir=d"):
        image = builder.build(f"FROM scratch\nADD {source} /")
        assert builder.layer_files(image) == {"b": b"2"}


@pytest.mark.parametrize(
    ("flags", "source", "why"),
    [
        ("", "none.git", "cannot fetch the git repository"),
        ("", "r.git#none", "cannot fetch the git repository"),
        ("", "r.git#:none", '"none" is not there'),
        ("", "r.git#:a", "not a directory"),
        ("", "r.git#:out", "not there"),
        ("--checksum=0123", "r.git", "is at .*, not 0123"),
    ],
)
def test_what_is_not_there_is_an_error_at_the_line(builder, repositories, flags, source, why):
    repositories.make("r", a="1", out="-> /etc")
    with pytest.raises(BuildError, match=why) as caught:
        builder.build(f"FROM scratch\nADD {flags} {repositories.url}/{source} /")
    assert caught.value.location.line == 2


def test_links_of_a_repository_stay_links_and_are_not_followed(builder, repositories):
    repositories.make("r", out="-> /etc", d__x="1")
    image = builder.build(
        f"FROM test/box\nADD {repositories.url}/r.git /src\nRUN readlink /src/out"
    )
    assert builder.said == "/etc\n"
    assert {name for name in builder.layer_files(image) if name.startswith("src")} == {"src/d/x"}


def test_an_unchanged_repository_is_not_added_again(builder, repositories):
    repositories.make("r", a="1")
    for flags in ("", "--keep-git-dir=true "):
        text = f"FROM scratch\nADD {flags}{repositories.url}/r.git /src"
        first = builder.build(text)
        assert builder.build(text) == first
        assert builder.done() == []
        repositories.commit("r", a=f"2{flags}")
        assert builder.build(text) != first
    fresh = f"FROM scratch\nADD {repositories.url}/r.git /again"
    made = builder.build(fresh, args={"SOURCE_DATE_EPOCH": "1000000000"})
    again = builder.build(fresh, args={"SOURCE_DATE_EPOCH": "1000000000"}, no_cache=True)
    assert made.manifest == again.manifest


def test_a_kept_directory_is_that_of_its_own_address(builder, repositories):
    repositories.make("r", a="1")
    repositories.git("clone", "-q", "--bare", "r.git", "mirror.git")
    for name in ("r", "mirror"):
        image = builder.build(f"FROM scratch\nADD {repositories.url}/{name}.git?keep-git-dir=1 /")
        assert f"/{name}.git".encode() in builder.layer_files(image)[".git/config"]


def test_submodules_come_along_and_may_be_left_out(builder, repositories):
    repositories.make("sub", s="sub")
    repositories.make("r", a="1")
    tree = repositories.root / "r-tree"
    repositories.git("submodule", "add", "-q", f"{repositories.url}/sub.git", "m", cwd=tree)
    repositories.commit("r")
    url = f"{repositories.url}/r.git"
    files = builder.layer_files(builder.build(f"FROM scratch\nADD {url} /"))
    assert (files["m/s"], "m/.git" in files) == (b"sub", False)
    files = builder.layer_files(builder.build(f"FROM scratch\nADD {url}?submodules=false /"))
    assert "m/s" not in files


def test_a_submodule_cannot_name_a_path_of_this_host(builder, repositories):
    repositories.make("secret", s="host file")
    repositories.make("r", a="1")
    tree = repositories.root / "r-tree"
    path = str(repositories.root / "secret.git")
    repositories.git(
        "-c", "protocol.file.allow=always", "submodule", "add", "-q", path, "m", cwd=tree
    )
    repositories.commit("r")
    with pytest.raises(BuildError, match="cannot fetch the git repository"):
        builder.build(f"FROM scratch\nADD {repositories.url}/r.git /")


def test_nothing_of_this_host_flows_in(builder, repositories, tmp_path, monkeypatch):
    """Neither the user's configuration nor hooks or filters that a repository asks for run."""
    home = tmp_path / "home"
    home.mkdir()
    marker = tmp_path / "ran"
    home.joinpath(".gitconfig").write_text(
        f'[filter "x"]\n\tsmudge = touch {marker}\n[core]\n\thooksPath = {home}\n'
    )
    hook = home / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    repositories.make("r", _gitattributes="* filter=x\n", a="1")
    builder.build(f"FROM scratch\nADD {repositories.url}/r.git /")
    assert not marker.exists()


def test_tokens_are_for_https_and_their_host_and_never_in_arguments():
    access = GitAccess(tokens={"GIT_AUTH_TOKEN": "t0ken", "GIT_AUTH_HEADER.other": "basic x"})
    plain = git_environment(read_git_source("http://h/r.git"), Path("/x"), access)
    assert not [value for value in plain.values() if "Authorization" in value]
    safe = git_environment(read_git_source("https://h/r.git"), Path("/x"), access)
    assert "http.https://h/.extraheader" in safe.values()
    other = git_environment(read_git_source("https://other/r.git"), Path("/x"), access)
    assert "Authorization: basic x" in other.values()


def test_a_password_in_an_address_is_not_kept(builder, repositories):
    repositories.make("r", a="1")
    url = repositories.url.replace("http://", "http://user:s3cr3t@")
    image = builder.build(f"FROM scratch\nADD --keep-git-dir=true {url}/r.git /src")
    assert not [name for name, data in builder.layer_files(image).items() if b"s3cr3t" in data]


def test_a_cancelled_fetch_leaves_no_process(builder):
    """The server accepts and says nothing: git and its helper wait for it until they are killed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/r.git"

        async def cancelled():
            with anyio.fail_after(120):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(builder.start, f"FROM scratch\nADD {url} /")
                    client, _ = await anyio.to_thread.run_sync(server.accept)
                    tasks.cancel_scope.cancel()
                client.close()

        anyio.run(cancelled)
    join_workers()
    assert not [line for line in command_lines() if url.encode() in line]
    assert builder.left_over() == []
