"""services.*.mem_limit and the other sizes of memory (compose-spec 05-services.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.mem_limit"
COVERS = (
    "services.*.mem_reservation",
    "services.*.mem_swappiness",
    "services.*.memswap_limit",
    "services.*.shm_size",
)

OTHERS = ("mem_reservation", "mem_swappiness", "memswap_limit", "shm_size")
SIGN = "it wraps a size that 64 bits cannot hold to a negative one"
FRACTION = "it loses a size that is a number with a point"

CASES = (
    Case("bytes", "mem_limit: 1048576", "1048576"),
    Case("text-bytes", "mem_limit: '1048576'", "1048576"),
    Case("b", "mem_limit: 300b", "300"),
    Case("k", "mem_limit: 2k", "2048"),
    Case("kb", "mem_limit: 2KB", "2048"),
    Case("kib", "mem_limit: 2KiB", "2048"),
    Case("m", "mem_limit: 512m", "536870912"),
    Case("g", "mem_limit: 2g", "2147483648"),
    Case("t", "mem_limit: 1t", "1099511627776"),
    Case("p", "mem_limit: 1pb", "1125899906842624"),
    Case("space", "mem_limit: 10 GiB", "10737418240"),
    Case("fraction", "mem_limit: 1.5g", "1610612736"),
    Case("fraction-of-byte", "mem_limit: '1.9'", "1"),
    Case("bare-point", "mem_limit: .5g", "536870912"),
    Case("last-point", "mem_limit: 1.g", "1073741824"),
    Case("plus", "mem_limit: +5m", "5242880"),
    Case("exponent", "mem_limit: '1e3'", "1000"),
    Case("exponent-unit", "mem_limit: 1e3m", "1048576000"),
    Case("underscore", "mem_limit: 1_000", "1000"),
    Case("hexadecimal", "mem_limit: 0x10", "16"),
    Case("point", "mem_limit: 1024.0", "1024", ours=FRACTION),
    Case("exponent-number", "mem_limit: 1e3", "1000", ours=FRACTION),
    Case("zero", "mem_limit: 0", ABSENT),
    Case("unlimited", "mem_limit: -1", "-1"),
    Case("unlimited-text", "mem_limit: '-1'", "-1"),
    Case("largest", "mem_limit: '9223372036854775807'", "9223372036854775807"),
    Case("variable", "mem_limit: '${MEM}'", "7340032", env={"MEM": "7m"}),
    Case("default", "mem_limit: '${MEM:-12m}'", "12582912"),
    Case("null", "mem_limit:", ABSENT, ours=NULL),
    Case("over", "mem_limit: 1m", "2097152", over="mem_limit: 2m"),
    Case("over-null", "mem_limit: 1m", "1048576", over="mem_limit:"),
    Case("reset", "mem_limit: 1m", ABSENT, over="mem_limit: !reset null"),
    Case(
        "equal-deploy",
        """
        mem_limit: 1m
        deploy: {resources: {limits: {memory: 1024k}}}
        """,
        "1048576",
    ),
    *(Case(name, f"{name}: 64m", "67108864", key=f"services.*.{name}") for name in OTHERS),
    *(Case(f"{name}-0", f"{name}: 0", ABSENT, key=f"services.*.{name}") for name in OTHERS),
    *(Case(f"{name}-all", f"{name}: -1", "-1", key=f"services.*.{name}") for name in OTHERS),
    *(
        Case(f"{name}-over", f"{name}: 1", "2", over=f"{name}: '2'", key=f"services.*.{name}")
        for name in OTHERS
    ),
    Case("swappiness", "mem_swappiness: 60", "60", key="services.*.mem_swappiness"),
    Case("swappiness-text", "mem_swappiness: '60'", "60", key="services.*.mem_swappiness"),
    Case("swappiness-above", "mem_swappiness: 101", "101", key="services.*.mem_swappiness"),
)

WRONG = (
    Wrong("word", "mem_limit: lots", "expected a size", place="4:5", hint='as in "512m"'),
    Wrong("empty", "mem_limit: ''", "expected a size"),
    Wrong("unset", "mem_limit: '${MEM}'", "expected a size"),
    Wrong("unit", "mem_limit: 1e", "expected a size"),
    Wrong("ib", "mem_limit: 1ib", "expected a size"),
    Wrong("two-spaces", "mem_limit: '1  k'", "expected a size"),
    Wrong("two-points", "mem_limit: 1.5.5m", "expected a size"),
    Wrong("negative-unit", "mem_limit: -1m", "expected a size"),
    Wrong("fraction", "mem_limit: 10.5", "expected a size, not a fraction", ours=FRACTION),
    Wrong("bool", "mem_limit: true", "expected a size, not true or false"),
    Wrong("list", "mem_limit: [1m]", "expected a size, not a list"),
    Wrong("mapping", "mem_limit: {a: 1m}", "expected a size, not a mapping"),
    Wrong("too-large", "mem_limit: 8388608t", "expected a size", ours=SIGN),
    Wrong("too-large-number", "mem_limit: 9223372036854775808", "too large", ours=SIGN),
    Wrong(
        "differs",
        """
        mem_limit: 1m
        deploy: {resources: {limits: {memory: 2m}}}
        """,
        "mem_limit and deploy.resources.limits.memory differ",
        place="4:5",
        hint="keep one",
    ),
    Wrong(
        "reservation-differs",
        """
        mem_reservation: 1m
        deploy: {resources: {reservations: {memory: 2m}}}
        """,
        "mem_reservation and deploy.resources.reservations.memory differ",
        place="4:5",
    ),
    *(Wrong(f"{name}-word", f"{name}: lots", "expected a size") for name in OTHERS),
    *(Wrong(f"{name}-bool", f"{name}: true", "expected a size") for name in OTHERS),
    Wrong("swappiness-fraction", "mem_swappiness: 10.5", "expected a size, not a fraction"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_mem_limit(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_mem_limit_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
