"""This project's builder, in a data directory of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import anyio

from orchestra.engine.build.builder import build_environment, build_image
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.save import Saved, archive_of
from orchestra.engine.image.settings import load_settings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.state.store import Store
from orchestra.errors import OrchestraError
from orchestra.oci.image import Image
from orchestra.oci.platform import Platform
from orchestra.planner.building import BuildSpec
from scripts.differential.bases import Base
from scripts.differential.ground import BuildFailed, Ground
from scripts.differential.record import Built, read_archive

_REFERENCE = "corpus.test/result"


class Orchestra:
    """Builds in this process; ``said`` is what the last build's steps printed."""

    def __init__(self, root: Path, images: Mapping[str, Base]) -> None:
        places = {
            f"ORCHESTRA_{name.upper()}": str(root / name) for name in ("data", "run", "config")
        }
        self.root = root
        self.paths: Paths = paths_of(places, uid=0)
        self.store = ImageStore(self.paths)
        self.said = ""
        for name, base in images.items():
            for data in base.blobs().values():
                self.store.put_blob(data)
            self.store.add_image(base.manifest, reference=name)

    def build(self, ground: Ground) -> Built:
        """Build a case.

        :raises BuildFailed: with the error's words, its place first.
        """
        self.said = ""
        try:
            image = anyio.run(self._build, ground)
        except OrchestraError as error:
            place = getattr(error, "location", None)
            raise BuildFailed(f"{place}: {error.message}") from error
        finally:
            _join_workers()
        path = self.root / "result.tar"
        with path.open("wb") as file:
            file.writelines(
                archive_of(self.store, [Saved(image, self.store.describe(image.manifest), ())])
            )
        return read_archive(path)

    async def _build(self, ground: Ground) -> Image:
        case = ground.case
        spec = BuildSpec(
            context=str(ground.context),
            dockerfile=str(ground.dockerfile),
            target=case.target or None,
            args=ground.args,
            labels=case.labels,
            network="none",
            no_cache=True,
            additional_contexts=ground.contexts,
            secrets={name: str(path) for name, path in ground.secrets.items()},
        )
        environment = build_environment(
            self.paths,
            self.store,
            open_snapshotter(self.paths, self.store),
            lambda: load_settings(self.paths, {}),
            lambda: Store(self.paths),
            platform=Platform("linux", "amd64"),
            variables={},
            scope="corpus",
        )
        return await build_image(
            spec,
            _REFERENCE,
            environment=environment,
            progress=lambda _: None,
            output=self._hear,
        )

    def _hear(self, line: object) -> None:
        self.said += getattr(line, "text", "")


def _join_workers() -> None:
    """Wait for the worker threads of an event loop that has ended: they end a little later."""
    for thread in threading.enumerate():
        if "AnyIO worker" in thread.name or "WorkerThread" in type(thread).__name__:
            thread.join(5)
