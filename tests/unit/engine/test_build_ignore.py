"""Patterns of .dockerignore, as Go's patternmatcher reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.build.ignore import glob_regex, make_matcher, parse_ignore_file
from orchestra.errors import BuildError


# Taken from what moby/patternmatcher promises: pattern, path, hidden.
@pytest.mark.parametrize(
    ("pattern", "path", "hidden"),
    [
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/", "file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("dir/**", "dir", False),
        ("dir", "dir/file", True),
        ("dir/*", "dir/a", True),
        ("dir/*", "dir/a/b", True),
        ("*/a", "x/a", True),
        ("*/a", "a", False),
        ("*/a", "x/y/a", False),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir3/file", True),
        ("**file", "dir/xfile", True),
        ("**file*", "dir/xfile1", False),
        ("**/file", "file", True),
        ("**/file", "dir/file", True),
        ("**/file", "dir/xfile", False),
        ("**/*.txt", "a/b/c.txt", True),
        ("a**/*.txt", "a/b.txt", True),
        ("a**b", "a/x/b", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("?at", "cat", True),
        ("?at", "at", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[^a-c]x", "zx", True),
        (r"\*x", "*x", True),
        (r"\*x", "yx", False),
        ("a.c", "abc", False),
        ("a(b)|c", "a(b)|c", True),
        ("a", "ab", False),
        ("/a", "a", True),
        ("./a/", "a", True),
        ("a/../b", "b", True),
    ],
)
def test_patterns(pattern, path, hidden):
    matcher = make_matcher(parse_ignore_file(pattern))
    assert matcher.match(path)[0] is hidden


def test_last_match_wins():
    matcher = make_matcher(parse_ignore_file("*.md\n!keep*.md\nkeep2.md\n"))
    assert [matcher.match(name)[0] for name in ("a.md", "keep.md", "keep2.md", "b.txt")] == [
        True,
        False,
        True,
        False,
    ]


def test_a_file_comes_back_from_a_hidden_directory():
    matcher = make_matcher(parse_ignore_file("dir\n!dir/keep"))
    assert matcher.match("dir/other")[0]
    assert not matcher.match("dir/keep")[0]
    assert not matcher.match("dir/keep/below")[0]


def test_comments_blanks_and_byte_order_mark():
    text = "\ufeffa\n# c\n  b  \r\n\n ! c/ \n #d\n"
    assert parse_ignore_file(text) == ("a", "b", "!c", "#d")


@pytest.mark.parametrize("pattern", ["!", "[a", "a[]"])
def test_what_is_no_pattern(pattern):
    with pytest.raises(BuildError, match="pattern"):
        make_matcher((pattern,))


@given(
    patterns=st.lists(st.text(alphabet="ab/*!.?", min_size=1, max_size=6), max_size=5),
    path=st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=4),
)
def test_walking_down_gives_what_looking_at_once_gives(patterns, path):
    """A directory's result handed to its children must not change theirs, ``!`` rules apart."""
    try:
        matcher = make_matcher([pattern.lstrip("!") for pattern in patterns])
    except BuildError:
        return
    if any(part in (".", "..") for part in path):
        return
    matched = (False,) * len(matcher.patterns)
    hidden = False
    for depth in range(1, len(path) + 1):
        hidden, matched = matcher.match("/".join(path[:depth]), matched)
    assert hidden == matcher.match("/".join(path))[0]


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("package*.json", "package-lock.json", True),
        ("package*.json", "a/package.json", False),
        ("**", "a/b", False),
        ("*/x", "a/x", True),
        ("arr[[]0].txt", "arr[0].txt", True),
        ("a.?", "a.b", True),
        (r"a\*", "a*", True),
    ],
)
def test_wildcards_of_copy(pattern, name, matches):
    assert bool(glob_regex(pattern).fullmatch(name)) is matches
