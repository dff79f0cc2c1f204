"""services.*.networks (compose-spec 05-services.md, networks)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import NULL, Case, Wrong, check, check_wrong

KEY = "services.*.networks"

FULL = """
networks:
  default:
    aliases: [db, cache]
    ipv4_address: 172.16.238.10
    ipv6_address: 2001:3984:3989::10
    link_local_ips: [57.123.22.11, 57.123.22.13]
    mac_address: 02:42:ac:11:65:43
    driver_opts: {com.example.a: text, com.example.b: 3}
    priority: 1000
    gw_priority: -2
    interface_name: eth3
    x-mine: 1
"""
FRACTION = "it cuts the fraction off"
UNCONVERTED = "it converts the text of a variable for most numbers, but not for this one"


def attached(attributes: str) -> str:
    return f"networks: {{default: {{{attributes}}}}}"


CASES = (
    Case("list", "networks: [default]", {"default": None}),
    Case("null-entry", "networks: {default: }", {"default": None}),
    Case("empty-entry", attached(""), {"default": {}}),
    Case("unsaid", "user: a", {"default": None}),
    Case("empty-list", "networks: []", {"default": None}),
    Case("empty-mapping", "networks: {}", {"default": None}),
    Case("null", "networks:", {"default": None}, ours=NULL),
    Case(
        "full",
        FULL,
        {
            "default": {
                "aliases": ["db", "cache"],
                "ipv4_address": "172.16.238.10",
                "ipv6_address": "2001:3984:3989::10",
                "link_local_ips": ["57.123.22.11", "57.123.22.13"],
                "mac_address": "02:42:ac:11:65:43",
                "driver_opts": {"com.example.a": "text", "com.example.b": "3"},
                "priority": 1000,
                "gw_priority": -2,
                "interface_name": "eth3",
            }
        },
    ),
    Case(
        "two",
        """
        services: {web: {image: a, networks: [front, back]}}
        networks: {front: , back: }
        """,
        {"front": None, "back": None},
    ),
    Case(
        "not-default",
        """
        services: {web: {image: a, networks: [front]}}
        networks: {front: , unused: }
        """,
        {"front": {"name": "orc_front", "ipam": {}}},
        key="networks",
    ),
    Case("priority-point", attached("priority: 5.0"), {"default": {"priority": 5}}),
    Case("priority-zero", attached("priority: 0"), {"default": {}}),
    Case(
        "priority-text", attached("priority: '5'"), {"default": {"priority": 5}}, ours=UNCONVERTED
    ),
    Case(
        "gateway-variable",
        attached("gw_priority: '${G}'"),
        {"default": {"gw_priority": 7}},
        env={"G": "7"},
        ours=UNCONVERTED,
    ),
    Case("aliases-repeated", attached("aliases: [a, b, a]"), {"default": {"aliases": ["a", "b"]}}),
    Case("aliases-empty", attached("aliases: []"), {"default": {}}),
    Case(
        "aliases-variable",
        attached("aliases: ['${A}']"),
        {"default": {"aliases": ["x"]}},
        env={"A": "x"},
    ),
    Case("any-address", attached("ipv4_address: here"), {"default": {"ipv4_address": "here"}}),
    Case("empty-address", attached("ipv4_address: ''"), {"default": {}}),
    Case(
        "fraction-option",
        attached("driver_opts: {a: 1.5}"),
        {"default": {"driver_opts": {"a": "1.5"}}},
    ),
    Case(
        "over-list",
        "networks: [default]",
        {"default": {"aliases": ["a"]}},
        over=attached("aliases: [a]"),
    ),
    Case(
        "over-by-list",
        attached("aliases: [a]"),
        {"default": {"aliases": ["a"]}},
        over="networks: [default]",
    ),
    Case(
        "over-null",
        attached("aliases: [a]"),
        {"default": {"aliases": ["a"]}},
        over="networks: {default: }",
    ),
    Case(
        "over",
        attached("aliases: [a], priority: 1, driver_opts: {a: b, c: d}"),
        {"default": {"aliases": ["a", "b"], "priority": 2, "driver_opts": {"a": "e", "c": "d"}}},
        over=attached("aliases: [b, a], priority: 2, driver_opts: {a: e}"),
    ),
    Case(
        "over-another",
        """
        services: {web: {image: a, networks: [front]}}
        networks: {front: , back: }
        """,
        {"front": None, "back": None},
        over="services: {web: {networks: [back]}}",
    ),
    Case(
        "override",
        attached("aliases: [a]"),
        {"default": {"priority": 3}},
        over="networks: !override {default: {priority: 3}}",
    ),
    Case("reset", attached("aliases: [a]"), {"default": None}, over="networks: !reset {}"),
    Case(
        "reset-aliases",
        attached("aliases: [a]"),
        {"default": {}},
        over=attached("aliases: !reset []"),
    ),
)

WRONG = (
    Wrong(
        "text",
        "networks: default",
        "expected a mapping or a list of names, not text",
        place="4:5",
        hint="begin each name with a dash",
    ),
    Wrong("number-name", "networks: [1]", "expected a name, not a number", place="4:16"),
    Wrong("twice", "networks: [default, default]", "the list holds this twice", place="4:25"),
    Wrong("mapping-item", "networks: [{default: }]", "expected a name, not a mapping"),
    Wrong(
        "entry-number", "networks: {default: 3}", "expected a mapping, not a number", place="4:16"
    ),
    Wrong("entry-list", "networks: {default: [a]}", "expected a mapping, not a list"),
    Wrong(
        "unknown",
        "networks: [nope]",
        'no network "nope" in this project',
        hint="define networks.nope",
    ),
    Wrong(
        "near",
        "networks: {defualt: }",
        'no network "defualt" in this project',
        place="4:16",
        hint='did you mean "default"?',
    ),
    Wrong(
        "near-key",
        attached("alias: [a]"),
        'unknown key "alias"',
        place="4:26",
        hint='did you mean "aliases"?',
    ),
    Wrong("aliases-text", attached("aliases: a"), "expected a list, not text", place="4:26"),
    Wrong("alias-number", attached("aliases: [a, 1]"), "expected text, not a number", place="4:39"),
    Wrong("links-number", attached("link_local_ips: 1"), "expected a list, not a number"),
    Wrong("address-number", attached("ipv4_address: 10"), "expected text, not a number"),
    Wrong("address6-list", attached("ipv6_address: []"), "expected text, not a list"),
    Wrong("mac-number", attached("mac_address: 1"), "expected text, not a number"),
    Wrong("interface-number", attached("interface_name: 5"), "expected text, not a number"),
    Wrong("priority-fraction", attached("priority: 5.5"), "not a fraction", ours=FRACTION),
    Wrong("priority-word", attached("priority: high"), "expected a whole number, not text"),
    Wrong(
        "gateway-bool", attached("gw_priority: true"), "expected a whole number, not true or false"
    ),
    Wrong("options-list", attached("driver_opts: [a=b]"), "expected a mapping, not a list"),
    Wrong("option-bool", attached("driver_opts: {a: true}"), "not true or false", place="4:40"),
    Wrong(
        "option-null", attached("driver_opts: {a: }"), "text or a number, not nothing", place="4:40"
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_networks(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_networks_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
