from __future__ import annotations

import pytest

from orchestra.errors import ImageError
from orchestra.oci.digest import digest_of, parse_digest
from orchestra.oci.image import chain_ids
from orchestra.oci.platform import parse_platform


@pytest.mark.parametrize(
    ("host", "image", "rank"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/amd64", "linux/amd64/v1", 0),
        ("linux/amd64/v3", "linux/amd64", 2),
        ("linux/amd64", "linux/amd64/v3", None),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm/v7", "linux/arm/v6", 1),
        ("linux/arm/v6", "linux/arm/v7", None),
        ("linux/amd64", "windows/amd64", None),
        ("linux/amd64", "linux/386", None),
    ],
)
def test_platform_ranks_what_runs_on_it(host: str, image: str, rank: int | None) -> None:
    assert parse_platform(host).rank(parse_platform(image)) == rank


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "//"])
def test_malformed_platform_is_refused(text: str) -> None:
    with pytest.raises(ImageError):
        parse_platform(text)


def test_chain_id_names_a_layer_with_all_below() -> None:
    low, high = digest_of(b"low"), digest_of(b"high")
    assert chain_ids([low, high]) == (low, digest_of(f"{low} {high}".encode()))
    assert chain_ids([high, low])[1] != chain_ids([low, high])[1]
    assert chain_ids([]) == ()


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "../" + "a" * 64,
     "sha256:" + "a" * 64 + "\n", "sha512:" + "a" * 128, "sha256:../../../etc/passwd"],
)  # fmt: skip
def test_digest_syntax_is_checked_before_it_becomes_a_path(text: str) -> None:
    with pytest.raises(ImageError):
        parse_digest(text)
