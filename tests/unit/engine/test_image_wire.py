from __future__ import annotations

import json

import pytest
from support import images

from orchestra.engine.image.document import encode_config
from orchestra.engine.image.wire import Index, Manifest, parse_config, parse_document, parse_token
from orchestra.errors import ImageError
from orchestra.oci.digest import digest_of
from orchestra.oci.image import (
    INDEX_OCI,
    MANIFEST_BYTES_MAX,
    MANIFEST_OCI,
    History,
    ImageConfig,
    ImageHealthcheck,
)

DESCRIPTOR = {"mediaType": "x", "digest": digest_of(b""), "size": 0}


def test_config_survives_the_way_out_and_in() -> None:
    config = ImageConfig(
        platform=images.AMD64,
        diff_ids=(digest_of(b"a"),),
        created="2024-01-01T00:00:00Z",
        user="app:app",
        env=("PATH=/bin", "EMPTY="),
        entrypoint=("/entry",),
        cmd=(),
        shell=("/bin/bash", "-c"),
        working_dir="/srv",
        labels={"a": "b"},
        exposed_ports=("53/udp", "80/tcp"),
        volumes=("/data",),
        stop_signal="SIGQUIT",
        healthcheck=ImageHealthcheck(test=("CMD", "true"), interval_ns=5, retries=2),
        on_build=("RUN x",),
        history=(History(created_by="RUN x", empty_layer=True),),
    )
    assert parse_config(encode_config(config)) == config


def test_null_lists_of_docker_configs_are_absent() -> None:
    config = parse_config(
        b'{"os":"linux","architecture":"amd64","config":{"Cmd":null,"Env":null,"Volumes":null},'
        b'"rootfs":{"diff_ids":null}}'
    )
    assert config.cmd is None
    assert config.env == ()


def test_manifest_and_index_are_told_apart() -> None:
    made = images.image([images.layer([])])
    assert isinstance(parse_document(made.manifest, MANIFEST_OCI), Manifest)
    document = parse_document(images.index((images.AMD64, made)), INDEX_OCI)
    assert isinstance(document, Index)
    assert document.manifests[0].platform == images.AMD64


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        pytest.param([], "", id="no-object"),
        pytest.param({"schemaVersion": 1}, "", id="schema-1"),
        pytest.param({"schemaVersion": 2, "manifests": [], "layers": []}, "", id="both"),
        pytest.param(
            {"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": []}, MANIFEST_OCI, id="lies"
        ),
        pytest.param(
            {"schemaVersion": 2, "config": DESCRIPTOR, "layers": []}, "text/html", id="no-image"
        ),
        pytest.param(
            {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR] * 501},
            "",
            id="layers",
        ),
        pytest.param(
            {"schemaVersion": 2, "config": {**DESCRIPTOR, "digest": "sha256:../x"}, "layers": []},
            "",
            id="digest",
        ),
        pytest.param(
            {"schemaVersion": 2, "config": {**DESCRIPTOR, "size": -1}, "layers": []}, "", id="size"
        ),
        pytest.param(
            {"schemaVersion": 2, "config": {**DESCRIPTOR, "size": True}, "layers": []},
            "",
            id="bool",
        ),
        pytest.param({"schemaVersion": 2, "config": DESCRIPTOR, "layers": {}}, "", id="no-list"),
    ],
)
def test_malformed_manifest_is_refused(document: object, media_type: str) -> None:
    with pytest.raises(ImageError):
        parse_document(json.dumps(document).encode(), media_type)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[" * 100_000, b" " * (MANIFEST_BYTES_MAX + 1) + b"{}", b"null"],
    ids=["empty", "half", "binary", "deep", "large", "null"],
)
def test_what_is_no_json_object_of_bounded_size_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        parse_document(data)


@pytest.mark.parametrize("data", [b"{}", b'{"token":5}', b'{"token":"a\\nb: c"}'])
def test_token_must_be_fit_for_a_header(data: bytes) -> None:
    with pytest.raises(ImageError):
        parse_token(data)
