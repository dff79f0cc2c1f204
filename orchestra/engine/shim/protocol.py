"""What the engine, the launcher and a shim say to each other: names of files, and messages.

A message is one JSON object in one SOCK_SEQPACKET packet, with file descriptors beside it
(SCM_RIGHTS) where said. Bulky documents travel as files: the request of a start lies in the
container's directory, so that a new launcher can read it again.

One connection is one conversation: the client sends one request, the launcher answers. A project's
launcher is called at its socket. A private one has a line to its owner (a socketpair) on which
come {"op": "connect"} and, beside it, one end of a new socketpair: that is the conversation. At the
line's end it quits.
- ``start``: {"op": "start", "request": PATH of a ShimRequest}. Answer: Started or Failed. With
  "plain": ID the launcher does not read the request: nothing but a log file is kept of it. With
  ``output`` "inherit" the request comes with stdin, stdout and stderr, or Started with the pty's
  master where there is a tty; the conversation then goes on: Exited at the end, and a
  client that closes it kills the container.
- ``adopt``: {"op": "adopt", "request": PATH}: a new shim for a container whose own was killed; one
  whose init is gone too is cleaned up, and its exit written down. Answer: Started or Failed.
- ``exec``: ExecRequest, with stdin, stdout and stderr when it asks for no tty; or {"op": "exec"}
  alone, and that in the next message: a process waits for it by then. Answers: Started or
  Failed (Started carries the pty's master when there is one), then Exited. When the client closes
  the connection before that, the process is killed, unless it asked for ``detach``: then nothing
  follows Started.
- ``sockets``: {"op": "sockets"}. Answers, without end: one Sockets message per running container
  (now, and as containers start), and {"gone": ID} as they end.
- ``supervise``: {"op": "supervise", "argv": [...], "env": {...}}: start that program, and start it
  again whenever it dies, until it exits with 0. Answer: Started. A second one changes nothing.
- ``quit``: the launcher ends once no container is left. Answer: {"ok": true}.

Between a shim and its launcher there is a channel of its own, with these messages on it:
- ``hold``: {"op": "hold", "dns": bool, "listen": [Listen...]}, with the sockets beside it in the
  order of Sockets. The launcher holds them while the container runs. Nothing is answered.
- ``warm``: {"op": "warm", "bundle": PATH}: a filter was compiled that is worth keeping for others.
- ``born``: {"op": "born"}: a plain container runs; only now do others hear of its sockets.
"""

from __future__ import annotations

from typing import Literal, NotRequired

from orchestra.oci.runtime import IdMapping, Process
from orchestra.values import TypedDict

REQUEST_FILE = "shim.json"
EXIT_FILE = "exit.json"
LOG_FILE = "log.jsonl"
SHIM_FILE = "shim.pid"
INIT_FILE = "init.pid"
STATUS_FILE = "init.status"
"""How an init ended whose shim was killed: {"pid": PID, "status": WAIT STATUS}, by the launcher."""
ATTACH_SOCKET = "attach.sock"
ATTACH_PACKET_BYTES = 32 * 1024
"""How much data a packet on that socket carries at most; see console.py."""
LAUNCHER_SOCKET = "launcher.sock"
MESSAGE_BYTES_MAX = 1024 * 1024

DNS_ADDRESS = "127.0.0.11"
DNS_PORT = 20053
"""Where the resolver listens inside each namespace; port 53 of DNS_ADDRESS is redirected there."""


class Identity(TypedDict):
    """A process that cannot be mistaken: ``start_time`` is field 22 of /proc/PID/stat."""

    pid: int
    start_time: int
    boot_id: str


class ExitRecord(TypedDict):
    """exit.json: ``code`` is 0-255, 128+n for a signal; ``finished_at`` ISO 8601 in UTC."""

    code: int
    signal: int | None
    oom_killed: bool
    started_at: str
    finished_at: str
    error: NotRequired[str]


class Rootfs(TypedDict):
    """What the shim's child (birth.py) mounts at BUNDLE/rootfs, in a mount namespace of its own.

    ``lower`` are layer directories, uppermost first; with ``upper`` "" the root is one plain
    directory (``lower[0]``), bound as it is: the choice where overlayfs is not to be had.
    ``context``: SELinux's of every file in it.
    """

    lower: list[str]
    upper: str
    work: str
    context: NotRequired[str]


class UserNamespace(TypedDict):
    """The ids of a container with remapped ones; ``mapped``: targets of mounts with such owners."""

    uids: list[IdMapping]
    gids: list[IdMapping]
    mapped: list[str]


class Stage(TypedDict):
    """A source of mounts that is made for the container, at RUN/stages/``name``.

    It shows ``subpath`` ("" is all) of ``source``, a directory, or of what ``rootfs`` mounts.
    ``what`` names that for people. With ``init``, the source is in that process's mount namespace.
    """

    name: str
    what: str
    subpath: str
    source: NotRequired[str]
    rootfs: NotRequired[Rootfs]
    init: NotRequired[Identity]


