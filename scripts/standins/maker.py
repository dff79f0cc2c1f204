"""From recipes to pushed images, doing only what is not done yet.

A layer is made again when its packages, the maker's sources or the machine's authorities change;
an image is pushed again when its layers or settings change. Both facts lie in stamp files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.standins.catalogue import IMAGES, LAYERS, ImageRecipe, LayerRecipe
from scripts.standins.documents import OTHER_PLATFORMS, Platform, index_of, platform_of
from scripts.standins.layer import Blob, Layer
from scripts.standins.packages import Packages, read_deb, read_wheel
from scripts.standins.push import Registry
from scripts.standins.recipes import AUTHORITIES

WORKERS = 2
Say = Callable[[str], None]
HERE = Path(__file__).parent


def _sources_hash() -> str:
    """Hash what decides a layer beside its packages: this program and the authorities."""
    total = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in sorted(
        path for path in HERE.rglob("*") if path.suffix != ".pyc" and path.is_file()
    ):
        total.update(path.read_bytes())
    if AUTHORITIES.exists():
        total.update(AUTHORITIES.read_bytes())
    return total.hexdigest()


class Maker:
    """Makes and pushes stand-in images out of one cache directory."""

    def __init__(self, cache: Path, say: Say) -> None:
        self._say = say
        self._packages = Packages(cache)
        self._blobs = cache / "blobs"
        self._stamps = cache / "stamps"
        self._blobs.mkdir(exist_ok=True)
        self._stamps.mkdir(exist_ok=True)
        # Beside the registry's storage, so that both go together.
        self._pushed = cache / "registry" / "pushed"
        self._pushed.mkdir(parents=True, exist_ok=True)
        self._key = _sources_hash()

    def push(self, names: Iterable[str], address: str) -> None:
        """Make what is missing of the named images and push it to the registry at ``address``.

        :raises StandinError: when a package cannot be had or the registry refuses.
        """
        missing = [name for name in names if not self._is_pushed(name, address)]
        if not missing:
            return
        blobs = self._layers(sorted({layer for name in missing for layer in IMAGES[name].layers}))
        registry = Registry(address)
        try:
            for name in missing:
                self._push(registry, name, IMAGES[name], blobs)
                self._pushed_stamp(name).write_text(self._pushed_key(address))
        finally:
            registry.close()

    def _pushed_stamp(self, name: str) -> Path:
        return self._pushed / name

    def _pushed_key(self, address: str) -> str:
        return f"{self._key} {address}"

    def _is_pushed(self, name: str, address: str) -> bool:
        stamp = self._pushed_stamp(name)
        return stamp.exists() and stamp.read_text() == self._pushed_key(address)

    def _layers(self, names: list[str]) -> Mapping[str, Blob]:
        self._packages.fetch_debs(sorted({deb for name in names for deb in LAYERS[name].debs}))
        with ThreadPoolExecutor(WORKERS) as pool:
            return dict(zip(names, pool.map(self._layer, names), strict=True))

    def _layer(self, name: str) -> Blob:
        stamp = self._stamps / f"layer-{name}.json"
        if stamp.exists():
            known = json.loads(stamp.read_text())
            blob = Blob(**known["blob"])
            if known["key"] == self._key and (self._blobs / blob.digest[7:]).exists():
                return blob
        blob = self._make(name, LAYERS[name]).write(self._blobs)
        stamp.write_text(json.dumps({"key": self._key, "blob": dataclasses.asdict(blob)}))
        self._say(
            f"made layer {name} ({blob.size / 1e6:.1f} MB, {blob.tar_size / 1e6:.1f} unpacked)"
        )
        return blob

    def _make(self, name: str, recipe: LayerRecipe) -> Layer:
        layer = Layer()
        for deb in recipe.debs:
            read_deb(layer, self._packages.deb(deb), keep=recipe.keep)
        if recipe.wheels:
            for wheel in self._packages.wheels(name, recipe.wheels):
                read_wheel(layer, wheel, recipe.wheels_to, keep=recipe.keep)
        recipe.finish(layer)
        return layer

    def _push(
        self, registry: Registry, name: str, recipe: ImageRecipe, blobs: Mapping[str, Blob]
    ) -> None:
        repository = f"library/{name}"
        layers = [(layer, blobs[layer]) for layer in recipe.layers]
        for _, blob in layers:
            registry.blob(repository, blob.digest, self._blobs / blob.digest[7:])

        def push_platform(architecture: str) -> Platform:
            platform = platform_of(layers, recipe.config, recipe.dialect, architecture=architecture)
            registry.blob(repository, platform.config.digest, platform.config.body)
            registry.manifest(repository, platform.manifest.digest, platform.manifest)
            return platform

        main = push_platform("amd64")
        others = [(push_platform(arch), arch, variant) for arch, variant in OTHER_PLATFORMS]
        index = index_of(main, others, recipe.dialect)
        for tag in recipe.tags:
            registry.manifest(repository, tag, index)
        self._say(f"pushed {name}:{','.join(recipe.tags)}")
