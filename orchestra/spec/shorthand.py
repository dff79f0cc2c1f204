"""The short syntaxes: one text in, the long form out.

Ports, volumes, devices, hosts, commands as compose-spec 05-services.md describes them. Each
function raises Misfit with what was expected.
"""

from __future__ import annotations

import posixpath
import re
import shlex

from orchestra.addresses import parse_address
from orchestra.spec.findings import Misfit
from orchestra.spec.tree import Value

_PORT_FORM = "[[HOST_IP:]PUBLISHED:]TARGET[/PROTOCOL]"
_VOLUME_FORM = "[SOURCE:]TARGET[:OPTIONS]"
_PROPAGATION = {"rprivate", "private", "rshared", "shared", "rslave", "slave"}
_DRIVE = re.compile(r"[A-Za-z]:(?:[\\/]|\Z)")
_MOST_PORTS = 65_535
_LONGEST_COMMAND = 256 * 1024


def expand_port(text: str) -> list[dict[str, Value]]:
    """Return the long forms of "127.0.0.1:8000-8001:80-81/tcp": one per container port.

    :raises Misfit: when the text is no port.
    """
    rest, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in {"tcp", "udp", "sctp"}:
        raise Misfit(f'unknown protocol "{protocol}" in port "{text}"', hint="use tcp, udp or sctp")
    host, published, target = _split_port(rest, text)
    first, last = _range(target, text)
    base: dict[str, Value] = {"mode": "ingress"}
    if host:
        base["host_ip"] = _host_ip(host, text)
    if not published:
        return [{**base, "target": port, "protocol": protocol} for port in range(first, last + 1)]
    low, high = _range(published, text)
    if high - low != last - first:
        if first != last:
            raise Misfit(f'the two ranges of port "{text}" differ in length', hint=_PORT_FORM)
        return [{**base, "target": first, "published": published, "protocol": protocol}]
    return [
        {**base, "target": first + step, "published": str(low + step), "protocol": protocol}
        for step in range(last - first + 1)
    ]


def port_count(text: str) -> int:
    """Return how many long forms a port makes, without making them; about, of a malformed one."""
    match = re.search(r"(\d{1,5})-(\d{1,5})(?:/[a-z]{1,8})?\Z", text[-32:], re.IGNORECASE)
    return 1 if match is None else max(1, int(match[2]) - int(match[1]) + 1)


def _split_port(rest: str, text: str) -> tuple[str, str, str]:
    if rest.startswith("["):
        host, closed, tail = rest[1:].partition("]:")
        if not closed:
            raise Misfit(f'no port: "{text}"', hint=f"write {_PORT_FORM}")
        published, colon, target = tail.rpartition(":")
        if not colon:
            hint = f'write "[{host}]::{target}" to leave the published port open'
            raise Misfit(f'port "{text}" has an address, but one port only', hint=hint)
        return host, published, target
    head, _, target = rest.rpartition(":")
    host, _, published = head.rpartition(":")
    return host, published, target


def _host_ip(host: str, text: str) -> str:
    try:
        parse_address(host)
    except ValueError as err:
        raise Misfit(f'"{host}" in port "{text}" is no IP address', hint=_PORT_FORM) from err
    return host


