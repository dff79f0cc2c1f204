"""The document that a start is made of, as a client left it."""

from __future__ import annotations

import json
from typing import cast

from orchestra.engine.linux import process
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.protocol import ShimRequest


def read_request(path: str) -> ShimRequest:
    """Read one.

    :raises ShimFailure: when it is missing, damaged or of another version.
    """
    try:
        document = json.loads(process.read_text(path))
    except OSError as err:
        raise because(f'cannot read "{path}"', err) from err
    except ValueError as err:
        raise ShimFailure(f'cannot read "{path}": it is damaged') from err
    if not isinstance(document, dict) or document.get("version") != 1:
        raise ShimFailure(f'cannot read "{path}": unknown version')
    return cast("ShimRequest", document)


def is_plain(request: ShimRequest) -> bool:
    """Tell whether a container's output goes into a file or nowhere, and no input comes."""
    plain = request["output"] == "log" and not request["tty"] and not request["stdin"]
    return plain and "forward" not in request["log"]
