"""The name found without YAML is the one that YAML has, or none is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.spec.document import read_documents
from orchestra.spec.findings import Findings
from orchestra.spec.plain_name import NotPlainError, plain_name_in
from orchestra.spec.tree import lookup


def by_yaml(text: str) -> tuple[object, bool]:
    """Return the name as YAML has it, and whether the file is right."""
    findings = Findings()
    documents = read_documents(text.encode(), "compose.yaml", findings)
    names = [lookup(document.tree, "name") for document in documents]
    return (names[-1] if names else None), not findings.errors


def plain(tmp: Path, text: str) -> str | None:
    (tmp / "compose.yaml").write_bytes(text.encode())
    return plain_name_in(str(tmp / "compose.yaml"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: shop\nservices:\n  a: {image: b}\n", "shop"),
        ("services:\n  a: {image: b}\n", None),
        ("# name: no\r\nservices:\r\n  name: {image: b}\r\nname: 'shop' # here\r\n", "shop"),
        ('x-a: &a\n  name: b\nname:   "shop-1"', "shop-1"),
        ("services:\n- name: x\n".replace("- ", " - "), None),
        ("name: shop\n\n# and\n  # more\nservices: {}\n", "shop"),
    ],
)
def test_plain_files(tmp_path: Path, text: str, name: str | None) -> None:
    assert plain(tmp_path, text) == name
    assert by_yaml(text) == (name, True)


@pytest.mark.parametrize(
    "text",
    [
        "{name: shop}", "name: shop\n  goes on\n", "name: shop\n\n  goes on\n", "name: null", "name: 12",
        "name: yes", "name: ${A}", "name: a\nname: b\n", "name: &a b", '"name": a', "? name\n: a\n",
        "a: &a {name: b}\n<<: *a\n", "a: b\n---\nname: c\n", "%YAML 1.2\n---\nname: c\n", "  name: a\n", "",
        "name: |\n  a\n", "name:\n  a\n", "name: Shop", "name: 'a\n  b'\n", "a: b\rname: c\n", "a: b\u2028name: c\n",
        "\ufeffname: a\n", "services:\n- name: x\n", "name: a: b\n", "name: 'a' b\n",
    ],
)  # fmt: skip
def test_files_left_to_yaml(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotPlainError):
        plain(tmp_path, text)


def test_no_file_and_no_regular_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(NotPlainError):
            plain_name_in(str(path))


_LINES = st.sampled_from(
    [
        "name: shop", "name: 'a-b'", "name:", "services:", "  web: {image: x}", "  name: deep", "# c", "", "x-a: |",
        "  text", "    more", "x-b: 'one'", "x-c: [a,", "  b]", "name: b # c", "name: b#c", "---", "<<: *a", "  # c",
        "x-d: &a", "x-e: >-", "\tx", "- a", "}", "name: x y",
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain")


@settings(max_examples=400)
@given(st.lists(_LINES, max_size=7), st.sampled_from(["\n", "\r\n"]))
def test_of_files_that_are_right_both_take_the_same_name(
    place: Path, lines: list[str], end: str
) -> None:
    text = end.join(lines)
    expected, right = by_yaml(text)
    try:
        found = plain(place, text)
    except NotPlainError:
        return
    if right:
        assert found == expected
