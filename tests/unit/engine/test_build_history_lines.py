"""Lines of history in the forms that Go prints values in."""

from __future__ import annotations

import pytest

from orchestra.engine.build.history_lines import quoted, span, told_check
from orchestra.oci.image import ImageHealthcheck


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (500 * 10**6, "500ms"),
        (10**9, "1s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (3661500 * 10**6, "1h1m1.5s"),
    ],
)
def test_times(nanoseconds, text):
    assert span(nanoseconds) == text


def test_words_and_checks():
    assert quoted(["a", 'b "c"', "é\\n\n"]) == '["a" "b \\"c\\"" "é\\\\n\\n"]'
    check = ImageHealthcheck(test=("CMD", "a b"), interval_ns=60 * 10**9, retries=3)
    assert told_check(check) == (
        "{Test:[CMD a b] Interval:1m0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}"
    )
