"""The texts of /etc/hosts, /etc/resolv.conf and /etc/hostname inside a container; pure.

Every name is checked before it gets in: these files are read by programs that trust their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address

from orchestra.engine.network.endpoints import published_endpoint
from orchestra.engine.network.naming import check_dns_name
from orchestra.engine.shim.protocol import DNS_ADDRESS
from orchestra.engine.state.records import Endpoint
from orchestra.errors import NetworkError
from orchestra.planner.desired import ContainerSpec
from orchestra.values import dataclass

HOST_GATEWAY = "host-gateway"
_OPTION = re.compile(r"[a-z0-9-]+(:[0-9]{1,6})?")
_LOCAL = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """What a resolv.conf says (resolv.conf(5))."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFiles:
    """The three files' texts."""

    hosts: str
    resolv_conf: str
    hostname: str


@lru_cache(maxsize=4)
def parse_resolv_conf(text: str) -> ResolvConf:
    """Read a resolv.conf; what is no address, no host name, no option is left out."""
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest and _is_address(rest[0].partition("%")[0]):
            nameservers.append(rest[0].partition("%")[0])
        elif word in {"search", "domain"}:
            search = [name.rstrip(".") for name in rest if _is_name(name.rstrip("."))]
        elif word == "options":
            options += [option for option in rest if _OPTION.fullmatch(option)]
    return ResolvConf(nameservers=tuple(nameservers), search=tuple(search), options=tuple(options))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    try:
        check_dns_name("a search domain", text)
    except NetworkError:
        return False
    return True


def reachable_nameservers(conf: ResolvConf) -> tuple[str, ...]:
    """Return the servers that another network namespace reaches too: not the host's loopback."""
    return tuple(s for s in conf.nameservers if not ip_address(s).is_loopback)


def resolv_conf_text(conf: ResolvConf) -> str:
    """Return a resolv.conf."""
    lines = [f"nameserver {server}" for server in conf.nameservers]
    if conf.search:
        lines.append("search " + " ".join(conf.search))
    if conf.options:
        lines.append("options " + " ".join(conf.options))
    return "".join(f"{line}\n" for line in lines)


def hosts_text(own: Iterable[tuple[str, Sequence[str]]], extra: Iterable[tuple[str, str]]) -> str:
    """Return a hosts file: ``own`` are (address, names), ``extra`` (name, address) pairs.

    :raises NetworkError: when a name or an address is not valid.
    """
    lines = list(_LOCAL)
    for name, address in extra:
        check_dns_name("a host name in extra_hosts", name)
        lines.append(f"{_checked(name, address)}\t{name}")
    for address, names in own:
        for name in names:
            check_dns_name("a host name", name)
        lines.append(f"{address}\t{' '.join(names)}")
    return "".join(f"{line}\n" for line in lines)


def _checked(name: str, address: str) -> str:
    bare = address.strip("[]")
    if not _is_address(bare):
        raise NetworkError(
            f'cannot use {address!r} as the address of "{name}" in extra_hosts',
            hint=f'write an IPv4 or IPv6 address, or "{HOST_GATEWAY}"',
        )
    return bare


def container_files(
    spec: ContainerSpec, endpoints: Sequence[Endpoint], *, hostname: str, host: ResolvConf
) -> NetworkFiles:
    """Return the files of a container with a network of its own, or with the host's.

    ``hostname`` is the effective one; ``host`` what the host's resolv.conf says.

    :raises NetworkError: when a name, an address or an option is not valid.
    """
    names = [hostname]
    check_dns_name("a hostname", hostname)
    if spec.domainname:
        check_dns_name("a domain name", spec.domainname)
        names.insert(0, f"{hostname}.{spec.domainname}")
    own = [(a, names) for e in endpoints for a in (e.ipv4, e.ipv6) if a]
    if not own:
        own = [("127.0.1.1", names)] if spec.network_mode != "none" else []
    gateway = _host_gateway(spec, endpoints)
    extra = [(n, gateway if a == HOST_GATEWAY and gateway else a) for n, a in spec.extra_hosts]
    return NetworkFiles(
        hosts=hosts_text(own, extra),
        resolv_conf=resolv_conf_text(_container_resolv_conf(spec, endpoints, host)),
        hostname=f"{hostname}\n",
    )


def _host_gateway(spec: ContainerSpec, endpoints: Sequence[Endpoint]) -> str | None:
    if spec.network_mode == "host":
        return "127.0.0.1"
    endpoint = published_endpoint(endpoints)
    return endpoint.ipv4_gateway if endpoint else None


def _container_resolv_conf(
    spec: ContainerSpec, endpoints: Sequence[Endpoint], host: ResolvConf
) -> ResolvConf:
    for server in spec.dns:
        _checked("dns", server)
    for name in spec.dns_search:
        if name != ".":
            check_dns_name("a search domain", name)
    for option in spec.dns_options:
        if not _OPTION.fullmatch(option):
            raise NetworkError(f"cannot use {option!r} as an option of resolv.conf")
    search = tuple(name for name in spec.dns_search if name != ".")
    options = tuple(dict.fromkeys((*spec.dns_options, *host.options)))
    if endpoints and not any(option.startswith("ndots:") for option in spec.dns_options):
        # A service's name has no dot: without this it would be asked for with every suffix first.
        options = ("ndots:0", *(o for o in options if not o.startswith("ndots:")))
    return ResolvConf(
        nameservers=(DNS_ADDRESS,) if endpoints else spec.dns or host.nameservers,
        search=search if spec.dns_search else host.search,
        options=options,
    )
