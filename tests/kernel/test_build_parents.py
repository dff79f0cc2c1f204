"""COPY --parents and --link over real layers."""

from __future__ import annotations

import os
import stat

import pytest
from support.builds import Ground

from orchestra.engine.build.tree import Tree
from orchestra.errors import BuildError

pytestmark = pytest.mark.kernel

FILES = {
    "a/b/c/d/foo": "", "a/b/c/d/e/bay": "", "a/b2/c/d/e/bar": "", "a/b/c2/d/e/baz": "",
    "a/b/c2/d/e2/baz": "", "other/x": "",
}  # fmt: skip


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.mark.parametrize(
    ("sources", "made"),
    [
        (("a/b/c/d/foo",), {"a/b/c/d/foo"}),
        (("./a/b/c/d/foo",), {"a/b/c/d/foo"}),
        (("/a/b/c/d/.",), {"a/b/c/d/foo", "a/b/c/d/e/bay"}),
        (("/a/b/./c/d",), {"c/d/foo", "c/d/e/bay"}),
        (("/a/./b/./c",), {"b/c/d/foo", "b/c/d/e/bay"}),
        (("/a/./*/c",), {"b/c/d/foo", "b/c/d/e/bay", "b2/c/d/e/bar"}),
        (("a/b*/./c/**/e",), {"c/d/e/bay", "c/d/e/bar"}),
        (("a/b/c*/./d/**/baz", "a/b*/./c/**/bar"), {"d/e/baz", "d/e2/baz", "c/d/e/bar"}),
        (("**/ba[yr]",), {"a/b/c/d/e/bay", "a/b2/c/d/e/bar"}),
        (("a/b3*/c", "a/b/./c3*"), set()),
        (("/./other",), {"other/x"}),
    ],
)
def test_parents_are_kept(ground, sources, made):
    ground.fill(ground.context, FILES)
    ground.copy(*sources, "/out", parents=True)
    files = {name for name, content in ground.made().items() if content is not None}
    assert files == {f"out/{name}" for name in made}


@pytest.mark.parametrize(
    "source", ["none", "a/b/none", "a/./none", "../../etc/passwd", "out/passwd"]
)
def test_a_plain_name_must_be_there(ground, source):
    ground.fill(ground.context, {**FILES, "out": ("/etc",)})
    with pytest.raises(BuildError, match="not there"):
        ground.copy(source, "/x/", parents=True)


def test_links_are_kept_and_not_followed(ground):
    ground.fill(ground.context, {"d/l": ("../other",), "other/x": "1", "to": ("other",)})
    ground.copy("d/l", "/x/", parents=True)
    assert ground.made() == {"x": None, "x/d": None, "x/d/l": ("../other",)}
    with pytest.raises(BuildError, match="behind a link"):
        ground.copy("to/x", "/y/", parents=True)
    ground.copy("to/./x", "/z/", parents=True)
    assert ground.made()["z/x"] == "1"


def test_parents_have_the_modes_of_the_source_and_ignore_files_count(ground):
    ground.fill(ground.context, {"a/b/f": "1", "a/b/no": "2", ".dockerignore": "**/no"})
    (ground.context / "a").chmod(0o711)
    ground.copy("a/b", "/x/", parents=True)
    assert stat.S_IMODE((ground.upper / "x/a").stat().st_mode) == 0o711
    assert "x/a/b/no" not in ground.made()
    with pytest.raises(BuildError, match="not there"):
        ground.copy("a/b/no", "/x/", parents=True)


def test_excludes_count_from_the_pivot(ground):
    ground.fill(ground.context, {"a/b/f": "1", "a/b/g.md": "2", "a/c/g.md": "3"})
    ground.copy("a", "/x/", parents=True, excludes=("**/*.md",))
    ground.copy("a/./b", "/y/", parents=True, excludes=("b/f",))
    files = {name for name, content in ground.made().items() if content is not None}
    assert files == {"x/a/b/f", "y/b/g.md"}


def test_only_what_is_taken_counts_and_is_read(ground):
    ground.fill(ground.context, {"a/f": "1", "b/f": "2"})
    first = ground.copy("*/./f", "a/f", "/x/", parents=True)
    ground.fill(ground.context, {"a/other": "3", "c/big": "4"})
    assert ground.copy("*/./f", "a/f", "/x/", parents=True) == first
    ground.fill(ground.context, {"b/f": "5"})
    assert ground.copy("*/./f", "a/f", "/x/", parents=True) != first


def test_parents_come_from_layers_too(ground):
    ground.fill(ground.bottom, {"usr/lib/a.so": "1", "usr/lib/b.txt": "2"})
    ground.fill(ground.top, {"usr/lib/c.so": "3"})
    os.chown(ground.bottom / "usr/lib/a.so", 5, 6)
    ground.copy("/usr/./**/*.so", "/x/", tree=Tree(ground.lower), owners=True, parents=True)
    assert set(ground.made()) == {"x", "x/lib", "x/lib/a.so", "x/lib/c.so"}
    assert (ground.upper / "x/lib/a.so").stat().st_uid == 5


def test_a_linked_copy_does_not_look_at_what_is_below(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"lib": ("usr/lib",), "usr/lib/x": "", "d/x": ""})
    (ground.bottom / "d").chmod(0o700)
    ground.copy("a", "/lib/", link=True)
    ground.copy("a", "/d/", link=True)
    assert set(ground.made()) == {"lib", "lib/a", "d", "d/a"}
    assert stat.S_IMODE((ground.upper / "d").stat().st_mode) == 0o755


def test_the_owner_of_a_linked_copy_may_be_a_name(ground):
    ground.fill(ground.context, {"a": "1"})
    ground.fill(ground.bottom, {"etc/passwd": "u:x:9:8::/:/\n"})
    ground.copy("a", "/d/a", link=True, chown="u")
    assert (ground.upper / "d/a").stat().st_uid == 9


def test_a_linked_layer_is_the_same_on_any_ground(builder):
    builder.write(a="1")
    text = "FROM {base}\nRUN echo {n} > /n\nCOPY --link a /d/a\n"
    first = builder.build(text.format(base="test/box", n=1))
    second = builder.build(text.format(base="test/box", n=2))
    assert first.layers[-1] == second.layers[-1]
    assert [step for step in builder.done() if step.startswith("COPY")] == []
    image = builder.build(
        "FROM test/box\nRUN echo 3 > /n\nCOPY --link --chown=bob a /d/a\nRUN cat /d/a /n; stat -c %U /d/a"
    )
    assert builder.said == "13\nbob\n"
    assert image.layers[-1] != first.layers[-1]
