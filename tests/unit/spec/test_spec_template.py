"""Variables in text: every form, precedence of emptiness, laws."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.interpolate import interpolate
from orchestra.spec.template import substitute

ENVIRONMENT = {"A": "1", "B": "two", "EMPTY": "", "_X9": "x", "DOLLAR": "$A"}

FORMS = {
    "$A": "1", "${A}": "1", "x$A-y": "x1-y", "$$A": "$A", "$$$A": "$1", "$": "$", "a$": "a$", "$1": "$1",
    "$ A": "$ A", "${_X9}": "x", "$NO": "", "${NO}": "", "${NO-d}": "d", "${NO:-d}": "d",
    "${EMPTY-d}": "", "${EMPTY:-d}": "d", "${A-d}": "1", "${A:-d}": "1", "${A+y}": "y", "${A:+y}": "y",
    "${NO+y}": "", "${EMPTY+y}": "y", "${EMPTY:+y}": "", "${A?m}": "1", "${EMPTY?m}": "", "${A:?m}": "1",
    "${NO:-${A}}": "1", "${NO:-${NO2:-${B}}}": "two", "${NO:-a b:c-d?e}": "a b:c-d?e", "${A:+${B}}": "two",
    "${NO:-$$A}": "$A", "${DOLLAR}": "$A", '${NO:-{"a": 1}}': '{"a": 1}', "${NO:-}": "", "${A}}": "1}",
    "${NO-${EMPTY:-x}}y": "xy",
}  # fmt: skip
BAD = {
    "${": "not closed", "${A": "not closed", "${}": "name", "${1}": "name", "${A b}": "unknown",
    "${A:b}": "unknown", "${NO?}": "NO", "${NO:?}": "NO", "${EMPTY:?}": "EMPTY", "${NO?say $B}": r"say \$B",
    "${A:-${}": "not closed", "${NO:-${}}": "name",
}  # fmt: skip


def run(text: str) -> str:
    return substitute(text, ENVIRONMENT.get, lambda _name: None)


@pytest.mark.parametrize(("text", "value"), FORMS.items(), ids=FORMS)
def test_forms(text: str, value: str) -> None:
    assert run(text) == value


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=BAD)
def test_what_cannot_be_replaced(text: str, message: str) -> None:
    with pytest.raises(Misfit, match=message) as caught:
        run(text)
    assert caught.value.hint


def test_unset_variables_are_warned_about() -> None:
    heard: list[str] = []
    assert substitute("$NO ${NO2} ${NO3:-x} $A", ENVIRONMENT.get, heard.append) == "  x 1"
    assert heard == ["NO", "NO2"]


@given(st.text(st.characters(exclude_characters="$")))
def test_text_without_variables_stays(text: str) -> None:
    assert run(text) == text


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    assert run(text.replace("$", "$$")) == text


@pytest.mark.parametrize(
    "text",
    [
        "${A:-" * 5000,
        "${A:-" * 5000 + "}" * 5000,
        "$" * 100_000,
        "${" * 50_000,
        "{" * 100_000 + "$A",
    ],
)
def test_hostile_templates_end_soon(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(Misfit):
        run(text)
    assert time.process_time() - started < 5


def test_keys_are_not_interpolated() -> None:
    assert interpolate({"$A": ["$A", {"b": "$B"}]}, ENVIRONMENT, Findings()) == {
        "$A": ["1", {"b": "two"}]
    }