def _range(ports: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", ports)
    if match is None:
        raise Misfit(f'no port: "{text}"', hint=f"write {_PORT_FORM}, as in 8080:80")
    first = int(match[1])
    last = int(match[2] or match[1])
    if first > last:
        raise Misfit(f'the range of port "{text}" runs backwards', hint=_PORT_FORM)
    if last > _MOST_PORTS:
        raise Misfit(f'port "{text}" is not between 0 and {_MOST_PORTS}', hint=_PORT_FORM)
    return first, last


def expand_volume(text: str) -> dict[str, Value]:
    """Return the long form of "data:/var/lib:ro", "./src:/src", "/cache".

    :raises Misfit: when the text is no mount.
    """
    parts = _split_volume(text)
    if len(text.encode()) < 3 and text:
        return {"type": "volume", "target": clean(text)}
    if len(parts) > 3 or not all(parts):
        problem = "too many colons" if len(parts) > 3 else "an empty part"
        raise Misfit(f'mount "{text}" has {problem}', hint=f"write {_VOLUME_FORM}")
    if len(parts) == 1:
        return {"type": "volume", "target": clean(text), "volume": {}}
    source, target = parts[0], clean(parts[1])
    mount: dict[str, Value] = {"type": "bind" if _is_path(source) else "volume"}
    mount.update(source=source, target=target)
    _add_options(mount, parts[2].split(",") if len(parts) == 3 else [])
    return mount


def _add_options(mount: dict[str, Value], options: list[str]) -> None:
    bind: dict[str, Value] = {"create_host_path": True} if mount["type"] == "bind" else {}
    volume: dict[str, Value] = {}
    for option in options:
        if option in {"ro", "rw"}:
            mount["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in _PROPAGATION:
            bind["propagation"] = option
        elif option in {"z", "Z"}:
            bind["selinux"] = option
    if bind or mount["type"] == "bind":
        mount["bind"] = bind
    if volume or mount["type"] == "volume":
        mount["volume"] = volume


def idle_options(text: str) -> list[str]:
    """Return the options of a short mount that mean nothing, as docker compose reads them."""
    parts = _split_volume(text)
    known = {"", "ro", "rw", "nocopy", "z", "Z", *_PROPAGATION}
    options = dict.fromkeys(parts[2].split(",")) if parts[2:] else ()
    return [option for option in options if option not in known]


def _split_volume(text: str) -> list[str]:
    """Return what colons part, but those behind a Windows drive or in a variable."""
    if "${" not in text and not _DRIVE.search(text):
        return text.split(":")
    parts: list[str] = []
    begin = depth = 0
    for index, character in enumerate(text):
        if character == ":" and depth == 0:
            if index - begin == 1 and _DRIVE.match(text, begin):
                continue
            parts.append(text[begin:index])
            begin = index + 1
        elif text.startswith("${", index):
            depth += 1
        elif character == "}" and depth:
            depth -= 1
    return [*parts, text[begin:]]


def clean(target: str) -> str:
    """Return a path without what means nothing: ``.``, double slashes, one at the end."""
    return posixpath.normpath(target).replace("//", "/", 1) if target else ""


def _is_path(source: str) -> bool:
    return (
        source[0] in "./~"
        or source.startswith("\\\\")
        or re.match(r"[A-Za-z]:", source) is not None
    )


def expand_device(text: str) -> dict[str, Value]:
    """Return the long form of "/dev/a:/dev/b:rwm".

    :raises Misfit: when the text is no device.
    """
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise Misfit(f'no device: "{text}"', hint="write SOURCE[:TARGET[:PERMISSIONS]]")
    target = parts[1] if len(parts) > 1 and parts[1] else parts[0]
    return {
        "source": parts[0],
        "target": target,
        "permissions": parts[2] if len(parts) == 3 else "rwm",
    }


def expand_host(text: str) -> tuple[str, list[Value]]:
    """Return name and addresses of "name=1.2.3.4,::1" or "name:1.2.3.4".

    :raises Misfit: when the text is no such pair.
    """
    separator = "=" if "=" in text else ":"
    name, found, addresses = text.partition(separator)
    if not found or not name:
        raise Misfit(f'extra host "{text}" has no address', hint="write NAME=ADDRESS")
    return name, [_bare(address) for address in addresses.split(",")]


def _bare(address: str) -> str:
    if len(address) > 2 and address.startswith("[") and address.endswith("]"):
        return address[1:-1]
    return address


def split_command(text: str) -> list[str]:
    """Return the words of a command as a shell would split them.

    :raises Misfit: when a quote is not closed.
    """
    if len(text) > _LONGEST_COMMAND:
        size = _LONGEST_COMMAND // 1024
        raise Misfit(f"this command is longer than {size} KiB", hint="put it into a script")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError as err:
        raise Misfit("a quote is not closed in this command", hint="or write it as a list") from err
