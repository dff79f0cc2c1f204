"""services.*.extra_hosts (compose-spec 05-services.md, extra_hosts)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.extra_hosts"

CASES = (
    Case(
        "list",
        "extra_hosts: [somehost=162.242.195.82, otherhost=50.31.209.229]",
        ["otherhost=50.31.209.229", "somehost=162.242.195.82"],
    ),
    Case(
        "colons",
        "extra_hosts: ['somehost:162.242.195.82', 'myhostv6:::1']",
        ["myhostv6=::1", "somehost=162.242.195.82"],
    ),
    Case("ipv6", "extra_hosts: ['myhostv6=::1']", ["myhostv6=::1"]),
    Case("brackets", "extra_hosts: ['myhostv6=[::1]', 'b:[::2]']", ["b=::2", "myhostv6=::1"]),
    Case(
        "mapping",
        "extra_hosts: {somehost: 162.242.195.82, myhostv6: '::1'}",
        ["myhostv6=::1", "somehost=162.242.195.82"],
    ),
    Case("mapping-of-lists", "extra_hosts: {a: [1.1.1.1, '[::1]']}", ["a=1.1.1.1", "a=::1"]),
    Case("several-addresses", "extra_hosts: ['a=1.1.1.1,2.2.2.2']", ["a=1.1.1.1", "a=2.2.2.2"]),
    Case("same-host", "extra_hosts: [a=1.1.1.1, a=2.2.2.2]", ["a=1.1.1.1", "a=2.2.2.2"]),
    Case(
        "gateway",
        "extra_hosts: ['host.docker.internal:host-gateway']",
        ["host.docker.internal=host-gateway"],
    ),
    Case("empty-list", "extra_hosts: []", ABSENT),
    Case("empty", "extra_hosts: {}", ABSENT),
    Case("variable", "extra_hosts: ['a=${IP}']", ["a=1.2.3.4"], env={"IP": "1.2.3.4"}),
    Case(
        "merged",
        "extra_hosts: [a=1.1.1.1]",
        ["a=1.1.1.1", "b=2.2.2.2"],
        over="extra_hosts: [b=2.2.2.2]",
    ),
    Case(
        "merged-same-host",
        "extra_hosts: [a=1.1.1.1]",
        ["a=1.1.1.1", "a=2.2.2.2"],
        over="extra_hosts: [a=2.2.2.2]",
    ),
    Case("merged-same", "extra_hosts: [a=1.1.1.1]", ["a=1.1.1.1"], over="extra_hosts: [a=1.1.1.1]"),
    Case(
        "merged-forms",
        "extra_hosts: {a: 1.1.1.1}",
        ["a=1.1.1.1", "b=2.2.2.2"],
        over="extra_hosts: [b=2.2.2.2]",
    ),
    Case(
        "overridden",
        "extra_hosts: [a=1.1.1.1]",
        ["b=2.2.2.2"],
        over="extra_hosts: !override [b=2.2.2.2]",
    ),
    Case("reset", "extra_hosts: [a=1.1.1.1]", ABSENT, over="extra_hosts: !reset []"),
)

WRONG = (
    Wrong(
        "text",
        "extra_hosts: a=1.1.1.1",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "no-address",
        "extra_hosts: [somehost]",
        'extra host "somehost" has no address',
        place="4:19",
        hint="write NAME=ADDRESS",
    ),
    Wrong(
        "no-name",
        "extra_hosts: ['=1.1.1.1']",
        'extra host "=1.1.1.1" has no address',
        place="4:19",
        hint="write NAME=ADDRESS",
    ),
    Wrong(
        "number",
        "extra_hosts: [1]",
        "expected text, not a number",
        place="4:19",
        hint="put it in quotes",
    ),
    Wrong(
        "number-address",
        "extra_hosts: {a: 1}",
        "expected an address, not a number",
        place="4:19",
        hint="put it in quotes",
    ),
    Wrong(
        "null-address",
        "extra_hosts: {a: }",
        "expected an address, not nothing",
        place="4:19",
        hint="put it in quotes",
    ),
    Wrong(
        "nested",
        "extra_hosts: {a: {b: c}}",
        "expected an address, not a mapping",
        place="4:19",
        hint="put it in quotes",
    ),
    Wrong(
        "colon-in-name",
        "extra_hosts: {'a:b': 1.1.1.1}",
        '"a:b" is no host name',
        place="4:19",
        hint="write NAME: ADDRESS",
    ),
    Wrong(
        "repeated",
        "extra_hosts: [a=1.1.1.1, a=1.1.1.1]",
        "the list holds this twice",
        place="4:30",
        hint="keep one",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_extra_hosts(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_extra_hosts_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
