"""What becomes of a build's result: files, archives, names in the store, a push.

The blobs of the result are in the store, and no name leads to it but by what is asked for here.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from orchestra.engine.build.environment import Layers
from orchestra.engine.build.export import Member, built_of
from orchestra.engine.build.tree import Tree
from orchestra.engine.events import Progress, Warned
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tree import is_index
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.waiting import in_thread
from orchestra.errors import BuildError
from orchestra.oci.image import Descriptor, Image
from orchestra.oci.reference import parse_reference
from orchestra.planner.exchange import Output
from orchestra.values import dataclass, replace

if TYPE_CHECKING:
    from orchestra.engine.image.repacking import Packing
    from orchestra.engine.image.settings import RegistrySettings
    from orchestra.engine.target import Report

Opened = Callable[[str], AbstractContextManager[int]]
"""Opens a destination, "-" or a path, to write an archive to; a file is written whole or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build gave. ``target`` is its manifest, or the index of several.

    ``record`` is its id in the history of builds.
    """

    id: str
    target: Descriptor
    names: tuple[str, ...] = ()
    record: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    target: Descriptor
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Carries out what is asked for of one result. ``names`` are the build's own."""

    store: ImageStore
    layers: Layers
    settings: Callable[[], RegistrySettings]
    names: tuple[str, ...]
    opened: Opened
    report: Report

    async def deliver(
        self, outputs: Sequence[Output], members: Sequence[Member], epoch: int | None
    ) -> tuple[Built, Image]:
        """Do everything, one after the other, what leaves this machine last.

        :raises BuildError: when something cannot be read or written.
        :raises ImageError: when a blob is damaged, or a registry does not take it.
        """
        names: list[str] = []
        pushes: list[str] = []
        result = await in_thread(self._held, members)
        for output in sorted(outputs, key=lambda output: output.push):
            made, held = members, result
            if output.compression:
                self._say(f"packing layers, {output.compression}")
                made = await in_thread(self._packed, members, output.compression)
                held = await in_thread(self._held, made)
            if not output.stored:
                await self._write(output, made, held, epoch)
                continue
            own = output.names or self.names
            if output.push and not own:
                raise BuildError("cannot push a result without a name", hint="add --tag NAME")
            self._keep(held, own)
            names += [name for name in own if name not in names]
            pushes += [name for name in own if output.push and name not in pushes]
            result = held
        for name in pushes:
            await self._push(name)
        built = Built(id=result.image.id, target=result.target, names=tuple(names))
        return built, result.image

    def _packed(self, members: Sequence[Member], packing: Packing) -> list[Member]:
        from orchestra.engine.image.repacking import repacked  # noqa: PLC0415 - rare

        return [
            replace(
                member,
                layers=tuple(repacked(self.store, layer, packing) for layer in member.layers),
            )
            for member in members
        ]

    def _held(self, members: Sequence[Member]) -> _Held:
        """Put documents into the store, where no name leads to them yet."""
        built = built_of(members)
        for document in (*built.documents, *built.manifests):
            self.store.put_blob(document)
        target = self.store.describe(self.store.put_blob(built.index or built.manifests[0]))
        images = self.store.images_of(target)
        return _Held(target, self.store.own(images) or images[0])

    async def _write(
        self, output: Output, members: Sequence[Member], held: _Held, epoch: int | None
    ) -> None:
        where = "stdout" if output.destination == "-" else output.destination
        match output.kind:
            case "local":
                from orchestra.engine.build.local_output import place_files  # noqa: PLC0415

                self._say(f"copying files to {where}")
                left: list[str] = []
                async with self._trees(members, output) as trees:
                    for directory, tree in trees:
                        place = posixpath.join(output.destination, directory)
                        await in_thread(place_files, tree, place, epoch, left.append)
                for text in left:
                    self.report(Warned(message=text))
            case "tar":
                self._say(f"writing files to {where}")
                async with self._trees(members, output) as trees:
                    await in_thread(self._tar, output.destination, trees, epoch)
            case "oci" | "docker":
                self._say(f"writing an image to {where}")
                await in_thread(self._archive, output, held)
            case "cacheonly" | "image":
                return
            case _:
                assert_never(output.kind)

    @asynccontextmanager
    async def _trees(
        self, members: Sequence[Member], output: Output
    ) -> AsyncIterator[list[tuple[str, Tree]]]:
        """Give the files of each image, and the directory for them: of several, one each.

        What is said of an image lies among its files (exporter/local).
        """
        from orchestra.engine.build.attestation_files import write_claims  # noqa: PLC0415

        several = len(members) > 1
        split = several if output.split is None else output.split
        scratch = self.store.incoming(f"told-{os.getpid()}-{os.urandom(6).hex()}")
        found = []
        try:
            for number, member in enumerate(members):
                tree = Tree(await self.layers.directories(member.layers))
                own = str(member.platform).replace("/", "_")
                place, mark = scratch / str(number), own if several and not split else ""
                write = partial(write_claims, member.claims, tree, place, mark)
                told = await in_thread(write)
                seen = Tree((str(place), *tree.layers)) if told else tree
                found.append((own if split else "", seen))
            yield found
        finally:
            remove_tree(str(scratch))

    def _tar(self, destination: str, trees: Sequence[tuple[str, Tree]], epoch: int | None) -> None:
        from orchestra.engine.build.tar_output import write_archive  # noqa: PLC0415

        with self.opened(destination) as fd:
            write_archive(trees, epoch, partial(write_all, fd))

    def _archive(self, output: Output, held: _Held) -> None:
        from orchestra.engine.image.layout_writing import write_layout  # noqa: PLC0415
        from orchestra.engine.image.save import (  # noqa: PLC0415
            Saved,
            archive_of,
            blobs_of,
            entries_of,
        )

        names = tuple(parse_reference(name) for name in output.names or self.names)
        saved = [Saved(held.image, held.target, names)]
        if not output.tar:
            blobs, entries = blobs_of(self.store, saved), entries_of(saved)
            write_layout(self.store, Path(output.destination), blobs, entries)
            return
        with self.opened(output.destination) as fd:
            for piece in archive_of(self.store, saved, docker=output.kind == "docker"):
                write_all(fd, piece)

    def _keep(self, held: _Held, names: Sequence[str]) -> None:
        if not names:
            add = self.store.add_index if is_index(held.target) else self.store.add_image
            add(self.store.read_blob(held.target.digest))
        for name in names:
            self.store.tag(held.target.digest, name)

    async def _push(self, name: str) -> None:
        from orchestra.engine.image.push import push  # noqa: PLC0415 - only pushes pay

        await push(name, store=self.store, settings=self.settings(), progress=self.report)

    def _say(self, action: str) -> None:
        subject = self.names[0] if self.names else "image"
        self.report(Progress(subject=subject, action=action))
