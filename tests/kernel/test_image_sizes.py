"""How large images are said to be: what their files take, as docker counts, and without looking."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import images
from support.machine import Run
from support.registry import serve_registry

from orchestra.cli.render.tables import size_text
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tar import HARD_LINK, Member
from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.sizes import count_bytes, layer_bytes
from orchestra.oci.image import Image

pytestmark = pytest.mark.kernel
NOTE = "trusted.overlay.orchestra"
MADE = images.image(
    [
        images.layer(
            [
                images.directory("d/"),
                images.file("d/large", bytes(100_000)),
                images.Entry(Member(name="d/again", kind=HARD_LINK, link="d/large")),
                images.link("link", "d/large"),
                images.file("small", b"12345"),
            ]
        ),
        images.layer([images.file("d/.wh.large"), images.file("small", b"1234567")]),
    ]
)
SIZES = [7, 100_000 + len("d/large") + 5]
"""Of its layers, the uppermost first."""


@pytest.fixture
def pulled(run: Run, store: ImageStore) -> Image:
    with serve_registry() as registry:
        images.publish(registry, "x", "1", MADE)
        assert run("image", "pull", "-q", f"{registry.address}/x:1")[0] == 0
        assert run("tag", f"{registry.address}/x:1", "sized")[0] == 0
    image = store.get("sized")
    assert image is not None
    return image


def places(paths: Paths, store: ImageStore, image: Image) -> list[str]:
    found = open_snapshotter(paths, store).layers(image)
    assert found is not None
    return list(found)


def test_every_command_tells_the_same_size(
    run: Run, store: ImageStore, paths: Paths, pulled: Image
) -> None:
    whole = sum(SIZES)
    assert size_text(whole) in run("image", "ls", "sized")[1]
    [document] = json.loads(run("image", "inspect", "sized")[1])
    assert document["Size"] == whole
    (Path("Dockerfile")).write_text("FROM sized\nCOPY Dockerfile /\n")
    assert run("image", "build", "-q", "-t", "more", ".")[0] == 0
    rows = run("history", "--no-human", "--format", "{{.Size}}", "more")[1].split()
    assert rows[0] == str(Path("Dockerfile").stat().st_size)
    assert run("image", "ls", "--format", "{{.Size}}", "more")[1].strip() == size_text(
        whole + int(rows[0])
    )
    for place, size in zip(places(paths, store, pulled), SIZES, strict=True):
        assert (count_bytes(place), int(os.getxattr(place, NOTE))) == (size, size)


def test_a_size_is_noted_and_no_directory_is_read_again(
    run: Run, store: ImageStore, paths: Paths, pulled: Image
) -> None:
    top, below = places(paths, store, pulled)
    os.setxattr(top, NOTE, b"1000000")
    assert run("image", "ls", "--format", "{{.Size}}", "sized")[1].strip() == size_text(
        1_000_000 + SIZES[1]
    )
    # Of earlier versions there are no notes; one look is enough.
    for place in (top, below):
        os.removexattr(place, NOTE)
    assert run("image", "ls", "--format", "{{.Size}}", "sized")[1].strip() == size_text(sum(SIZES))
    assert [int(os.getxattr(place, NOTE)) for place in (top, below)] == SIZES
    assert layer_bytes(f"{top}-none") is None


def test_no_root_has_the_note(
    paths: Paths, store: ImageStore, pulled: Image, tmp_path: Path
) -> None:
    layers = places(paths, store, pulled)
    rootfs = open_snapshotter(paths, store).rootfs(layers, str(tmp_path / "root"))
    assert NOTE not in os.listxattr(rootfs["upper"])


def test_what_is_not_unpacked_has_the_size_of_its_archive(
    run: Run, store: ImageStore, paths: Paths
) -> None:
    images.store_image(store, "packed", MADE)
    [document] = json.loads(run("image", "inspect", "packed")[1])
    plain = [len(images.tar([])) for _ in MADE.layers]
    assert document["Size"] > 100_000 + sum(plain)
    assert document["Size"] % 512 == 0, "whole blocks"
