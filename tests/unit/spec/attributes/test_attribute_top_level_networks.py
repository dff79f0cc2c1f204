"""networks (compose-spec 06-networks.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Json, Wrong, check, check_wrong

KEY = "networks"


def used(definition: str) -> str:
    """Return a project whose service uses the resource "one"."""
    return f"""
services: {{web: {{image: a, networks: [one]}}}}
networks: {{one: {definition}}}
"""


def over(definition: str) -> str:
    return f"# over\nnetworks: {{one: {definition}}}"


POOLS = "it forgets the first file's pools that the second does not name again"


def shown(name: str = "orc_one", **more: Json) -> Json:
    return {"one": {"name": name, "ipam": {}, **more}}


def pool(attributes: str) -> str:
    return used(f"{{ipam: {{config: [{{{attributes}}}]}}}}")


CASES = (
    Case("null", used(""), shown()),
    Case("empty", used("{}"), shown()),
    Case("name", used("{name: mine}"), shown("mine")),
    Case("name-variable", used("{name: 'my_${V}'}"), shown("my_v"), env={"V": "v"}),
    Case("name-empty", used("{name: ''}"), {"one": {"ipam": {}}}),
    Case("name-any", used("{name: 'a b'}"), shown("a b")),
    Case("driver", used("{driver: overlay}"), shown(driver="overlay")),
    Case(
        "options",
        used(
            "{driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1, n: 3, f: 1.5}}"
        ),
        shown(
            driver_opts={
                "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
                "n": "3",
                "f": "1.5",
            }
        ),
    ),
    Case(
        "flags",
        used("{attachable: true, internal: 'true', enable_ipv4: false, enable_ipv6: 'yes'}"),
        shown(attachable=True, internal=True, enable_ipv4=False, enable_ipv6=True),
    ),
    Case("flags-false", used("{attachable: false, internal: 'no'}"), shown()),
    Case("flag-variable", used("{internal: '${V}'}"), shown(internal=True), env={"V": "true"}),
    Case("flag-null", used("{enable_ipv6: }"), shown(), ours=NULL),
    Case(
        "labels",
        used("{labels: {a: 1, b: true, c: , d: x}}"),
        shown(labels={"a": "1", "b": "true", "c": "", "d": "x"}),
    ),
    Case("labels-list", used("{labels: [a=1, b]}"), shown(labels={"a": "1", "b": ""})),
    Case(
        "ipam",
        """
        services: {web: {image: a, networks: [one]}}
        networks:
          one:
            ipam:
              driver: default
              config:
                - subnet: 172.28.0.0/16
                  ip_range: 172.28.5.0/24
                  gateway: 172.28.5.254
                  aux_addresses: {host1: 172.28.1.5, host2: 172.28.1.6}
                  x-a: 1
              options: {foo: bar}
              x-a: 1
            x-a: 1
        """,
        shown(
            ipam={
                "driver": "default",
                "config": [
                    {
                        "subnet": "172.28.0.0/16",
                        "ip_range": "172.28.5.0/24",
                        "gateway": "172.28.5.254",
                        "aux_addresses": {"host1": "172.28.1.5", "host2": "172.28.1.6"},
                    }
                ],
                "options": {"foo": "bar"},
            }
        ),
    ),
    Case("ipam-empty", used("{ipam: {config: []}}"), shown()),
    Case("ipam-any", pool("subnet: here"), shown(ipam={"config": [{"subnet": "here"}]})),
    Case("external", used("{external: true}"), shown("one", external=True)),
    Case("external-text", used("{external: 'true'}"), shown("one", external=True)),
    Case("external-false", used("{external: false}"), shown()),
    Case("external-named", used("{external: true, name: x}"), shown("x", external=True)),
    Case("external-name", used("{external: {name: x}}"), shown("x", external=True)),
    Case("external-names", used("{external: {name: x}, name: x}"), shown("x", external=True)),
    Case("external-empty", used("{external: {x-a: 1}}"), shown("one", external=True)),
    Case(
        "external-driver",
        used("{external: true, driver: x}"),
        shown("one", external=True, driver="x"),
    ),
    Case(
        "unused",
        "# one\nservices: {web: {image: a}}\nnetworks: {one: }",
        ABSENT,
        key="networks.one",
    ),
    Case(
        "default", "services: {web: {image: a}}", {"default": {"name": "orc_default", "ipam": {}}}
    ),
    Case(
        "default-named",
        "# one\nservices: {web: {image: a}}\nnetworks: {default: {name: x, driver: y}}",
        {"default": {"name": "x", "driver": "y", "ipam": {}}},
    ),
    Case(
        "over",
        used("{driver: a, labels: [a=b], driver_opts: {a: b}, name: x}"),
        shown("y", driver="b", labels={"a": "e", "c": "d"}, driver_opts={"a": "c", "d": "e"}),
        over=over("{driver: b, labels: {a: e, c: d}, driver_opts: {a: c, d: e}, name: y}"),
    ),
    Case("over-null", used("{driver: a}"), shown(driver="a"), over=over("")),
    Case("over-external", used("{external: true}"), shown(), over=over("{external: false}")),
    Case(
        "over-pool",
        pool("subnet: 10.0.0.0/8, gateway: 10.0.0.1"),
        shown(
            ipam={
                "config": [
                    {"subnet": "10.0.0.0/8", "gateway": "10.0.0.1", "ip_range": "10.1.0.0/16"}
                ]
            }
        ),
        over=over("{ipam: {config: [{subnet: 10.0.0.0/8, ip_range: 10.1.0.0/16}]}}"),
    ),
    Case(
        "over-pools",
        pool("subnet: 10.0.0.0/8"),
        shown(ipam={"config": [{"subnet": "10.0.0.0/8"}, {"subnet": "11.0.0.0/8"}]}),
        over=over("{ipam: {config: [{subnet: 11.0.0.0/8}]}}"),
        ours=POOLS,
    ),
    Case(
        "override",
        used("{driver: a, labels: [a]}"),
        shown(driver="c"),
        over=over("!override {driver: c}"),
    ),
    Case(
        "reset-labels",
        used("{driver: a, labels: [a]}"),
        shown(driver="a"),
        over=over("{labels: !reset {}}"),
    ),
)

WRONG = (
    Wrong("text", used("x"), "expected a mapping, not text", place="2:12", hint="KEY: VALUE"),
    Wrong("list", used("[a]"), "expected a mapping, not a list"),
    Wrong(
        "whole-list",
        "# l\nservices: {web: {image: a}}\nnetworks: [one]",
        "expected a mapping",
        place="3:1",
    ),
    Wrong(
        "bad-name",
        "# n\nservices: {web: {image: a}}\nnetworks: {a b: }",
        '"a b" is no name',
        place="3:12",
    ),
    Wrong(
        "name-number", used("{name: 3}"), "expected text, not a number", place="2:18", hint="quotes"
    ),
    Wrong("driver-number", used("{driver: 3}"), "expected text, not a number"),
    Wrong(
        "near",
        used("{drivr: x}"),
        'unknown key "drivr"',
        place="2:18",
        hint='did you mean "driver"?',
    ),
    Wrong(
        "option-bool",
        used("{driver_opts: {a: true}}"),
        "text or a number, not true or false",
        place="2:32",
    ),
    Wrong("option-null", used("{driver_opts: {a: }}"), "text or a number, not nothing"),
    Wrong("options-list", used("{driver_opts: [a=b]}"), "expected a mapping, not a list"),
    Wrong("flag-word", used("{internal: maybe}"), "expected true or false, not text", place="2:18"),
    Wrong("flag-number", used("{attachable: 1}"), "expected true or false, not a number"),
    Wrong("ipv6-list", used("{enable_ipv6: [true]}"), "expected true or false, not a list"),
    Wrong("labels-text", used("{labels: x}"), "KEY=VALUE, not text"),
    Wrong("labels-list", used("{labels: {a: [b]}}"), "text or a number, not a list", place="2:27"),
    Wrong("labels-number", used("{labels: [1]}"), "expected KEY=VALUE, not a number"),
    Wrong("ipam-text", used("{ipam: x}"), "expected a mapping, not text"),
    Wrong("ipam-near", used("{ipam: {drivr: x}}"), 'unknown key "drivr"', hint='"driver"'),
    Wrong("ipam-driver", used("{ipam: {driver: 1}}"), "expected text, not a number"),
    Wrong("pools-mapping", used("{ipam: {config: {subnet: a}}}"), "expected a list, not a mapping"),
    Wrong("pool-near", pool("gatway: a"), 'unknown key "gatway"', place="2:35", hint='"gateway"'),
    Wrong("subnet-number", pool("subnet: 10"), "expected text, not a number"),
    Wrong("aux-list", pool("aux_addresses: [a=b]"), "expected a mapping, not a list"),
    Wrong("aux-number", pool("aux_addresses: {a: 1}"), "expected text, not a number", place="2:51"),
    Wrong("ipam-option", used("{ipam: {options: {a: 1}}}"), "expected text, not a number"),
    Wrong("ipam-options", used("{ipam: {options: [a=b]}}"), "expected a mapping, not a list"),
    Wrong("external-word", used("{external: maybe}"), "expected true or false, not text"),
    Wrong(
        "external-number",
        used("{external: {name: 3}}"),
        "expected text, not a number",
        place="2:29",
    ),
    Wrong(
        "external-key",
        used("{external: {nam: x}}"),
        'unknown key "nam"',
        place="2:29",
        hint="external: true",
    ),
    Wrong(
        "external-two",
        used("{external: {name: x}, name: y}"),
        "contradict each other",
        hint="keep name",
    ),
    Wrong(
        "reset", used("{driver: a}"), 'no network "one" in this project', over=over("!reset null")
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_networks(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_networks_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
