"""Builds for other platforms: an index of several, cross compiling, and what cannot run here."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from support import images
from support.builds import AMD64, BUSYBOX
from support.storecheck import check_store

from orchestra.errors import BuildError
from orchestra.oci.image import INDEX_OCI, MANIFEST_OCI
from orchestra.oci.platform import Platform, parse_platform

pytestmark = pytest.mark.kernel
ARM64 = Platform("linux", "arm64")
BOTH = ("linux/amd64", "linux/arm64")
CROSS = (
    "FROM --platform=$BUILDPLATFORM test/box AS build\n"
    "ARG TARGETARCH TARGETPLATFORM BUILDPLATFORM\n"
    "RUN echo $BUILDPLATFORM to $TARGETPLATFORM; echo $TARGETARCH > /arch\n"
    "FROM scratch\nCOPY --from=build /arch /\nENV FOR=all\n"
)


def test_several_platforms_give_an_index(builder):
    image = builder.build(CROSS, platforms=BOTH)
    target = builder.store.target("test/result")
    assert target.media_type == INDEX_OCI
    assert sorted(builder.lines) == ["linux/amd64 to linux/amd64\n", "linux/amd64 to linux/arm64\n"]
    found = {one.config.platform: one for one in builder.store.images_of(target)}
    assert list(found) == [AMD64, ARM64]
    assert image == found[AMD64], "this machine's is the one that is meant"
    files = {platform: builder.layer_files(one)["arch"] for platform, one in found.items()}
    assert files == {AMD64: b"amd64\n", ARM64: b"arm64\n"}
    assert all(one.config.env[-1] == "FOR=all" for one in found.values())
    entries = json.loads(builder.store.read_blob(target.digest))["manifests"]
    assert [entry["platform"] for entry in entries] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
    ]
    assert any(action.startswith("[linux/arm64 build 2/2]") for action in builder.actions)
    assert check_store(builder.paths) == []
    # The same again is the very same, from the cache.
    builder.build(CROSS, platforms=BOTH)
    assert builder.store.target("test/result") == target
    assert builder.done() == []


def test_what_platforms_share_is_done_once_without_the_cache_too(builder):
    text = (
        "FROM --platform=$BUILDPLATFORM test/box AS build\nRUN cat /proc/sys/kernel/random/uuid > /id\n"
        "FROM scratch\nCOPY --from=build /id /\n"
    )
    found = []
    for _ in range(2):
        builder.build(text, platforms=BOTH, no_cache=True)
        target = builder.store.target("test/result")
        one, two = (builder.layer_files(image)["id"] for image in builder.store.images_of(target))
        assert one == two
        found.append(one)
    assert found[0] != found[1]


def test_platforms_are_built_side_by_side(builder):
    """Each waits for the other: one after the other, neither would end."""
    builder.build(
        "FROM --platform=$BUILDPLATFORM test/box AS build\nARG TARGETARCH\n"
        "RUN --mount=type=cache,target=/both touch /both/$TARGETARCH; n=0; "
        "until [ -e /both/amd64 ] && [ -e /both/arm64 ]; "
        "do n=$((n+1)); [ $n -lt 900 ] || exit 1; sleep 0.1; done; echo $TARGETARCH > /arch\n"
        "FROM scratch\nCOPY --from=build /arch /\n",
        platforms=BOTH,
    )
    found = builder.store.images_of(builder.store.target("test/result"))
    assert [builder.layer_files(image)["arch"] for image in found] == [b"amd64\n", b"arm64\n"]


def test_one_platform_that_fails_ends_the_others(builder):
    with pytest.raises(BuildError, match="it exited with code 7") as caught:
        builder.build(
            "FROM --platform=$BUILDPLATFORM test/box\nARG TARGETARCH\n"
            "RUN [ $TARGETARCH = amd64 ] && exit 7; sleep 600\n",
            platforms=BOTH,
        )
    assert caught.value.location.line == 3


def test_a_platform_named_twice_is_built_once(builder):
    builder.build(CROSS, platforms=("linux/amd64", "amd64", "linux/amd64/v1"))
    target = builder.store.target("test/result")
    assert target.media_type != INDEX_OCI


def test_one_other_platform_is_an_image_of_it(builder):
    image = builder.build(CROSS, platforms=("linux/arm64/v8",), tags=("test/second",))
    assert image.config.platform == ARM64
    assert builder.store.get("test/second") == image


def test_an_index_gets_every_name(builder):
    builder.build(CROSS, platforms=BOTH, tags=("test/second",))
    assert builder.store.target("test/second") == builder.store.target("test/result")


def test_base_images_are_those_of_the_platform(builder):
    made = {
        platform: images.image([images.layer([images.file(platform.architecture)])], platform)
        for platform in (AMD64, ARM64)
    }
    for one in made.values():
        builder.store.put_blob(one.config)
        for blob in one.layers:
            builder.store.put_blob(blob.data)
        builder.store.add_manifest(one.manifest)
    builder.store.add_index(images.index(*made.items()), reference="test/both")
    text = "FROM test/both\nCOPY --from=test/both / /copied/\nWORKDIR /w\n"
    builder.build(text, platforms=BOTH)
    target = builder.store.target("test/result")
    for image in builder.store.images_of(target):
        name = image.config.platform.architecture
        assert {name, f"copied/{name}"} == set(builder.layer_files(image))


def test_a_run_for_a_platform_without_a_handler_is_refused(builder):
    with pytest.raises(BuildError) as caught:
        builder.build('FROM scratch\nCOPY <<x /\nx\nRUN ["/x"]\n', platforms=("linux/s390x",))
    assert "cannot run programs of linux/s390x" in caught.value.message
    assert caught.value.location.line == 4
    assert "qemu-user-static" in caught.value.hint
    assert "binfmt_misc" in caught.value.hint
    assert "$BUILDPLATFORM" in caught.value.hint


def test_programs_of_a_mode_of_this_machine_run(builder):
    """amd64 runs 386: the kernel says so, and no table of ours."""
    image = builder.build(
        "FROM test/box AS box\nFROM --platform=linux/386 scratch\nCOPY --from=box / /\n"
        "RUN echo it ran > /f\n"
    )
    assert image.config.platform == parse_platform("linux/386")
    assert builder.layer_files(image)["f"] == b"it ran\n"


def test_what_is_no_platform_is_refused(builder):
    with pytest.raises(BuildError, match="is not a platform"):
        builder.build(CROSS, platforms=("linux/a/b/c",))


RISCV_HEADER = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(44)
"""What a handler looks at: an ELF program of 64 bits, little-endian, for RISC-V."""


@pytest.fixture
def handler(tmp_path):
    """Let busybox run the programs of riscv64: it is the applet that they are named after."""
    place = tmp_path / "binfmt_misc"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "binfmt_misc", "binfmt_misc", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"the kernel has no binfmt_misc: {mounted.stderr}")
    name = f"orchestra-test-{os.getpid()}"
    magic = "".join(f"\\x{byte:02x}" for byte in RISCV_HEADER[:20])
    try:
        (place / "register").write_text(f":{name}:M::{magic}::{BUSYBOX}:F")
        yield
    finally:
        if (place / name).exists():
            (place / name).write_text("-1")
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.usefixtures("handler")
def test_a_run_goes_through_the_handler_of_its_platform(builder):
    (builder.context / "echo").write_bytes(RISCV_HEADER)
    (builder.context / "echo").chmod(0o755)
    text = 'FROM scratch\nCOPY echo /echo\nRUN ["/echo", "hello", "there"]\n'
    image = builder.build(text, platforms=("linux/riscv64",))
    assert builder.said == "hello there\n"
    assert image.config.platform == Platform("linux", "riscv64")


def test_a_named_image_is_taken_for_the_platform_of_its_stage(builder):
    """Of an image of several platforms; the build's own says nothing of a stage that has one."""
    box = builder.store.get("test/box")
    other = images.image([images.layer([images.file("arm")])], ARM64)
    for data in (other.config, *(blob.data for blob in other.layers)):
        builder.store.put_blob(data)
    builder.store.add_manifest(other.manifest)
    entries = [
        {
            "mediaType": MANIFEST_OCI,
            "digest": digest,
            "size": builder.store.blob_size(digest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, digest in (("arm64", other.digest), ("amd64", box.manifest))
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": entries}
    builder.store.add_index(json.dumps(index).encode(), reference="test/several")
    image = builder.build(
        "FROM --platform=$BUILDPLATFORM alpine AS target\nRUN echo hello\n",
        platforms=("darwin/ppc64le",),
        additional_contexts={"alpine": "docker-image://test/several"},
    )
    assert builder.said == "hello\n"
    assert image.config.platform == AMD64
