"""Where results and caches go: every form of docker's texts, and what is refused by name."""

from __future__ import annotations

import pytest

from orchestra.errors import UsageError
from orchestra.planner.exchange import (
    CachePlace,
    Output,
    parse_cache_from,
    parse_cache_to,
    parse_output,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output(kind="local", destination="/here/out")),
        ("/out", Output(kind="local", destination="/out")),
        ("-", Output(kind="tar", destination="-")),
        ("type=local,dest=a b", Output(kind="local", destination="/here/a b")),
        ('type=local,"dest=a,b"', Output(kind="local", destination="/here/a,b")),
        ("type=tar,dest=x.tar", Output(kind="tar", destination="/here/x.tar")),
        ("type=tar", Output(kind="tar", destination="-")),
        ("type=tar,dest=-", Output(kind="tar", destination="-")),
        ("type=oci", Output(kind="oci", destination="-")),
        ("type=oci,dest=x,tar=false", Output(kind="oci", destination="/here/x", tar=False)),
        ("type=docker", Output(kind="docker")),
        ("type=docker,dest=x.tar", Output(kind="docker", destination="/here/x.tar")),
        ("type=image,name=a:1,push=true", Output(kind="image", names=("a:1",), push=True)),
        ('type=image,"name=a:1,b:2"', Output(kind="image", names=("a:1", "b:2"))),
        ("type=registry", Output(kind="image", push=True)),
        (
            "TYPE=registry,compression=zstd",
            Output(kind="image", push=True, compression="zstd"),
        ),
        ("type=cacheonly", Output(kind="cacheonly")),
    ],
)
def test_outputs(text: str, expected: Output) -> None:
    assert parse_output(text, "/here") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=", 'type "" is not supported'),
        ("dest=x,", '"" has no value'),
        ("type=local,dest=-", "a directory is wanted"),
        ("type=oci,tar=false", "a directory is wanted"),
        ("type=docker,tar=false,dest=x", "it is an archive always"),
        ("type=docker,context=other", '"context" of type=docker is not supported'),
        ("type=image,compression=xz", '"xz" is no compression'),
        ("type=image,push=perhaps", '"perhaps" is no push'),
        ("type=registry,compression=uncompressed", "plain layers are for type=oci"),
        ("type=image,rewrite-timestamp=true", '"rewrite-timestamp" of type=image'),
        ('"type=tar', "it cannot be read"),
    ],
)
def test_outputs_that_are_none(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="--output") as caught:
        parse_output(text, "/here")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b:c", CachePlace(kind="registry", reference="a/b:c")),
        ("type=registry,ref=a", CachePlace(kind="registry", reference="a")),
        ("type=registry,ref=a,mode=max", CachePlace(kind="registry", reference="a", every=True)),
        (
            "type=registry,ref=a,image-manifest=true,oci-mediatypes=true,compression=gzip",
            CachePlace(kind="registry", reference="a", compression="gzip"),
        ),
        (
            "type=local,dest=d,tag=t,mode=min,compression=uncompressed,ignore-error=true",
            CachePlace(
                kind="local",
                directory="/here/d",
                tag="t",
                compression="uncompressed",
                optional=True,
            ),
        ),
        ("type=inline", CachePlace(kind="inline")),
    ],
)
def test_where_caches_go(text: str, expected: CachePlace) -> None:
    assert parse_cache_to(text, "/here") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=gha", 'type "gha" is not supported'),
        ("type=s3,region=r,bucket=b", 'type "s3" is not supported'),
        ("type=azblob,name=n", 'type "azblob" is not supported'),
        ("type=local", "dest is wanted"),
        ("type=registry", "ref is wanted"),
        ("type=registry,ref=a,image-manifest=false", "image-manifest=false is not supported"),
        ("type=registry,ref=a,compression=uncompressed", "plain layers are for type=local"),
        ("type=inline,mode=max", "an inline cache has mode=min"),
        ("type=local,dest=d,mode=most", '"most" is no mode'),
    ],
)
def test_caches_that_cannot_be_written(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="--cache-to") as caught:
        parse_cache_to(text, "/here")
    assert message in caught.value.message


def test_where_caches_come_from() -> None:
    assert parse_cache_from("a:1", "/h") == CachePlace(kind="registry", reference="a:1")
    assert parse_cache_from("type=local,src=d", "/h") == CachePlace(kind="local", directory="/h/d")
    tagged = parse_cache_from("type=local,src=/d,tag=t,digest=sha256:0", "/h")
    assert (tagged.directory, tagged.tag, tagged.digest) == ("/d", "t", "sha256:0")
    for text in ("type=inline", "type=gha", "type=local,dest=d", "type=local"):
        with pytest.raises(UsageError):
            parse_cache_from(text, "/h")
