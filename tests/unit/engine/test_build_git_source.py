"""How a git repository is named: every form of BuildKit's, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.build.git_source import GitSource, read_git_source, with_flags
from orchestra.errors import BuildError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("https://h/o/r.git", GitSource(remote="https://h/o/r.git")),
        ("http://h:81/r.git#v1", GitSource(remote="http://h:81/r.git", ref="v1")),
        ("https://h/r.git#v1:a/b", GitSource(remote="https://h/r.git", ref="v1", directory="a/b")),
        ("https://h/r.git#:a/../b", GitSource(remote="https://h/r.git", directory="b")),
        ("https://h/r.git#:../../etc", GitSource(remote="https://h/r.git", directory="etc")),
        ("git://h/r", GitSource(remote="git://h/r")),
        ("ssh://git@h:22/o/r.git#x", GitSource(remote="ssh://git@h:22/o/r.git", ref="x")),
        ("git@h:o/r.git#x:d", GitSource(remote="git@h:o/r.git", ref="x", directory="d")),
        ("git@h:o/r?tag=v1", GitSource(remote="git@h:o/r", ref="refs/tags/v1")),
        ("https://h/r.git?branch=main", GitSource(remote="https://h/r.git", ref="refs/heads/main")),
        ("https://h/r.git?tag=refs/tags/a", GitSource(remote="https://h/r.git", ref="refs/tags/a")),
        ("https://h/r.git?ref=a&subdir=d", GitSource(remote="https://h/r.git", ref="a", directory="d")),
        ("https://h/r.git?ref=a#a:d", GitSource(remote="https://h/r.git", ref="a", directory="d")),
        ("https://h/r.git?commit=abc", GitSource(remote="https://h/r.git", checksum="abc")),
        ("https://h/r.git?keep-git-dir=0", GitSource(remote="https://h/r.git", keep_git_dir=False)),
        ("https://h/r.git?submodules", GitSource(remote="https://h/r.git", submodules=True)),
        ("https://h/r.git?mtime=checkout", GitSource(remote="https://h/r.git", mtime="checkout")),
        (f"https://h/r.git?fetch-by-commit&checksum={COMMIT}#main",
         GitSource(remote="https://h/r.git", ref=COMMIT, checksum=COMMIT)),
    ],
)  # fmt: skip
def test_forms(text, source):
    assert read_git_source(text) == source


@pytest.mark.parametrize(
    "text",
    ["https://h/r", "https://h/r.tar.gz", "./r.git", "../r.git", "r.git", "/r.git", "file:///r.git",
     "ext::sh -c x", "github.com/o/r", "a b@c:d", "http://h/r?x=r.git", "http://["],
)  # fmt: skip
def test_what_is_no_repository(text):
    assert read_git_source(text) is None


def test_github_is_one_where_a_context_stands():
    found = read_git_source("github.com/o/r#v1:d", context=True)
    assert found == GitSource(remote="https://github.com/o/r", ref="v1", directory="d")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("?what=1", "unexpected"),
        ("?ref=", "no value"),
        ("?ref=a&ref=b", "twice"),
        ("?ref=a#b", "two refs"),
        ("?tag=a&branch=b", "not both"),
        ("?subdir=a#:b", "two directories"),
        ("?mtime=now", "mtime"),
        ("?submodules=maybe", "true or false"),
        ("?fetch-by-commit=1&ref=main", "whole name"),
        ("#--upload-pack=touch", "not the name"),
        ("#a\x1bb", "not the name"),
    ],
)
def test_what_makes_no_sense(query, why):
    with pytest.raises(BuildError, match=why):
        read_git_source(f"https://h/r.git{query}")


def test_flags_and_source_agree_or_it_is_an_error():
    source = read_git_source("https://h/r.git?checksum=ab&keep-git-dir=true")
    assert with_flags(source, checksum="", keep_git_dir=None) == source
    with pytest.raises(BuildError, match="two checksums"):
        with_flags(source, checksum="cd", keep_git_dir=None)
    with pytest.raises(BuildError, match="different things"):
        with_flags(source, checksum="", keep_git_dir=False)
    with pytest.raises(BuildError, match="not the checksum"):
        with_flags(read_git_source("git://h/r"), checksum="sha256:00", keep_git_dir=None)


def test_passwords_are_not_shown():
    source = read_git_source("https://user:secret@h:1/r.git")
    assert (source.shown, source.host) == ("https://h:1/r.git", "h:1")


@given(text=st.text(alphabet="git@h:/.#?=&-%[]\\ a", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        found = read_git_source(text)
    except BuildError:
        return
    assert found is None or not found.directory.startswith(("/", ".."))
