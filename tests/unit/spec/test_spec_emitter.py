"""What ``config`` prints as YAML: PyYAML's own text, and what reads back as the same tree."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from orchestra.spec.document import read_documents
from orchestra.spec.emitter import _ask, emit
from orchestra.spec.findings import Findings

_ODD = (
    ["", "yes", "Off", "null", "~", "12", "0x1f", "1_000", "1:30", "2001-01-01", "<<", "=", "..."],
    ["- a", "a: b", "a #b", "a:", "10s", "1e3", ".5", "é", "line\n", "\nline\n\n", "true", "n"],
    [
        "  indented\nless\n",
        "a\n\nb",
        "a \nb",
        "x" * 200,
        "postgres://db:5432/x",
        "-1",
        "--a",
        "---",
    ],
)
_TEXTS = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="ab0 1:#-.\n'\"$!{[,~=_|\t\x85?", max_size=10),
    st.sampled_from([text for row in _ODD for text in row]),
    st.lists(st.sampled_from(["ab", "c'd", "e:", "#", "'", "", "x" * 30]), max_size=30).map(
        " ".join
    ),
)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _TEXTS)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(tree=st.one_of(_TREES, st.dictionaries(st.text("abc", min_size=1, max_size=3), _TREES)))
@example(tree={"a": "\nline\n\n"})
def test_the_text_is_what_pyyaml_writes(tree: object) -> None:
    """But for the end that PyYAML marks behind a text whose last empty lines count."""
    assert emit(tree).removesuffix("...\n") == _ask(tree).removesuffix("...\n")


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"a": [{"b": 1, "c": [2]}, [3]]}, "a:\n  - b: 1\n    c:\n      - 2\n  - - 3\n"),
        ({"a": {}, "b": [], "c": None}, "a: {}\nb: []\nc: null\n"),
        ({"a": "12", "b": "yes", "c": "2001-01-01"}, "a: \"12\"\nb: 'yes'\nc: '2001-01-01'\n"),
        ({"a": {"b": "one\n\n  two\n"}}, "a:\n  b: |\n    one\n\n      two\n"),
    ],
    ids=["lists", "empty", "quotes", "lines"],
)
def test_style(tree: object, text: str) -> None:
    assert emit(tree) == text


def test_everyday_trees_do_not_need_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "dump", None)
    tree = {
        "services": {"web": {"image": "nginx:1.27", "command": ["a", "--port=80"], "tty": True}}
    }
    text = emit(tree)
    (document,) = read_documents(text.encode(), "compose.yaml", Findings())
    assert document.tree == tree
