"""Expansion of words in a Dockerfile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.build.lexer import Lexing, expand
from orchestra.errors import BuildError

VARIABLES = {"A": "abc", "EMPTY": "", "P": "/usr/local/bin", "F": "a.tar.gz", "S": "x*y"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$A", "abc"),
        ("${A}x", "abcx"),
        ("$Ax", ""),
        ("$A-x", "abc-x"),
        (r"\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A b"', "abc b"),
        (r'"\$A \" \x"', r'$A " \x'),
        ("$", "$"),
        ("$ x", "$ x"),
        ("$1a", "a"),
        ("$$", ""),
        ("${NO:-d$A}", "dabc"),
        ("${NO-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NO+x}", ""),
        ("${A:?no}", "abc"),
        ("${P#*/}", "usr/local/bin"),
        ("${P##*/}", "bin"),
        ("${F%.*}", "a.tar"),
        ("${F%%.*}", "a"),
        ("${F%.?z}", "a.tar"),
        ("${F/a/b}", "b.tar.gz"),
        ("${F//a/b}", "b.tbr.gz"),
        (r"${P/\/usr/}", "/local/bin"),
        ("${P//\\//_}", "_usr_local_bin"),
        (r"${S#x\*}", "y"),
        ("${NO#x}", ""),
        ("a\\", "a"),
    ],
)
def test_expansion(text, result):
    assert expand(text, VARIABLES).text == result


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${A", "modifier"),
        ("${", "missing }"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${A:#x}", "modifier"),
        ("${A!x}", "modifier"),
        ("${A:-x", "no matching }"),
        ("'a", "single quote"),
        ('"a', "double quote"),
        ("${NO:?must be set}", "NO: must be set"),
        ("${EMPTY:?}", "not allowed"),
        (r"${A#\a}", "invalid escape"),
    ],
)
def test_what_cannot_be_expanded(text, why):
    with pytest.raises(BuildError, match=why):
        expand(text, VARIABLES)


def test_words_split_at_unquoted_spaces_after_expansion():
    variables = {"A": "1 2"}
    assert expand("$A '3 4' 5\\ 6 ${N:-7}8", variables).words == ("1", "2", "3 4", "5 6", "78")


def test_unset_names_are_told():
    assert expand("$A $B ${C:-x}", {"A": "1"}).unset == {"B", "C"}


def test_unset_references_can_be_kept():
    lexing = Lexing(keep_unset=True, raw_quotes=True)
    assert expand("$A ${B} ${C:-x} '$D'", {"A": "1"}, lexing).text == "1 ${B} ${C:-x} '$D'"


def test_other_escape_characters():
    assert expand("c:\\a`$A$A", {"A": "x"}, Lexing(escape="`")).text == "c:\\a$Ax"


@given(text=st.text(alphabet="$A{}:-+?#%/\\'\"<ab \t*`", max_size=30))
def test_any_text_expands_or_is_refused(text):
    try:
        expansion = expand(text, VARIABLES)
    except BuildError:
        return
    assert isinstance(expansion.text, str)


@given(text=st.text(alphabet=st.characters(exclude_characters="$\\'\"<", codec="utf-8")))
def test_plain_text_stays(text):
    assert expand(text, VARIABLES).text == text
