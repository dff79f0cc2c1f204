"""What a service's ``logging`` means: where its output goes, and how much of it is kept.

Drivers and options are docker's (docs.docker.com/engine/logging; moby, daemon/logger). One decision
for both who need it: the planner tells what is wrong of it, with its place, and the engine obeys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import urlsplit

from orchestra.planner.desired import LogSpec
from orchestra.planner.logtag import TagError, check_tag
from orchestra.values import dataclass, field

DRIVERS = ("json-file", "local", "journald", "syslog", "none")
Network = Literal["", "udp", "tcp", "tcp+tls", "unix", "unixgram"]
Format = Literal["", "rfc3164", "rfc5424", "rfc5424micro"]

_ATTRIBUTES = ("tag", "labels", "labels-regex", "env", "env-regex")
_SIZES = ("max-size", "max-file", "compress")
_SYSLOG = (
    "syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert",
    "syslog-tls-key", "syslog-tls-skip-verify",
)  # fmt: skip
_COMMON = ("mode", "max-buffer-size", "cache-disabled", *(f"cache-{name}" for name in _SIZES))
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "json-file": (*_SIZES, *_ATTRIBUTES),
    "local": _SIZES,
    "journald": _ATTRIBUTES,
    "syslog": (*_SYSLOG, *_ATTRIBUTES),
}
_KEPT_BYTES = 20 * 1024 * 1024
_KEPT_FILES = 5
_BUFFER_BYTES = 1_000_000
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_TRUE, _FALSE = {"1", "t", "true"}, {"0", "f", "false"}
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
)  # fmt: skip
_PORT = 514


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A syslog receiver; network "" is this host's own, ``host`` of a unix one its path."""

    network: Network = ""
    host: str = ""
    port: int = 0
    facility: int = 3
    format: Format = ""
    ca_cert: str = ""
    cert: str = ""
    key: str = ""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Which labels and variables go with each message, by name and by expression."""

    labels: tuple[str, ...] = ()
    labels_regex: str = ""
    env: tuple[str, ...] = ()
    env_regex: str = ""

    def chosen(self, labels: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
        """Return those that are there."""
        found = _chosen(labels, self.labels, self.labels_regex)
        return found | _chosen(env, self.env, self.env_regex)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """A decision: ``kept`` in files here, and sent to journald or to a syslog receiver or nobody.

    ``blocking`` (docker's mode): a container that writes faster than the receiver takes waits for
    it, for a while; otherwise what does not fit into ``buffer_bytes`` is not sent.
    """

    kept: bool = True
    max_bytes: int = _KEPT_BYTES
    max_files: int = _KEPT_FILES
    journald: bool = False
    syslog: Receiver | None = None
    blocking: bool = True
    buffer_bytes: int = _BUFFER_BYTES
    tag: str = ""
    attributes: Attributes = Attributes()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an option ("" is the driver); ``harmless``: it merely has no effect."""

    option: str
    message: str
    hint: str = ""
    harmless: bool = False


@dataclass(slots=True)
class _Reading:
    """Options on their way to a decision."""

    options: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, option: str, message: str, hint: str) -> None:
        self.faults.append(Fault(option, message, hint))

    def size(self, option: str, default: int, *, unlimited: bool = False) -> int:
        text = self.options.get(option, "")
        if unlimited and text == "-1":
            return 0
        match = _SIZE.fullmatch(text)
        if not match:
            if text:
                self.wrong(option, f'"{text}" is no size', 'write it as "10m"')
            return default
        return int(float(match[1]) * _FACTORS[match[2].lower()])

    def flag(self, option: str) -> bool:
        text = self.options.get(option, "").lower()
        if text and text not in _TRUE | _FALSE:
            self.wrong(option, f'"{text}" is neither true nor false', 'write "true" or "false"')
        return text in _TRUE

    def expression(self, option: str) -> str:
        text = self.options.get(option, "")
        try:
            re.compile(text)
        except re.error as err:
            self.wrong(option, f'"{text}" is no regular expression: {err}', "mend it")
            return ""
        return text

    def names(self, option: str) -> tuple[str, ...]:
        return tuple(name for name in self.options.get(option, "").split(",") if name)


def decide_logging(spec: LogSpec) -> tuple[Logging, tuple[Fault, ...]]:
    """Return where output goes, and everything that is wrong with what was asked for."""
    driver = spec.driver or "json-file"
    if driver == "none":
        return Logging(kept=False), ()
    if driver not in _KNOWN:
        known = ", ".join(DRIVERS)
        return Logging(), (Fault("", f'there is no driver "{driver}"', f"it is one of {known}"),)
    reading = _Reading(spec.options)
    _check_names(reading, driver)
    remote = driver in {"journald", "syslog"}
    max_bytes, max_files = _kept(reading, "cache-" if remote else "")
    decision = Logging(
        kept=not (remote and reading.flag("cache-disabled")),
        max_bytes=max_bytes,
        max_files=max_files,
        journald=driver == "journald",
        syslog=_receiver(reading) if driver == "syslog" else None,
        blocking=_blocking(reading),
        buffer_bytes=reading.size("max-buffer-size", _BUFFER_BYTES),
        tag=_tag(reading) or ("{{.ID}}" if remote else ""),
        attributes=Attributes(
            labels=reading.names("labels"),
            labels_regex=reading.expression("labels-regex"),
            env=reading.names("env"),
            env_regex=reading.expression("env-regex"),
        ),
    )
    return decision, tuple(reading.faults)


