"""oci values -> the bytes of an image's config and manifest: same values, same bytes.

The inverse of wire.py, for the builder and the tests. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from orchestra.engine.image.wire import Manifest
from orchestra.oci.digest import digest_of
from orchestra.oci.image import (
    CONFIG_DOCKER,
    CONFIG_OCI,
    LAYER_DOCKER,
    LAYER_GZIP,
    MANIFEST_DOCKER,
    MANIFEST_OCI,
    Descriptor,
    History,
    ImageConfig,
    ImageHealthcheck,
    Layer,
)
from orchestra.values import replace


def encode_config(config: ImageConfig) -> bytes:
    """Write an image's config (config.md); what is unset is left out."""
    document: dict[str, object] = {
        "architecture": config.platform.architecture,
        "os": config.platform.os,
        "config": _process(config),
        "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
        "history": [_history(line) for line in config.history],
    }
    if config.platform.variant:
        document["variant"] = config.platform.variant
    if config.created:
        document["created"] = config.created
    if config.author:
        document["author"] = config.author
    return encode_json(document)


def encode_manifest(
    config: bytes, layers: Sequence[Layer], annotations: Mapping[str, str] | None = None
) -> bytes:
    """Write the OCI manifest of a config (its bytes) and its layers, lowest first."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_OCI,
        "config": {"mediaType": CONFIG_OCI, "digest": digest_of(config), "size": len(config)},
        "layers": [encode_descriptor(layer.descriptor) for layer in layers],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return encode_json(document)


def docker_manifest(manifest: Manifest) -> tuple[bytes, str] | None:
    """Write a manifest in docker's form, with its media type; None when a layer has none there."""
    kinds = {LAYER_GZIP: LAYER_DOCKER, LAYER_DOCKER: LAYER_DOCKER}
    if any(layer.media_type not in kinds for layer in manifest.layers):
        return None
    config = replace(manifest.config, media_type=CONFIG_DOCKER)
    layers = [replace(layer, media_type=kinds[layer.media_type]) for layer in manifest.layers]
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_DOCKER,
        "config": encode_descriptor(config),
        "layers": [encode_descriptor(layer) for layer in layers],
    }
    return encode_json(document), MANIFEST_DOCKER


def encode_descriptor(descriptor: Descriptor) -> dict[str, object]:
    """Write one descriptor (descriptor.md)."""
    document: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.platform is not None:
        platform = {
            "os": descriptor.platform.os,
            "architecture": descriptor.platform.architecture,
            "variant": descriptor.platform.variant,
        }
        document["platform"] = {key: text for key, text in platform.items() if text}
    if descriptor.annotations:
        document["annotations"] = dict(descriptor.annotations)
    return document


def encode_json(document: Mapping[str, object]) -> bytes:
    """Write canonical JSON: sorted keys, no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _process(config: ImageConfig) -> dict[str, object]:
    fields: dict[str, object] = {
        "User": config.user,
        "Env": list(config.env),
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Volumes": {path: {} for path in config.volumes},
        "StopSignal": config.stop_signal,
        "OnBuild": list(config.on_build),
        "ArgsEscaped": config.args_escaped,
        "Healthcheck": _healthcheck(config.healthcheck) if config.healthcheck else None,
    }
    process = {key: value for key, value in fields.items() if value}
    for key, words in (("Entrypoint", config.entrypoint), ("Cmd", config.cmd)):
        if words is not None:
            process[key] = list(words)
    if config.shell is not None:
        process["Shell"] = list(config.shell)
    return process


def _healthcheck(health: ImageHealthcheck) -> dict[str, object]:
    fields: dict[str, object] = {
        "Test": list(health.test),
        "Interval": health.interval_ns,
        "Timeout": health.timeout_ns,
        "StartPeriod": health.start_period_ns,
        "StartInterval": health.start_interval_ns,
        "Retries": health.retries,
    }
    return {key: value for key, value in fields.items() if value}


def _history(line: History) -> dict[str, object]:
    fields: dict[str, object] = {
        "created": line.created,
        "created_by": line.created_by,
        "comment": line.comment,
        "author": line.author,
        "empty_layer": line.empty_layer,
    }
    return {key: value for key, value in fields.items() if value}
