"""A service's logging: what is wrong with it is told before anything is done."""

from __future__ import annotations

from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.desired import LogSpec
from orchestra.planner.logs import decide_logging
from orchestra.spec.model.service import Service


def compile_logging(service: Service, complaints: Complaints) -> LogSpec:
    """Return the driver and its options; complain of every one that is unknown or wrong."""
    logging = service.logging
    spec = LogSpec(
        driver=(logging.driver if logging else None) or "json-file",
        options=dict(sorted(logging.options.items())) if logging else {},
    )
    for fault in decide_logging(spec)[1]:
        below = ("options", fault.option) if fault.option else ("driver",)
        path = ("services", service.name, "logging", *below)
        if fault.harmless:
            complaints.warn(path, fault.message.removeprefix("it "))
        else:
            complaints.add(path, fault.message, fault.hint)
    return spec