class Interface(TypedDict):
    """One veth pair: ``host_name`` enslaved to ``bridge``, ``name`` inside."""

    name: str
    host_name: str
    bridge: str
    mac: str
    addresses: list[str]
    """With prefix length: "172.20.0.2/16"."""
    gateways: list[str]
    """Default routes through this interface; empty for all but one."""
    mtu: int
    sysctl: NotRequired[dict[str, str]]
    """Settings of this interface; the word IFNAME in their names stands for it."""


class Listen(TypedDict):
    """A host port that the launcher binds before the start and holds while the container runs."""

    protocol: Literal["tcp", "udp"]
    address: str
    port: int
    container_port: int


class ShimNetwork(TypedDict):
    """The container's network namespace: the shim's child makes it, the container inherits it.

    mode "new" (interfaces may be empty: loopback only), "host", or "join" (of ``join``'s process).
    ``sysctl``: net.* settings of a new namespace, by name; config.json holds the other kinds.
    """

    mode: Literal["new", "host", "join"]
    interfaces: list[Interface]
    join: NotRequired[Identity]
    dns: bool
    listen: list[Listen]
    sysctl: NotRequired[dict[str, str]]


class ShimFile(TypedDict):
    """A config or secret on the tmpfs that the shim mounts at RUN/files, as ``name``."""

    name: str
    source_path: NotRequired[str]
    content: NotRequired[str]
    uid: int
    gid: int
    mode: int


class SyslogReceiver(TypedDict):
    """Where syslog messages go; network "" is this host's own, ``host`` of a unix one its path.

    ``address`` is how people wrote it. ``ca_cert``, ``cert`` and ``key`` are files, or "".
    """

    address: str
    network: Literal["", "udp", "tcp", "tcp+tls", "unix", "unixgram"]
    host: str
    port: int
    facility: int
    format: Literal["", "rfc3164", "rfc5424", "rfc5424micro"]
    ca_cert: str
    cert: str
    key: str
    skip_verify: bool


class Forward(TypedDict):
    """Output sent on: to ``syslog``, or without it to journald with ``fields`` beside the text.

    ``blocking``: a container that writes faster than the receiver takes waits, for a while; what
    does not fit into ``buffer_bytes`` otherwise is not sent. ``must_answer``: a receiver that
    cannot be reached is an error of the start.
    """

    tag: str
    fields: dict[str, str]
    syslog: NotRequired[SyslogReceiver]
    blocking: bool
    buffer_bytes: int
    must_answer: bool


class LogOptions(TypedDict):
    """How much output is kept: ``max_file`` files of ``max_size_bytes``; driver none keeps none.

    ``attributes`` stand in every record, as docker's json-file has them.
    """

    driver: Literal["json-file", "none"]
    max_size_bytes: int
    max_file: int
    attributes: NotRequired[dict[str, str]]
    forward: NotRequired[Forward]


class ShimRequest(TypedDict):
    """All that a shim needs: directories, bundle, root, network, stdio.

    ``runtime``: argv prefix of an OCI runtime, empty for the native one in the same process.
    ``output``: with "inherit" the request came with stdin, stdout and stderr, and nothing is
    logged (build steps, ``run``); with "log" the shim owns the pipes or the pty.
    """

    version: Literal[1]
    id: str
    project: str
    directory: str
    run_directory: str
    bundle: str
    runtime: list[str]
    rootfs: Rootfs
    stages: NotRequired[list[Stage]]
    userns: NotRequired[UserNamespace]
    files: list[ShimFile]
    network: ShimNetwork
    tty: bool
    stdin: bool
    output: Literal["log", "inherit"]
    log: LogOptions


class ExecRequest(TypedDict):
    """Run ``process`` in the container whose init is ``init``; walls are those of its bundle."""

    op: Literal["exec"]
    id: str
    init: Identity
    bundle: str
    runtime: list[str]
    process: Process
    tty: bool
    rows: int
    columns: int
    detach: bool


class Started(TypedDict):
    """It runs."""

    ok: Literal[True]
    pid: int


class Failed(TypedDict):
    """It does not: one clause, the errno where there is one, and the exit code docker would give.

    ``port``: set when a Listen could not be bound.
    """

    ok: Literal[False]
    error: str
    errno: int
    exit_code: int
    port: NotRequired[Listen]


class Exited(TypedDict):
    """An exec'd process ended."""

    code: int
    signal: int | None


class Sockets(TypedDict):
    """Sockets of one running container, passed beside: dns udp, dns tcp (if ``dns``), listeners."""

    id: str
    dns: bool
    listen: list[Listen]
