"""One run of a container's healthcheck: CMD or CMD-SHELL, with a deadline and bounded output."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio

from orchestra.engine.container.arguments import shell_form
from orchestra.engine.container.exec import exec_captured
from orchestra.engine.container.exec_request import ExecOptions
from orchestra.engine.container.failures import StartError
from orchestra.engine.container.places import Places
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.health import ProbeResult

OUTPUT_BYTES_MAX = 4096
_FAILED = -1


async def probe(
    paths: Paths, record: ContainerRecord, test: Sequence[str], timeout: timedelta
) -> ProbeResult:
    """Run the test and tell how it went; its process is killed when ``timeout`` is over.

    ``test`` is ("CMD", argv...) or ("CMD-SHELL", text), the latter run by the image's SHELL or
    /bin/sh -c. Never raises for a test that fails: exit code -1 is one that did not end in time or
    could not be run.
    """
    started_at = datetime.now(UTC)
    output = bytearray()

    def take(_stream: str, data: bytes) -> None:
        output.extend(data[: OUTPUT_BYTES_MAX - len(output)])

    code, note = _FAILED, ""
    try:
        with anyio.fail_after(timeout.total_seconds() or None):
            options = ExecOptions(args=_argv(paths, record, test))
            code = await exec_captured(paths, record, options, take)
    except TimeoutError:
        note = f"no end within {timeout.total_seconds():g} s"
    except StartError as err:
        code, note = err.code, err.message
    except ContainerError as err:
        note = err.message
    text = output.decode("utf-8", "replace")
    return ProbeResult(
        exit_code=code,
        output=f"{text}\n{note}".strip("\n") if note else text,
        started_at=started_at,
        finished_at=datetime.now(UTC),
    )


def _argv(paths: Paths, record: ContainerRecord, test: Sequence[str]) -> tuple[str, ...]:
    kind, *rest = test
    if kind == "CMD-SHELL":
        image = Places.of(paths, record).read_image()
        return shell_form(" ".join(rest), image.shell if image else None)
    return tuple(rest if kind == "CMD" else test)
