"""The log file and the framing of messages, without a container."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.engine.container.logs import parse_time
from orchestra.engine.shim import wire
from orchestra.engine.shim.logfile import PIECE_BYTES, LineSplitter, LogFile, stamp
from orchestra.engine.shim.protocol import LogOptions


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40000), max_size=5))
def test_nothing_is_lost_or_torn_however_it_arrives(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    texts = [text for chunk in chunks for text in splitter.feed(chunk)] + splitter.flush()
    assert all(0 < len(text.encode()) <= 3 * PIECE_BYTES for text in texts)
    whole = b"".join(chunks)
    if all(byte < 128 for byte in whole):
        assert "".join(texts) == whole.decode()
    assert "".join(texts).count("\n") == whole.count(b"\n")


@settings(deadline=None, max_examples=30)
@given(st.text(min_size=1, max_size=20), st.integers(100, 9000))
def test_characters_are_not_torn_between_pieces(text: str, size: int) -> None:
    data = (text * 3000)[:40000].encode()
    splitter = LineSplitter()
    texts = []
    for start in range(0, len(data), size):
        texts += splitter.feed(data[start : start + size])
    assert "".join(texts + splitter.flush()) == data.decode()


def options(size: int, files: int) -> LogOptions:
    return {"driver": "json-file", "max_size_bytes": size, "max_file": files}


def test_one_record_per_text(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), options(0, 1))
    log.write("stderr", ['a "quoted"\n', "\x00\x1b[31m\n"], 1_700_000_000_123_456_789)
    log.close()
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [record["log"] for record in records] == ['a "quoted"\n', "\x00\x1b[31m\n"]
    assert records[0]["stream"] == "stderr"
    assert records[0]["time"] == "2023-11-14T22:13:20.123456789Z"
    assert parse_time(records[0]["time"]).microsecond == 123456


def test_a_torn_line_of_a_crash_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"log":"half')
    log = LogFile(str(path), options(0, 1))
    log.write("stdout", ["next\n"], 0)
    log.close()
    assert json.loads(path.read_text().splitlines()[1])["log"] == "next\n"


def test_a_single_file_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(str(path), options(300, 1))
    for number in range(20):
        log.write("stdout", [f"{number}\n"], 0)
    log.close()
    assert os.listdir(tmp_path) == ["log"]  # noqa: PTH208
    assert path.stat().st_size <= 300
    assert json.loads(path.read_text().splitlines()[-1])["log"] == "19\n"


def test_a_log_that_cannot_be_written_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    log = LogFile("/dev/full", options(0, 1))
    log.write("stdout", ["lost\n"], 0)
    log.close()


def test_stamp_sorts_as_text() -> None:
    assert stamp(999) < stamp(1_000_000_000) < stamp(1_000_000_001)


@pytest.fixture
def pair() -> object:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_messages_carry_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader, writer = os.pipe()
    wire.send(ours, {"op": "x"}, (writer,))
    os.close(writer)
    received = wire.receive(theirs)
    assert received is not None
    message, (passed,) = received
    assert message == {"op": "x"}
    assert not os.get_inheritable(passed)
    os.write(passed, b"!")
    os.close(passed)
    assert os.read(reader, 10) == b"!"
    os.close(reader)
    ours.close()
    assert wire.receive(theirs) is None


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff", b"7"])
def test_what_is_no_message_is_refused(
    pair: tuple[socket.socket, socket.socket], data: bytes
) -> None:
    ours, theirs = pair
    ours.send(data)
    with pytest.raises(wire.WireError):
        wire.receive(theirs)


def test_large_messages_pass(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    wire.enlarge(ours)
    try:
        wire.send(ours, {"text": "x" * 300_000})
    except OSError:
        pytest.skip("this user may not send so much at once")
    received = wire.receive(theirs)
    assert received is not None
    assert len(str(received[0]["text"])) == 300_000
