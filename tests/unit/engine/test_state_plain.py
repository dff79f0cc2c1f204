"""Documents read and written without the json package are those that it reads and writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.cli import plain as cli_plain
from orchestra.engine import plainly
from orchestra.engine.container import exec_plain, exec_talk, places, run_plain
from orchestra.engine.local import settled
from orchestra.engine.paths import paths_of
from orchestra.engine.shim import protocol
from orchestra.engine.state import plain, records, store
from orchestra.engine.supervisor import protocol as supervisor_protocol

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(DOCUMENTS)
def test_both_agree(document: object) -> None:
    text = json.dumps(document, separators=(",", ":")).encode()
    assert plain.dumps(document) == text
    assert plain.loads(text) == document
    assert plain.loads(json.dumps(document, indent=1).encode()) == document


@given(st.binary(max_size=12) | st.text('{}[],:"\\ntrue1.e-', max_size=12).map(str.encode))
def test_what_one_cannot_read_the_other_cannot(data: bytes) -> None:
    try:
        document = plain.loads(data)
    except plain.NotPlainError:
        return
    assert json.loads(data) == document


@pytest.mark.parametrize("value", [1.5, object(), {1: "x"}, [b"x"]])
def test_other_values_are_left_to_json(value: object) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.dumps(value)


def test_names_that_are_written_down_twice_are_the_same() -> None:
    names = ("INIT_FILE", "SHIM_FILE", "EXIT_FILE", "LOG_FILE", "REQUEST_FILE")
    assert [getattr(places, n) for n in names] == [getattr(protocol, n) for n in names]
    assert protocol.INIT_FILE == exec_plain.INIT_FILE
    assert protocol.LAUNCHER_SOCKET == plainly.LAUNCHER_SOCKET == settled.LAUNCHER_SOCKET
    assert protocol.MESSAGE_BYTES_MAX == exec_talk._MESSAGE_BYTES_MAX
    assert (store.RECORD_FILE, records.VERSION) == (exec_plain.RECORD_FILE, exec_plain.VERSION)
    assert protocol.INIT_FILE == run_plain.INIT_FILE
    assert supervisor_protocol.SOCKET_NAME == run_plain.SUPERVISOR_SOCKET
    assert supervisor_protocol.LINE_BYTES_MAX == run_plain.LINE_BYTES_MAX
    root = paths_of({}, uid=0)
    assert str(root.config) == cli_plain.CONFIG
    assert (str(root.data), str(root.run)) == (plainly.DATA, plainly.RUN)
