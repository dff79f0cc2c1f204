"""The dotenv syntax."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from orchestra.spec.environment import LARGEST_BYTES, parse_dotenv, parse_raw, read_env_file
from orchestra.spec.findings import Misfit

KNOWN = {"HOST": "outside", "A": "from-outside"}

TABLE: dict[str, tuple[str, dict[str, str]]] = {
    "plain": ("B=1\nC=two words\n", {"B": "1", "C": "two words"}),
    "no-newline": ("B=1", {"B": "1"}),
    "crlf": ("B=1\r\nC=2\r\n", {"B": "1", "C": "2"}),
    "bom": ("\ufeffB=1", {"B": "1"}),
    "comments": ("# c\n\nB=1 # c\nC=1#c\n  # c\nD=2", {"B": "1", "C": "1#c", "D": "2"}),
    "export": ("export B=1\nexport\tC=2", {"B": "1", "C": "2"}),
    "yaml-style": ("B: 1\nC: two: three", {"B": "1", "C": "two: three"}),
    "spaces": ("  B = 1  ", {"B": "1"}),
    "empty": ("B=\nC=''\nD=\"\"", {"B": "", "C": "", "D": ""}),
    "single": ("B='a $A \\n # x'", {"B": "a $A \\n # x"}),
    "double": ('B="a\\n\\t\\"q\\" $A # x"', {"B": 'a\n\t"q" from-outside # x'}),
    "escaped-dollar": ('B="\\$A"\nC=$$A', {"B": "$A", "C": "$A"}),
    "multiline": ("B=\"one\ntwo\"\nC='x\ny'", {"B": "one\ntwo", "C": "x\ny"}),
    "reference": ("B=b\nC=$B-${NO:-d}", {"B": "b", "C": "b-d"}),
    "outside-wins-in-references": ("A=inside\nC=$A", {"A": "inside", "C": "from-outside"}),
    "inherited": ("HOST\nNOWHERE\nB=1", {"HOST": "outside", "B": "1"}),
    "later-wins": ("B=1\nB=2", {"B": "2"}),
    "equals-in-value": ("B=a=b=c", {"B": "a=b=c"}),
    "octal": ('B="\\0101"', {"B": "A"}),
    "dots": ("a.b-c[0]=1", {"a.b-c[0]": "1"}),
}

BAD = {
    "space-in-name": ("B=1\nA B=1", "space", 2),
    "no-name": ("=1", "name", 1),
    "bad-name": ("B=1\n\nA%=1", "name", 3),
    "open-quote": ("B='a\nC=1", "quote", 1),
    "bad-variable": ("B=${}", "variable", 1),
    "required": ("B=${NO:?why}", "why", 1),
}


@pytest.mark.parametrize("name", TABLE)
def test_dotenv(name: str) -> None:
    text, found = TABLE[name]
    assert parse_dotenv(text, KNOWN.get) == found


@pytest.mark.parametrize("name", BAD)
def test_malformed_dotenv_is_told_by_line(name: str) -> None:
    text, message, line = BAD[name]
    with pytest.raises(Misfit, match=message) as caught:
        parse_dotenv(text, KNOWN.get)
    assert caught.value.below == (line,)


def test_raw_takes_lines_as_they_are() -> None:
    found = parse_raw('A="$B" # x\n# c\nC\nD=\nE\n', {"C": "c"}.get)
    assert found == {"A": '"$B" # x', "C": "c", "D": ""}


@pytest.mark.parametrize(
    "text", ["#" * 500_000, "\n" * 500_000, "A=" * 250_000, 'A="' + "\\" * 500_001, " " * 500_000]
)
def test_hostile_env_files_end_soon(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(Misfit):
        parse_dotenv(text, KNOWN.get)
    assert time.process_time() - started < 5


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"#" * (LARGEST_BYTES + 1))
    (tmp_path / "latin").write_bytes(b"A=\xff")
    for name, message in (
        ("none", "exist"),
        ("huge", "larger"),
        ("latin", "UTF-8"),
        (".", "directory"),
    ):
        with pytest.raises(Misfit, match=message):
            read_env_file(tmp_path / name)
