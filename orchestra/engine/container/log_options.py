"""What a container's shim is told of its output: how much to keep, and where to send it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from orchestra.engine.container.places import Places
from orchestra.engine.shim.protocol import Forward, LogOptions, SyslogReceiver
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.logs import Attributes, Logging, Receiver, decide_logging
from orchestra.planner.logtag import TagFacts, fill_tag

_SHORT = 12
_TAKEN = {"", "MESSAGE", "PRIORITY", "SYSLOG_TIMESTAMP"}
"""Names of journald's that no label of an image may take."""


def log_options(record: ContainerRecord, places: Places) -> LogOptions:
    """Return how output is kept, and where it is sent.

    :raises ContainerError: for a driver or a value that is not known: of a record that was made by
        hand, the planner has checked all others.
    """
    decision, faults = decide_logging(record.spec.logging)
    for fault in faults:
        if not fault.harmless:
            raise ContainerError(f"logging: {fault.message}", hint=fault.hint)
    options: LogOptions = {
        "driver": "json-file" if decision.kept else "none",
        "max_size_bytes": decision.max_bytes,
        "max_file": decision.max_files,
    }
    if decision == Logging() or not (_sends(decision) or _has_attributes(decision)):
        return options
    config = places.read_config()
    process = config.get("process", {})
    labels = _labels(record, places)
    tag = fill_tag(decision.tag, _facts(record, labels, process.get("args", [])))
    env = dict(entry.split("=", 1) for entry in process.get("env", []) if "=" in entry)
    attributes = decision.attributes.chosen(labels, env)
    if _sends(decision):
        options["forward"] = _forward(decision, record, tag, attributes)
    else:
        options["attributes"] = attributes | ({"tag": tag} if tag else {})
    return options


def _sends(decision: Logging) -> bool:
    return decision.journald or decision.syslog is not None


def _has_attributes(decision: Logging) -> bool:
    return bool(decision.tag) or decision.attributes != Attributes()


def _labels(record: ContainerRecord, places: Places) -> Mapping[str, str]:
    """Return the image's labels and the container's, as docker has them in one mapping."""
    image = places.read_image()
    return {**(image.labels if image else {}), **record.spec.labels, **record.labels}


def _facts(record: ContainerRecord, labels: Mapping[str, str], args: list[str]) -> TagFacts:
    return TagFacts(
        id=record.id,
        name=record.spec.name,
        image_name=record.spec.image,
        image_id=record.image_id,
        command=" ".join(args),
        hostname=os.uname().nodename,
        labels=labels,
    )


def _forward(
    decision: Logging, record: ContainerRecord, tag: str, attributes: Mapping[str, str]
) -> Forward:
    fields: dict[str, str] = {}
    if decision.journald:
        extra = {journal_field(name): value for name, value in attributes.items()}
        fields = {
            **{name: value for name, value in extra.items() if name not in _TAKEN},
            "CONTAINER_ID": record.id[:_SHORT],
            "CONTAINER_ID_FULL": record.id,
            "CONTAINER_NAME": record.spec.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": record.spec.image,
            "SYSLOG_IDENTIFIER": tag,
        }
    forward: Forward = {
        "tag": tag,
        "fields": fields,
        "blocking": decision.blocking,
        "buffer_bytes": decision.buffer_bytes,
        "must_answer": record.restarts == 0,
    }
    if decision.syslog is not None:
        written = record.spec.logging.options.get("syslog-address", "")
        forward["syslog"] = _receiver(decision.syslog, written)
    return forward


def _receiver(receiver: Receiver, written: str) -> SyslogReceiver:
    return {
        "address": written,
        "network": receiver.network,
        "host": receiver.host,
        "port": receiver.port,
        "facility": receiver.facility,
        "format": receiver.format,
        "ca_cert": receiver.ca_cert,
        "cert": receiver.cert,
        "key": receiver.key,
        "skip_verify": receiver.skip_verify,
    }


def journal_field(name: str) -> str:
    """Return a name as journald has them: capitals, digits and underscores, none of them first.

    As moby's sanitizeKeyMod (daemon/logger/journald).
    """
    upper = "".join(c.upper() if c.isascii() and c.isalnum() else "_" for c in name)
    return upper.lstrip("_")
