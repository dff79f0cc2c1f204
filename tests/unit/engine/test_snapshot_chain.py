"""Layers go to the disk together, and none has its place before it is there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import anyio
from support import images

from orchestra.engine.image.layers import StoredLayers
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.snapshot.chain import LayerDirectories
from orchestra.oci.image import Layer

COUNT = 12


class Watched(LayerDirectories):
    """The first write to the disk takes until every layer is unpacked."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths, StoredLayers(ImageStore(paths)))
        self.unpacked: set[str] = set()
        self.written: list[frozenset[str]] = []
        """What was unpacked when a write began."""
        self.all_there = threading.Event()
        self.too_early: list[str] = []

    def sync(self) -> None:
        self.written.append(frozenset(self.unpacked))
        assert self.all_there.wait(60)
        if len(self.written) == 1:
            time.sleep(1)  # those that are unpacked come and wait meanwhile
        super().sync()

    async def unpack(self, layer: Layer, directory: str) -> tuple[str, ...]:
        """Make a layer of one file."""
        await anyio.Path(directory, layer.diff_id[-12:]).write_text("content")
        placed = [
            path for path in Path(directory).parent.iterdir() if not path.name.startswith(".")
        ]
        self.too_early += [path.name for path in placed if not self.all_there.is_set()]
        self.unpacked.add(layer.diff_id)
        if len(self.unpacked) == COUNT:
            self.all_there.set()
        return (".",)


def test_layers_that_are_ready_at_one_time_are_written_with_one_call(tmp_path: Path) -> None:
    paths = paths_of({"ORCHESTRA_DATA": str(tmp_path / "data")}, uid=0)
    layers = [images.layer([images.file(f"{number}")]) for number in range(COUNT)]
    image = images.store_image(ImageStore(paths), "x:1", images.image(layers))
    directories = Watched(paths)
    found = anyio.run(directories.ensure, image, directories.unpack)
    assert [len(list(Path(path).iterdir())) for path in found] == [1] * COUNT
    assert directories.written[-1] == {layer.diff_id for layer in image.layers}
    assert len(directories.written) < COUNT
    assert directories.too_early == []
