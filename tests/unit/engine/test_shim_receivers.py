"""What is said to journald and to syslog receivers, without a container."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import receivers
from support.receivers import Receiver

from orchestra.engine.container.log_options import journal_field
from orchestra.engine.shim.forwarder import Forwarder
from orchestra.engine.shim.forwarding import Forwarding
from orchestra.engine.shim.journal import Journal
from orchestra.engine.shim.message import PACKET_BYTES, Message, pack, unpack
from orchestra.engine.shim.protocol import SyslogReceiver
from orchestra.engine.shim.pump import Loop
from orchestra.engine.shim.syslog import Syslog, iso_time

WHEN = 1_700_000_000_123_456_789


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def authority(tmp_path: Path) -> ssl.SSLContext:
    return receivers.make_authority(tmp_path)


def receiver(**changes: object) -> SyslogReceiver:
    plain: dict[str, object] = {
        "address": "there", "network": "tcp", "host": "127.0.0.1", "port": 0, "facility": 3,
        "format": "", "ca_cert": "", "cert": "", "key": "", "skip_verify": False,
    }  # fmt: skip
    return {**plain, **changes}  # type: ignore[typeddict-item,return-value]


def line(text: str = "hello", *, stderr: bool = False, partial: bool = False) -> Message:
    return Message(WHEN, text, stderr, partial)


HOST = os.uname().nodename


@pytest.mark.parametrize(
    ("form", "network", "expected"),
    [
        ("", "tcp", "<30>Nov 14 22:13:20 tag[7]: hello\n"),
        ("rfc3164", "tcp", f"<30>Nov 14 22:13:20 {HOST} tag[7]: hello\n"),
        ("rfc5424", "tcp", f"<30>1 2023-11-14T22:13:20Z {HOST} tag 7 tag - hello\n"),
        ("rfc5424micro", "udp", f"<30>1 2023-11-14T22:13:20.123456Z {HOST} tag 7 tag - hello\n"),
        ("", "tcp+tls", "<30>Nov 14 22:13:20 tag[7]: hello\n"),
    ],
)
def test_formats(form: str, network: str, expected: str) -> None:
    sender = Syslog(receiver(format=form, network=network), "tag", 7)
    assert sender.encode(line()).decode() == expected


def test_messages_over_tls_say_how_long_they_are() -> None:
    sender = Syslog(receiver(format="rfc5424", network="tcp+tls"), "tag", 7)
    length, _, rest = sender.encode(line("ü")).partition(b" ")
    assert int(length) == len(rest)


def test_stderr_is_an_error_of_the_facility() -> None:
    sender = Syslog(receiver(facility=16), "tag", 7)
    assert sender.encode(line(stderr=True)).startswith(b"<131>")
    assert sender.encode(line("")) == b""


def test_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "NPT-5:45")
    time.tzset()
    assert iso_time(WHEN, micro=False) == "2023-11-15T03:58:20+05:45"
    monkeypatch.setenv("TZ", "XXX3:30")
    time.tzset()
    assert iso_time(WHEN, micro=True) == "2023-11-14T18:43:20.123456-03:30"


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(1, 400), st.booleans())))
def test_messages_come_out_of_packets_as_they_went_in(
    written: list[tuple[str, int, bool]],
) -> None:
    texts = [(text.replace("\n", "") * times, ends) for text, times, ends in written]
    packets = pack("stderr", [t + ("\n" if ends else "") for t, ends in texts], WHEN, ended=False)
    assert all(0 < len(packet) <= PACKET_BYTES for packet in packets)
    found = [message for packet in packets for message in unpack(packet)]
    sendable = [text.encode("utf-8", "replace").decode() for text, _ in texts]
    assert [message.text for message in found] == sendable
    assert [message.partial for message in found] == [not ends for _, ends in texts]


def test_the_last_line_is_whole_without_its_end() -> None:
    packed = pack("stdout", ["a", "b"], WHEN, ended=True)
    assert [message.partial for message in unpack(packed[0])] == [True, False]


def fields_of(data: bytes) -> dict[str, bytes]:
    """Read journald's native protocol."""
    found = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if equals:
            data = rest
        else:
            length = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + length], rest[9 + length :]
        found[name.decode()] = value
    return found


