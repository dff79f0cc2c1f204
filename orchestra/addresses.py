"""IP addresses as people write them. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


def parse_address(text: str) -> Address:
    """Return an address; its text is safe to hand on wherever an address may stand.

    One with a scope ("fe80::1%eth0") is refused: Python takes any text whatever for a scope.

    :raises ValueError: when it is no address.
    """
    if "%" in text:
        raise ValueError("an address with a scope belongs to one host")
    return ip_address(text)
