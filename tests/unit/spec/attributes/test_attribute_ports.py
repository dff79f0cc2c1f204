"""services.*.ports (compose-spec 05-services.md, ports)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Json, Wrong, check, check_wrong

KEY = "services.*.ports"

Port = dict[str, "Json"]
RANGE = "it takes a port that no container can have"


def port(target: int, published: str | None = None, **more: str) -> Port:
    """Return a port as it is shown."""
    result: Port = {"mode": "ingress", "target": target, "protocol": "tcp", **more}
    return result if published is None else {**result, "published": published}


def pairs(first: int, published: int, count: int) -> list[Json]:
    return [port(first + step, str(published + step)) for step in range(count)]


def long(attributes: str) -> str:
    return f"ports: [{{{attributes}}}]"


SHORT: dict[str, Json] = {
    "3000": [port(3000)],
    "3000-3002": [port(3000), port(3001), port(3002)],
    "8000:80": [port(80, "8000")],
    "9090-9091:8080-8081": pairs(8080, 9090, 2),
    "8000-8010:80": [port(80, "8000-8010")],
    "127.0.0.1:8001:8001": [port(8001, "8001", host_ip="127.0.0.1")],
    "127.0.0.1:8000-8010:80": [port(80, "8000-8010", host_ip="127.0.0.1")],
    "127.0.0.1::5000": [port(5000, host_ip="127.0.0.1")],
    ":5000": [port(5000)],
    "::5000": [port(5000)],
    "6060:6060/udp": [port(6060, "6060", protocol="udp")],
    "6060:6060/UDP": [port(6060, "6060", protocol="udp")],
    "6060/sctp": [port(6060, protocol="sctp")],
    "6060:6060/": [port(6060, "6060")],
    "[::1]:8080:80": [port(80, "8080", host_ip="::1")],
    "::1:8080:80": [port(80, "8080", host_ip="::1")],
    "[::1]::80": [port(80, host_ip="::1")],
    "0:80": [port(80, "0")],
    "08:08": [port(8, "8")],
}
REFUSED = {
    "": "no port",
    "a:b": "no port",
    "80:": "no port",
    " 80:80": "no port",
    "8080 : 80": "no port",
    "6060:6060/foo": 'unknown protocol "foo"',
    "80:80/tcp/udp": 'unknown protocol "tcp/udp"',
    "[::1]:80": "has an address, but one port only",
    "localhost:80:80": '"localhost" in port "localhost:80:80" is no IP address',
    "256.0.0.1:80:80": "is no IP address",
    "[fe80::1%eth0]:80:80": "is no IP address",
    "80:80:80:80": "is no IP address",
    "80-81:80-82": "the two ranges of port",
    "81-80:80": "runs backwards",
    "70000:80": "is not between 0 and 65535",
    "80:70000": "is not between 0 and 65535",
    "1-70000:80": "is not between 0 and 65535",
    "80:0": "expected at least 1",
}

CASES = (
    *(
        Case(f"short-{text}".replace("/", "-"), f"ports: ['{text}']", shown)
        for text, shown in SHORT.items()
    ),
    Case("number", "ports: [3000]", [port(3000)]),
    Case("no-base-60", "ports: [22:22]", [port(22, "22")]),
    Case("variable", "ports: ['${P}:80']", [port(80, "8")], env={"P": "8"}),
    Case("unset", "ports: ['${P}:80']", [port(80)]),
    Case("long", long("target: 80"), [port(80)]),
    Case("published-number", long("target: 80, published: 8080"), [port(80, "8080")]),
    Case("published-range", long("target: 80, published: 8080-8090"), [port(80, "8080-8090")]),
    Case("published-empty", long("target: 80, published: ''"), [port(80)]),
    Case("published-zero", long("target: 80, published: 0"), [port(80, "0")]),
    Case("target-text", long("target: '80'"), [port(80)]),
    Case("target-variable", long("target: '${P}'"), [port(8)], env={"P": "8"}),
    Case("target-point", long("target: 80.0"), [port(80)]),
    Case("protocol-any", long("target: 80, protocol: foo"), [port(80, protocol="foo")]),
    Case("protocol-case", long("target: 80, protocol: TCP"), [port(80, protocol="TCP")]),
    Case("mode", long("target: 80, mode: host"), [port(80, mode="host")]),
    Case("mode-empty", long("target: 80, mode: ''"), [{"target": 80, "protocol": "tcp"}]),
    Case("ip6", long("target: 80, host_ip: '::1'"), [port(80, host_ip="::1")]),
    Case(
        "full",
        """
        ports:
          - name: web-secured
            target: 443
            host_ip: 127.0.0.1
            published: "8083-9000"
            protocol: udp
            app_protocol: https
            mode: host
            x-a: 1
        """,
        [
            {
                "name": "web-secured",
                "mode": "host",
                "host_ip": "127.0.0.1",
                "target": 443,
                "published": "8083-9000",
                "protocol": "udp",
                "app_protocol": "https",
            }
        ],
    ),
    Case("null-name", long("target: 80, name: "), [port(80)], ours=NULL),
    Case("empty", "ports: []", ABSENT),
    Case("null", "ports:", ABSENT, ours=NULL),
    Case("repeated", "ports: ['80:80', '80:80']", pairs(80, 80, 1)),
    Case("repeated-number", "ports: [80, '80']", [port(80)]),
    Case("repeated-range", "ports: ['80-81:80-81', '80:80']", pairs(80, 80, 2)),
    Case("renamed", "ports: [{target: 80, name: a}, {target: 80, name: b}]", [port(80, name="b")]),
    Case("over", "ports: ['80:80']", pairs(80, 80, 2), over="ports: ['80:80', '81:81']"),
    Case("over-published", "ports: ['80']", [port(80), port(80, "81")], over="ports: ['81:80']"),
    Case(
        "over-address",
        "ports: ['80:80']",
        [port(80, "80"), port(80, "80", host_ip="127.0.0.1")],
        over="ports: ['127.0.0.1:80:80']",
    ),
    Case(
        "over-protocol",
        "ports: ['80:80']",
        [port(80, "80"), port(80, "80", protocol="udp")],
        over="ports: ['80:80/udp']",
    ),
    Case(
        "over-any-address",
        "ports: ['80:80']",
        [port(80, "80", host_ip="0.0.0.0")],
        over="ports: ['0.0.0.0:80:80/tcp']",
    ),
    Case(
        "over-long",
        "ports: ['80:80']",
        [port(80, "80", name="a")],
        over=long("target: 80, published: '80', name: a"),
    ),
    Case(
        "over-long-number",
        "ports: ['80:80']",
        [port(80, "80", name="a")],
        over=long("target: 80, published: 80, name: a"),
        ours="it takes a published number and the same in text for two ports",
    ),
    Case("override", "ports: ['80:80']", [port(81)], over="ports: !override ['81']"),
    Case("reset", "ports: ['80:80']", ABSENT, over="ports: !reset []"),
)

WRONG = (
    *(
        Wrong(f"short-{text}".replace("/", "-"), f"ports: [1, '{text}']", words)
        for text, words in REFUSED.items()
    ),
    Wrong(
        "place",
        "ports: [80, '80:x']",
        'no port: "80:x"',
        place="4:17",
        hint="write [[HOST_IP:]PUBLISHED:]TARGET[/PROTOCOL]",
    ),
    Wrong("text", "ports: '80:80'", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("mapping", "ports: {'80': 80}", "expected a list, not a mapping"),
    Wrong(
        "point", "ports: [80.0]", "expected a port, not a number", hint='in quotes, as in "8080:80"'
    ),
    Wrong("bool", "ports: [true]", "expected a port, not true or false"),
    Wrong("list", "ports: [[80]]", "expected a port, not a list"),
    Wrong("null-item", "ports: [null]", "expected a port, not nothing"),
    Wrong("negative", "ports: [-1]", "no port"),
    Wrong("large", "ports: [70000]", "is not between 0 and 65535"),
    Wrong("no-target", long("published: 80"), '"target" is missing', place="4:13", hint="target"),
    Wrong("target-word", long("target: web"), "expected a whole number, not text", place="4:14"),
    Wrong("target-range", long("target: 80-81"), "expected a whole number, not text"),
    Wrong("target-zero", long("target: 0"), "expected at least 1", ours=RANGE),
    Wrong("target-large", long("target: 70000"), "expected at most 65535", ours=RANGE),
    Wrong("target-negative", long("target: -1"), "expected at least 1"),
    Wrong("published-bool", long("target: 80, published: true"), "not true or false", place="4:26"),
    Wrong("published-fraction", long("target: 80, published: 80.5"), "not a fraction"),
    Wrong("published-list", long("target: 80, published: [80]"), "not a list"),
    Wrong("protocol-number", long("target: 80, protocol: 6"), "expected text, not a number"),
    Wrong("mode-bool", long("target: 80, mode: true"), "expected text, not true or false"),
    Wrong("name-number", long("target: 80, name: 1"), "expected text, not a number"),
    Wrong("app-list", long("target: 80, app_protocol: [http]"), "expected text, not a list"),
    Wrong(
        "ip-word",
        long("target: 80, host_ip: foo"),
        "is no IP address",
        place="4:26",
        hint="127.0.0.1",
    ),
    Wrong("ip-scope", long("target: 80, host_ip: 'fe80::1%x }; y'"), "is no IP address"),
    Wrong("ip-empty", long("target: 80, host_ip: ''"), "is no IP address"),
    Wrong("ip-brackets", long("target: 80, host_ip: '[::1]'"), "is no IP address"),
    Wrong("ip-number", long("target: 80, host_ip: 1"), "expected an IP address, not a number"),
    Wrong(
        "near-key",
        long("target: 80, publish: 1"),
        'unknown key "publish"',
        place="4:26",
        hint='did you mean "published"?',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_ports(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_ports_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