def _check_names(reading: _Reading, driver: str) -> None:
    known = (*_KNOWN[driver], *_COMMON)
    for option in reading.options:
        if option not in known:
            message = f'the driver "{driver}" has no option "{option}"'
            reading.wrong(option, message, f"it has {', '.join(sorted(known))}")


def _kept(reading: _Reading, prefix: str) -> tuple[int, int]:
    """Read how much is kept in files."""
    max_bytes = reading.size(f"{prefix}max-size", _KEPT_BYTES, unlimited=True)
    files = reading.options.get(f"{prefix}max-file", "")
    if files and (not files.isdecimal() or int(files) < 1):
        reading.wrong(f"{prefix}max-file", f'"{files}" is no number of files', "write 1 or more")
        files = ""
    if reading.flag(f"{prefix}compress"):
        message = "it has no effect here, older files are not compressed"
        reading.faults.append(Fault(f"{prefix}compress", message, harmless=True))
    return max_bytes, int(files or _KEPT_FILES)


def _blocking(reading: _Reading) -> bool:
    mode = reading.options.get("mode", "")
    if mode not in {"", "blocking", "non-blocking"}:
        hint = "it is one of blocking, non-blocking"
        reading.wrong("mode", f'"{mode}" is no mode', hint)
    elif "max-buffer-size" in reading.options and mode != "non-blocking":
        hint = "write mode: non-blocking beside it"
        reading.wrong("max-buffer-size", "it is for the mode non-blocking only", hint)
    return mode != "non-blocking"


def _tag(reading: _Reading) -> str:
    tag = reading.options.get("tag", "")
    try:
        check_tag(tag)
    except TagError as err:
        reading.wrong("tag", str(err), 'write it as "{{.Name}}/{{.ID}}"')
        return ""
    return tag


def _receiver(reading: _Reading) -> Receiver:
    network, host, port = _address(reading)
    get = reading.options.get
    formats: Mapping[str, Format] = {
        "": "", "rfc3164": "rfc3164", "rfc5424": "rfc5424", "rfc5424micro": "rfc5424micro"
    }  # fmt: skip
    written = get("syslog-format", "")
    if written not in formats:
        hint = "it is one of rfc3164, rfc5424, rfc5424micro"
        reading.wrong("syslog-format", f'"{written}" is no format', hint)
    if bool(get("syslog-tls-cert")) != bool(get("syslog-tls-key")):
        missing = "key" if get("syslog-tls-cert") else "cert"
        given = "cert" if missing == "key" else "key"
        hint = f"write syslog-tls-{missing} as well"
        reading.wrong(f"syslog-tls-{given}", "a certificate and its key go together", hint)
    return Receiver(
        network=network,
        host=host,
        port=port,
        facility=_facility(reading),
        format=formats.get(written, ""),
        ca_cert=get("syslog-tls-ca-cert", ""),
        cert=get("syslog-tls-cert", ""),
        key=get("syslog-tls-key", ""),
        skip_verify="syslog-tls-skip-verify" in reading.options,
    )


def _facility(reading: _Reading) -> int:
    text = reading.options.get("syslog-facility", "") or "daemon"
    if text.isdecimal() and int(text) < len(_FACILITIES):
        return int(text)
    if text in _FACILITIES:
        return _FACILITIES.index(text)
    hint = f"it is one of {', '.join(name for name in _FACILITIES if name)}"
    reading.wrong("syslog-facility", f'there is no facility "{text}"', hint)
    return 0


def _address(reading: _Reading) -> tuple[Network, str, int]:
    text = reading.options.get("syslog-address", "")
    if not text:
        return "", "", 0
    hint = 'write it as "udp://HOST:PORT", tcp, tcp+tls, or "unixgram://PATH", unix'
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port or _PORT
    except ValueError as err:
        reading.wrong("syslog-address", f'"{text}" is no address: {err}'.lower(), hint)
        return "", "", 0
    networks: Mapping[str, Network] = {"udp": "udp", "tcp": "tcp", "tcp+tls": "tcp+tls"}
    if url.scheme in networks and host:
        return networks[url.scheme], host, port
    paths: Mapping[str, Network] = {"unix": "unix", "unixgram": "unixgram"}
    if url.scheme in paths and url.path.startswith("/"):
        return paths[url.scheme], url.path, 0
    reading.wrong("syslog-address", f'"{text}" is no address of a receiver', hint)
    return "", "", 0


def _chosen(values: Mapping[str, str], names: tuple[str, ...], expression: str) -> dict[str, str]:
    def wanted() -> Iterator[str]:
        yield from (name for name in names if name in values)
        if expression:
            yield from (name for name in values if re.search(expression, name))

    return {name: values[name] for name in wanted()}