def test_journal_fields() -> None:
    journal = Journal({"CONTAINER_NAME": "a\nb", "TAG": "t"})
    found = fields_of(journal.encode(line("x=y", stderr=True)))
    assert found["MESSAGE"] == b"x=y"
    assert found["PRIORITY"] == b"3"
    assert found["CONTAINER_NAME"] == b"a\nb"
    assert found["SYSLOG_TIMESTAMP"] == b"2023-11-14T22:13:20.123456789Z"
    assert not any(name.startswith("CONTAINER_PARTIAL") for name in found)
    assert fields_of(journal.encode(line()))["PRIORITY"] == b"6"


def test_pieces_of_a_line_know_each_other() -> None:
    journal = Journal({})
    first = fields_of(journal.encode(line(partial=True)))
    between = fields_of(journal.encode(line(stderr=True)))
    last = fields_of(journal.encode(line()))
    assert "CONTAINER_PARTIAL_ID" not in between
    assert first["CONTAINER_PARTIAL_ID"] == last["CONTAINER_PARTIAL_ID"]
    assert (first["CONTAINER_PARTIAL_MESSAGE"], first["CONTAINER_PARTIAL_LAST"]) == (
        b"true",
        b"false",
    )
    assert "CONTAINER_PARTIAL_MESSAGE" not in last
    assert (last["CONTAINER_PARTIAL_ORDINAL"], last["CONTAINER_PARTIAL_LAST"]) == (b"2", b"true")


def test_what_is_too_big_for_a_datagram_goes_as_a_sealed_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        journal = Journal({"BIG": "b" * 1_000_000}, str(path))
        journal.connect()
        journal.send(journal.encode(line()))
        journal.close()
        data, fds, _, _ = socket.recv_fds(server, 100, 1)
    assert data == b""
    with os.fdopen(fds[0], "rb") as file:
        assert os.fstat(file.fileno()).st_nlink == 0
        file.seek(0)
        assert fields_of(file.read())["BIG"] == b"b" * 1_000_000
        with pytest.raises(PermissionError):
            os.pwrite(file.fileno(), b"x", 0)


def test_a_journald_that_is_away_is_named(tmp_path: Path) -> None:
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, _theirs:
        forwarder = Forwarder(Journal({}, str(tmp_path / "none")), ours, "c0")
        assert forwarder.connect() == "no such file or directory"


