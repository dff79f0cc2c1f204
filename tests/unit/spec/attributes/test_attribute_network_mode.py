"""services.*.network_mode (compose-spec 05-services.md, network_mode)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.network_mode"

SHARED = """
services:
  web: {image: a, network_mode: "service:db"}
  db: {image: b}
"""

CASES = (
    Case("host", "network_mode: host", "host"),
    Case("none", "network_mode: none", "none"),
    Case("bridge", "network_mode: bridge", "bridge"),
    Case("any", "network_mode: mine", "mine"),
    Case("container", "network_mode: container:abc", "container:abc"),
    Case("service", SHARED, "service:db"),
    Case(
        "service-depends",
        SHARED,
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        key="services.*.depends_on",
    ),
    Case(
        "service-depends-otherwise",
        """
        services:
          web:
            image: a
            network_mode: service:db
            depends_on: {db: {condition: service_healthy}}
          db: {image: b}
        """,
        {"db": {"condition": "service_healthy", "required": True}},
        key="services.*.depends_on",
    ),
    Case("no-networks", "network_mode: host", ABSENT, key="services.*.networks"),
    Case("no-default-network", "network_mode: host", ABSENT, key="networks"),
    Case("empty-networks", "network_mode: host\nnetworks: []", "host"),
    Case("empty", "network_mode: ''", ABSENT),
    Case("null", "network_mode:", ABSENT, ours=NULL),
    Case("null-default", "network_mode:", {"default": None}, key="services.*.networks", ours=NULL),
    Case("variable", "network_mode: '${MODE:-host}'", "host"),
    Case("over", "network_mode: host", "none", over="network_mode: none"),
    Case("reset", "network_mode: host", ABSENT, over="network_mode: !reset null"),
)

WRONG = (
    Wrong("number", "network_mode: 3", "expected text, not a number", place="4:5", hint="quotes"),
    Wrong("list", "network_mode: [host]", "expected text, not a list"),
    Wrong(
        "with-networks",
        """
        network_mode: host
        networks: [default]
        """,
        "network_mode and networks exclude each other",
        place="4:5",
        hint="keep one",
    ),
    Wrong(
        "with-networks-over",
        "networks: [default]",
        "network_mode and networks exclude each other",
        over="network_mode: host",
        place="4:5",
    ),
    Wrong(
        "unknown",
        "network_mode: service:nope",
        'no service "nope" in this project',
        place="4:5",
        hint="define services.nope (services here: web)",
    ),
    Wrong("near", "network_mode: service:wbe", 'no service "wbe"', hint='did you mean "web"?'),
    Wrong("itself", "network_mode: service:web", "circle: web -> web", place="4:5"),
    Wrong(
        "inactive",
        """
        services:
          web: {image: a, network_mode: "service:db"}
          db: {image: b, profiles: [more]}
        """,
        'service "db" is not active',
        place="2:19",
        hint="activate one of its profiles (more)",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_network_mode(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_network_mode_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
