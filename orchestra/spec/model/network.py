"""Networks and a service's place on them (compose-spec 06-networks.md, 05-services.md)."""

from __future__ import annotations

from typing import ClassVar

from orchestra.spec.model.base import EMPTY, ExtensibleElement, Flag, Integer, Text, TextMap, Texts


class IpamPool(ExtensibleElement):
    """One subnet of a network, in CIDR and dotted text."""

    subnet: Text | None = None
    gateway: Text | None = None
    ip_range: Text | None = None
    aux_addresses: TextMap = EMPTY


class Ipam(ExtensibleElement):
    """How addresses of a network are managed."""

    driver: Text | None = None
    config: tuple[IpamPool, ...] = ()
    options: TextMap = EMPTY


class Network(ExtensibleElement):
    """One top-level network; ``name`` is what the machine calls it."""

    pointers: ClassVar[frozenset[str]] = frozenset({"enable_ipv4", "enable_ipv6"})

    name: Text
    driver: Text | None = None
    driver_opts: TextMap = EMPTY
    ipam: Ipam = Ipam()
    external: Flag = False
    internal: Flag = False
    attachable: Flag = False
    labels: TextMap = EMPTY
    enable_ipv4: Flag | None = None
    enable_ipv6: Flag | None = None


class Attachment(ExtensibleElement):
    """One entry of a service's ``networks``."""

    aliases: Texts = ()
    driver_opts: TextMap = EMPTY
    gw_priority: Integer = 0
    interface_name: Text | None = None
    ipv4_address: Text | None = None
    ipv6_address: Text | None = None
    link_local_ips: Texts = ()
    mac_address: Text | None = None
    priority: Integer = 0