def test_names_of_journal_fields() -> None:
    assert journal_field("com.example-x") == "COM_EXAMPLE_X"
    assert journal_field("__a9ß") == "A9_"


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix", "unixgram"])
def test_sockets(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    made: dict[str, Callable[[], Receiver]] = {
        "tcp": receivers.tcp,
        "udp": receivers.udp,
        "unix": lambda: receivers.unix(path, socket.SOCK_STREAM),
        "unixgram": lambda: receivers.unix(path, socket.SOCK_DGRAM),
    }
    with made[kind]() as server:
        where = {"host": str(path)} if kind.startswith("unix") else {"port": server.port}
        sender = Syslog(receiver(network=kind, **where), "tag", 7)
        sender.connect()
        sender.send(sender.encode(line()))
        server.wait_for("tag[7]: hello\n")
        sender.close()


def over_tls(port: int, directory: Path, **changes: object) -> Syslog:
    plain: dict[str, object] = {
        "network": "tcp+tls", "host": "localhost", "port": port, "ca_cert": str(directory / "ca.pem"),
        "cert": str(directory / "client.pem"), "key": str(directory / "client.key"),
    }  # fmt: skip
    return Syslog(receiver(**{**plain, **changes}), "tag", 7)


def test_tls_with_both_certificates(tmp_path: Path, authority: ssl.SSLContext) -> None:
    with receivers.tcp(tls=authority) as server:
        sender = over_tls(server.port, tmp_path)
        sender.connect()
        sender.send(sender.encode(line()))
        server.wait_for("hello")
        sender.close()


@pytest.mark.parametrize("changes", [{"ca_cert": ""}, {"host": "127.0.0.1"}])
def test_tls_with_a_stranger_is_refused(
    tmp_path: Path, authority: ssl.SSLContext, changes: dict[str, object]
) -> None:
    with receivers.tcp(tls=authority) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            over_tls(server.port, tmp_path, **changes).connect()
        trusting = over_tls(server.port, tmp_path, skip_verify=True, **changes)
        trusting.connect()
        trusting.close()


def test_a_receiver_that_hung_up_is_noticed_before_a_message_is_lost() -> None:
    with receivers.tcp() as server:
        sender = Syslog(receiver(port=server.port), "tag", 7)
        sender.connect()
        sender.send(sender.encode(line()))
        server.wait_for("hello")
    with pytest.raises(ConnectionResetError):
        sender.send(sender.encode(line()))
    sender.close()


def forwarding(port: int, **changes: object) -> tuple[Forwarding, Loop]:
    loop = Loop()
    plain: dict[str, object] = {
        "tag": "tag", "fields": {}, "syslog": receiver(port=port), "blocking": True,
        "buffer_bytes": 100_000, "must_answer": True,
    }  # fmt: skip
    return Forwarding({**plain, **changes}, "c0", loop), loop  # type: ignore[arg-type,typeddict-item]


def run(loop: Loop, sending: Forwarding, until: Callable[[], bool]) -> None:
    def prepare() -> float:
        with contextlib.suppress(ChildProcessError):
            sending.ended(os.waitpid(-1, os.WNOHANG)[0])
        if until():
            loop.stop()
        return min(sending.tick() or 0.05, 0.05)

    deadline = time.monotonic() + 60
    loop._stopped = False
    loop.run(lambda: prepare() if time.monotonic() < deadline else pytest.fail("not in time"))


def test_a_killed_forwarder_is_followed_by_another_and_nothing_is_lost() -> None:
    """What it had sent when it was killed, the next may send again."""
    with receivers.tcp() as server:
        sending, loop = forwarding(server.port)
        sending.begin(must_answer=True)
        sending.write("stdout", ["one\n"], WHEN, ended=False)
        server.wait_for("one")
        os.kill(sending._pid, 9)
        sending.write("stdout", ["two\n"], WHEN, ended=False)
        sending.write("stdout", ["three\n"], WHEN, ended=False)
        run(loop, sending, lambda: "three" in server.text())
        sending.close()
        bodies = [entry.rpartition(": ")[2] for entry in server.text().splitlines()]
        assert list(dict.fromkeys(bodies)) == ["one", "two", "three"]


def test_a_receiver_that_stalls_is_waited_for_a_while_only() -> None:
    with receivers.tcp() as server:
        server.reading.clear()
        sending, loop = forwarding(server.port)
        sending.begin(must_answer=True)
        text = "x" * 10_000 + "\n"
        resumed: list[bool] = []
        held = 0.0
        while not sending._impatient:  # as long as the kernel's buffers take it, it is no stall
            begun = time.monotonic()
            while not sending.holds_up(lambda: resumed.append(True)):
                sending.write("stdout", [text], WHEN, ended=False)
            run(loop, sending, lambda: bool(resumed))
            held = time.monotonic() - begun
            resumed.clear()
        assert 5 <= held < 60
        for _ in range(1000):
            sending.write("stdout", [text], WHEN, ended=False)
        assert not sending.holds_up(lambda: None)
        assert sending._waiting_bytes < 300_000
        server.reading.set()
        run(loop, sending, lambda: not sending._waiting)
        sending.write("stdout", ["again\n"], WHEN, ended=False)
        run(loop, sending, lambda: "again\n" in server.text())
        sending.close()
