"""How build steps reach the world: the machine's NATed build network, the host's, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import assert_never

from orchestra.engine.build.environment import Network, NetworkMode, StepNetwork
from orchestra.engine.container.oneshot import HOST_NETWORK, NO_NETWORK
from orchestra.engine.network.buildnet import NAME, BuildNetwork
from orchestra.engine.network.endpoints import interface_of
from orchestra.engine.network.hosts import (
    ResolvConf,
    parse_resolv_conf,
    reachable_nameservers,
    resolv_conf_text,
)
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ShimNetwork
from orchestra.engine.state.store import Store

_RESOLV_CONF = "/etc/resolv.conf"
_BEHIND_STUB = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved tells the servers behind its own, which listens on the host's loopback."""


def step_networks(paths: Paths, store: Store) -> Network:
    """Return what opens a network for a step on this machine."""

    @asynccontextmanager
    async def opened(mode: NetworkMode) -> AsyncIterator[StepNetwork]:
        match mode:
            case "none":
                yield StepNetwork(network=NO_NETWORK)
            case "host":
                text = _read(_RESOLV_CONF)
                yield StepNetwork(network=HOST_NETWORK, resolv_conf=text, gateway="127.0.0.1")
            case "default":
                async with BuildNetwork(paths, store) as endpoint:
                    network: ShimNetwork = {
                        "mode": "new",
                        "interfaces": [interface_of(endpoint, store.network(NAME))],
                        "dns": False,
                        "listen": [],
                    }
                    yield StepNetwork(
                        network=network,
                        resolv_conf=outside_resolv_conf(_read(_RESOLV_CONF), _read(_BEHIND_STUB)),
                        gateway=endpoint.ipv4_gateway or "",
                    )
            case _:
                assert_never(mode)

    return opened


def outside_resolv_conf(host: str, behind_stub: str) -> str:
    """Return a resolv.conf that holds in another network namespace than the host's."""
    conf = parse_resolv_conf(host)
    servers = reachable_nameservers(conf)
    if not servers:
        servers = reachable_nameservers(parse_resolv_conf(behind_stub))
    found = ResolvConf(nameservers=servers, search=conf.search, options=conf.options)
    return resolv_conf_text(found)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
