"""Output that is sent on: to a real journald, and to syslog receivers that are there, or are not."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import receivers
from support.cell import Cell, argv, image, kill_now, open_cell, spec, wait_until
from support.patience import FACTOR
from support.receivers import Journald, Receiver

from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.desired import LogSpec
from orchestra.planner.observed import Phase

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

COUNTING = "i=0; while [ ! -e /stop ]; do echo n$i; i=$((i+1)); usleep 500; done; exit 9"


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receivers.tcp() as made:
        yield made


@pytest.fixture(scope="module")
def journal() -> Iterator[Journald]:
    with receivers.journald() as made:
        yield made


def to(server: Receiver | None, **options: str) -> LogSpec:
    address = {} if server is None else {"syslog-address": f"tcp://127.0.0.1:{server.port}"}
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return LogSpec(driver="syslog", options={**address, **named})


def bodies(text: str) -> list[str]:
    """Return the messages without their heads."""
    return [line.partition("]: ")[2] for line in text.splitlines()]


async def end(cell: Cell, record: ContainerRecord) -> int:
    ended = await cell.containers.wait(record)
    assert ended is not None
    return ended["code"]


async def test_output_goes_to_the_receiver_and_stays_here(cell: Cell, server: Receiver) -> None:
    script = "echo out; echo err >&2; printf rest"
    record = await cell.start(spec(*argv(script), logging=to(server, tag="{{.Name}}/{{.ID}}")))
    assert await end(cell, record) == 0
    text = server.text()
    tag = f"cell-one-1/{record.id[:12]}"
    assert sorted(bodies(text)) == ["err", "out", "rest"]
    assert all(f" {tag}[" in line for line in text.splitlines())
    assert text.count("<30>") == 2
    assert text.count("<27>") == 1
    assert sorted(line["log"] for line in cell.lines(record)) == ["err\n", "out\n", "rest"]
    assert cell.launcher_log() == ""


async def test_without_the_cache_nothing_stays_here(cell: Cell, server: Receiver) -> None:
    logging = to(server, cache_disabled="true")
    record = await cell.start(spec(*argv("echo out"), logging=logging))
    await end(cell, record)
    server.wait_for("out")
    assert not (cell.directory(record) / "log.jsonl").exists()


async def test_over_tls(cell: Cell, tmp_path: Path) -> None:
    authority = tmp_path / "tls"
    authority.mkdir()
    context: ssl.SSLContext = receivers.make_authority(authority)
    with receivers.tcp(tls=context) as server:
        options = {
            "syslog-address": f"tcp+tls://localhost:{server.port}",
            "syslog-tls-ca-cert": f"{authority}/ca.pem",
            "syslog-tls-cert": f"{authority}/client.pem",
            "syslog-tls-key": f"{authority}/client.key",
            "syslog-format": "rfc5424micro",
        }
        logging = LogSpec(driver="syslog", options=options)
        record = await cell.start(spec(*argv("echo secure"), logging=logging))
        await end(cell, record)
        server.wait_for(" - secure\n")
        stranger = {name: value for name, value in options.items() if "ca-cert" not in name}
        with pytest.raises(ContainerError, match="certificate verify failed"):
            await cell.start(spec("/bin/true", logging=LogSpec(driver="syslog", options=stranger)))


async def test_a_start_whose_receiver_is_away_fails_and_says_so(cell: Cell) -> None:
    with receivers.tcp() as gone:
        logging = to(gone)
    record = await cell.create(spec("/bin/sleep", "1000", logging=logging))
    wanted = rf"cannot reach syslog at tcp://127.0.0.1:{gone.port}: connection refused"
    with pytest.raises(ContainerError, match=wanted):
        await cell.containers.start(record)
    assert cell.containers.phase(record)[0] is Phase.CREATED


async def test_a_receiver_that_can_have_no_such_name_is_told(cell: Cell) -> None:
    address = f"udp://{'x' * 64}.example:514"
    logging = LogSpec(driver="syslog", options={"syslog-address": address})
    record = await cell.create(spec("/bin/sleep", "1000", logging=logging))
    with pytest.raises(ContainerError, match="cannot reach syslog at udp://xxx"):
        await cell.containers.start(record)
    assert "Traceback" not in cell.launcher_log()


async def test_a_restart_goes_on_although_the_receiver_is_away(cell: Cell) -> None:
    with receivers.tcp() as gone:
        logging = to(gone)
    record = await cell.create(spec(*argv("echo here; sleep 1000"), logging=logging))
    record = await cell.containers.start(replace(record, restarts=1))
    wait_until(lambda: cell.output(record) == "here\n")
    complaint = "cannot send output to syslog at tcp://"
    wait_until(lambda: complaint in cell.launcher_log())
    with receivers.tcp(gone.port) as server:
        server.wait_for("here")


async def test_what_is_said_while_the_receiver_is_away_comes_later(
    cell: Cell, server: Receiver
) -> None:
    record = await cell.start(spec(*argv(COUNTING), logging=to(server)))
    server.wait_for("n10\n")
    port = server.port
    server.close()
    before = int(cell.lines(record)[-1]["log"][1:])
    wait_until(lambda: int(cell.lines(record)[-1]["log"][1:]) > before + 100)
    with receivers.tcp(port) as second:
        second.wait_for(f"n{before + 100}\n")
        numbers = [int(body[1:]) for body in bodies(second.text())[:-1]]
        assert set(range(before + 1, before + 100)) <= set(numbers)
    await cell.exec(record, "/bin/touch", "/stop")
    assert await end(cell, record) == 9


async def test_a_flood_arrives_whole(cell: Cell, server: Receiver) -> None:
    script = "seq 1 40000"
    logging = to(server, cache_max_size="-1")
    record = await cell.start(spec(*argv(script), logging=logging))
    assert await end(cell, record) == 0
    server.wait_for("]: 40000\n")
    assert [int(body) for body in bodies(server.text())] == list(range(1, 40001))


@pytest.mark.parametrize(("mode", "seconds"), [("blocking", 20), ("non-blocking", 8)])
async def test_a_receiver_that_stalls_does_not_hold_a_container(
    cell: Cell, server: Receiver, mode: str, seconds: float
) -> None:
    server.reading.clear()
    size = 4_000_000
    script = f"yes 0123456789abcdef0123456789abcdef | head -c {size}; exit 7"

    async def life(logging: LogSpec) -> float:
        begun = time.monotonic()
        record = await cell.start(spec(*argv(script), logging=logging))
        assert await end(cell, record) == 7
        took = time.monotonic() - begun
        assert sum(len(line["log"]) for line in cell.lines(record)) == size
        return took

    alone = await life(LogSpec())
    stalled = await life(to(server, mode=mode, cache_max_size="-1"))
    assert stalled < 4 * alone + seconds * FACTOR


async def test_a_killed_shim_loses_no_message(cell: Cell, server: Receiver) -> None:
    record = await cell.start(spec(*argv(COUNTING), logging=to(server)))
    server.wait_for("n10\n")
    old = cell.pid(record, "shim.pid")
    kill_now(old)
    wait_until(lambda: cell.pid(record, "shim.pid") != old)
    seen = int(cell.lines(record)[-1]["log"][1:])
    server.wait_for(f"n{seen + 100}\n")
    await cell.exec(record, "/bin/touch", "/stop")
    assert await end(cell, record) == 9
    sent = {int(body[1:]) for body in bodies(server.text())}
    assert sent == {int(line["log"][1:]) for line in cell.lines(record)}
    assert sent == set(range(len(sent)))


async def test_labels_and_variables_stand_in_the_log_file(cell: Cell) -> None:
    options = {"labels": "a,none", "env-regex": "^E", "tag": "{{upper .Name}}"}
    wanted = spec(
        *argv("echo x"),
        labels={"a": "1", "b": "2"},
        environment={"E1": "v", "F": "w"},
        logging=LogSpec(options=options),
    )
    record = await cell.start(wanted)
    await end(cell, record)
    assert cell.lines(record)[0]["attrs"] == {"a": "1", "E1": "v", "tag": "CELL-ONE-1"}  # type: ignore[comparison-overlap]


async def test_journald_has_dockers_fields(cell: Cell, journal: Journald) -> None:
    options = {"labels-regex": "^com", "env": "E", "tag": "t-{{.FullID}}"}
    wanted = spec(
        *argv("echo out; echo err >&2; head -c 20000 /dev/zero | tr '\\0' x; printf 'a\\tb\\n'"),
        labels={"com.x": "1"},
        environment={"E": "one\ntwo"},
        logging=LogSpec(driver="journald", options=options),
    )
    record = await cell.start(wanted, image(labels={"com.image": "2"}))
    assert await end(cell, record) == 0
    wait_until(lambda: len(journal.entries(record.id)) == 4)
    out, err, first, last = sorted(journal.entries(record.id), key=lambda e: int(e["CONTAINER_LOG_ORDINAL"]) if e["PRIORITY"] != "3" else 1.5)  # fmt: skip
    assert (out["MESSAGE"], out["PRIORITY"]) == ("out", "6")
    assert (err["MESSAGE"], err["PRIORITY"]) == ("err", "3")
    tag = f"t-{record.id}"
    expected = {
        "CONTAINER_ID": record.id[:12],
        "CONTAINER_ID_FULL": record.id,
        "CONTAINER_NAME": "cell-one-1",
        "CONTAINER_TAG": tag,
        "SYSLOG_IDENTIFIER": tag,
        "IMAGE_NAME": "busybox",
        "COM_X": "1",
        "COM_IMAGE": "2",
        "E": "one\ntwo",
    }
    assert {name: out.get(name) for name in expected} == expected
    assert "CONTAINER_PARTIAL_MESSAGE" not in out
    assert first["CONTAINER_PARTIAL_MESSAGE"] == "true"
    assert "CONTAINER_PARTIAL_MESSAGE" not in last
    assert first["CONTAINER_PARTIAL_ID"] == last["CONTAINER_PARTIAL_ID"]
    assert first["MESSAGE"] + last["MESSAGE"] == "x" * 20000 + "a\tb"
    assert "out\n" in cell.output(record)


async def test_no_descriptor_of_the_shim_is_left_in_the_one_that_sends(
    cell: Cell, server: Receiver
) -> None:
    """It speaks to a network: all it holds is its line, its receiver and launcher.log."""
    record = await cell.start(spec("/bin/sleep", "1000", logging=to(server)))
    shim, init = cell.pid(record, "shim.pid"), cell.pid(record, "init.pid")
    children = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
    (sender,) = {int(pid) for pid in children} - {init}
    held = [str(fd.readlink()) for fd in Path(f"/proc/{sender}/fd").iterdir()]
    held = sorted(name.partition(":")[0].rpartition("/")[2] for name in held)
    assert held == ["launcher.log", "null", "null", "socket", "socket"]


async def test_unix_sockets(cell: Cell, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with receivers.unix(path, socket.SOCK_DGRAM) as server:
        options = {"syslog-address": f"unixgram://{path}", "syslog-facility": "local7"}
        logging = LogSpec(driver="syslog", options=options)
        await end(cell, await cell.start(spec(*argv("echo x"), logging=logging)))
        assert server.wait_for("x\n").startswith("<190>")


async def test_udp(cell: Cell) -> None:
    with receivers.udp() as server:
        options = {"syslog-address": f"udp://127.0.0.1:{server.port}", "syslog-format": "rfc3164"}
        logging = LogSpec(driver="syslog", options=options)
        await end(cell, await cell.start(spec(*argv("echo x"), logging=logging)))
        server.wait_for(": x\n")
    record = await cell.start(spec(*argv("for i in 1 2 3; do echo $i; done"), logging=logging))
    assert await end(cell, record) == 0
