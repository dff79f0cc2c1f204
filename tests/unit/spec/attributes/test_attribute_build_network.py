"""services.*.build.network (compose-spec build.md, network, extra_hosts, isolation, privileged, entitlements)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "services.*.build.network"
COVERS = (
    "services.*.build.extra_hosts",
    "services.*.build.isolation",
    "services.*.build.privileged",
    "services.*.build.entitlements",
)

HOSTS = "services.*.build.extra_hosts"
ISOLATION = "services.*.build.isolation"
PRIVILEGED = "services.*.build.privileged"
ENTITLEMENTS = "services.*.build.entitlements"

CASES = (
    Case("host", "build: {network: host}", "host"),
    Case("none", "build: {network: none}", "none"),
    Case("named", "build: {network: custom_network_1}", "custom_network_1"),
    Case("variable", "build: {network: '${N}'}", "host", env={"N": "host"}),
    Case("merged", "build: {network: host}", "none", over="build: {network: none}"),
    Case(
        "hosts-list",
        "build: {extra_hosts: [somehost=162.242.195.82, 'b:1.1.1.1', 'myhostv6=[::1]']}",
        ["b=1.1.1.1", "myhostv6=::1", "somehost=162.242.195.82"],
        key=HOSTS,
    ),
    Case(
        "hosts-mapping",
        "build: {extra_hosts: {somehost: 162.242.195.82, a: ['::1', 1.1.1.1]}}",
        ["a=1.1.1.1", "a=::1", "somehost=162.242.195.82"],
        key=HOSTS,
    ),
    Case(
        "hosts-merged",
        "build: {extra_hosts: [a=1.1.1.1]}",
        ["a=1.1.1.1", "b=1.1.1.1"],
        key=HOSTS,
        over="build: {extra_hosts: [b=1.1.1.1, a=1.1.1.1]}",
    ),
    Case("isolation", "build: {isolation: hyperv}", "hyperv", key=ISOLATION),
    Case("privileged", "build: {privileged: true}", True, key=PRIVILEGED),
    Case("privileged-text", "build: {privileged: 'true'}", True, key=PRIVILEGED),
    Case(
        "entitlements",
        "build: {entitlements: [network.host, security.insecure]}",
        ["network.host", "security.insecure"],
        key=ENTITLEMENTS,
    ),
    Case(
        "entitlements-appended",
        "build: {entitlements: [a]}",
        ["a", "b"],
        key=ENTITLEMENTS,
        over="build: {entitlements: [b, a]}",
    ),
)

WRONG = (
    Wrong(
        "number",
        "build: {network: 1}",
        "expected text, not a number",
        place="4:13",
        hint="put it in quotes",
    ),
    Wrong("list", "build: {network: [host]}", "expected text, not a list"),
    Wrong(
        "hosts-without-address",
        "build: {extra_hosts: [a]}",
        'extra host "a" has no address',
        place="4:27",
        hint="write NAME=ADDRESS",
    ),
    Wrong("hosts-text", "build: {extra_hosts: a=1.1.1.1}", "expected a list, not text"),
    Wrong("isolation-flag", "build: {isolation: true}", "expected text, not true or false"),
    Wrong(
        "privileged-word",
        "build: {privileged: very}",
        "expected true or false, not text",
        place="4:13",
        hint="write true or false",
    ),
    Wrong(
        "entitlements-text",
        "build: {entitlements: network.host}",
        "expected a list, not text",
        place="4:13",
        hint="begin each item with a dash, or put them in brackets",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_network(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_network_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
