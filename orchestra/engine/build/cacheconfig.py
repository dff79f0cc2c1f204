"""A cache as others are given it: BuildKit's cache config, whose keys are our own.

Pure. The document has the shape and the media type of BuildKit's (solver, cache/remotecache/v1), so
that registries and tools take it for what it is. Keys of BuildKit's mean nothing here and ours
nothing there: a document that does not say that it is ours is refused, and no hit comes of it.
What is in one is from outside: sizes are bounded, blobs are those of the manifest alone.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence

from orchestra.engine.build.cache import VERSION, CacheRecord
from orchestra.engine.image.document import encode_json
from orchestra.engine.image.wire import parse_json
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, parse_digest
from orchestra.oci.image import Descriptor, Layer

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
INLINE = "moby.buildkit.cache.v0"
"""The key of an image's config that holds a cache."""
Pair = tuple[Digest, Digest]
_OURS = "orchestra"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_KEY = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


def layers_of(records: Mapping[str, CacheRecord]) -> tuple[Layer, ...]:
    """Return the layers of some records, each once, in the order of their keys."""
    found = (records[key].layer for key in sorted(records))
    return tuple({pair_of(layer): bare(layer) for layer in found if layer is not None}.values())


def pair_of(layer: Layer) -> Pair:
    """Return what a layer is known by: its content, and how that is packed."""
    return layer.diff_id, layer.descriptor.digest


def bare(layer: Layer) -> Layer:
    """Return a layer without annotations: what it is, and nothing that was said of it."""
    kept = layer.descriptor
    plain = Descriptor(media_type=kept.media_type, digest=kept.digest, size=kept.size)
    return Layer(diff_id=layer.diff_id, descriptor=plain)


def encode_cache(records: Mapping[str, CacheRecord], layers: Sequence[Layer]) -> bytes:
    """Write records; ``layers`` are theirs, in the order of the manifest."""
    places = {layer.diff_id: number for number, layer in reversed([*enumerate(layers)])}
    document: dict[str, object] = {
        _OURS: VERSION,
        "layers": [
            {
                "blob": layer.descriptor.digest,
                "parent": -1,
                "annotations": {
                    "mediaType": layer.descriptor.media_type,
                    "diffID": layer.diff_id,
                    "size": layer.descriptor.size,
                },
            }
            for layer in layers
        ],
        "records": [
            {
                "digest": f"sha256:{key}",
                "created": record.created,
                "results": []
                if record.layer is None
                else [{"layer": places[record.layer.diff_id], "createdAt": record.created}],
            }
            for key, record in sorted(records.items())
        ],
    }
    return encode_json(document)


def decode_cache(data: bytes, blobs: Sequence[Descriptor]) -> dict[str, CacheRecord]:
    """Read records; ``blobs`` are the manifest's, and no others are believed in.

    :raises ImageError: when they are not ours, or malformed.
    """
    document = parse_json(data, "the cache")
    if document.get(_OURS) != VERSION:
        raise ImageError("it is a cache of another builder, or of another version")
    known = {blob.digest: blob for blob in blobs}
    layers = [_layer(entry, known) for entry in _list(document, "layers")]
    return dict(_record(entry, layers) for entry in _list(document, "records"))


def _list(document: Mapping[str, object], key: str) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ImageError(f'"{key}" of the cache is no list')
    return value


def _layer(entry: object, known: Mapping[Digest, Descriptor]) -> Layer:
    match entry:
        case {"blob": str(blob), "annotations": {"diffID": str(diff_id)}}:
            found = known.get(parse_digest(blob))
            if found is None:
                raise ImageError(f"the cache names a blob {blob[:19]} that it has not")
            return bare(Layer(diff_id=parse_digest(diff_id), descriptor=found))
        case _:
            raise ImageError("a layer of the cache is malformed")


def _record(entry: object, layers: Sequence[Layer]) -> tuple[str, CacheRecord]:
    match entry:
        case {"digest": str(digest), "created": str(created), "results": list(results)} if (
            _KEY.fullmatch(digest) and _MOMENT.fullmatch(created) and len(results) < 2
        ):
            layer = _result(results[0], layers) if results else None
            return digest.removeprefix("sha256:"), CacheRecord(layer=layer, created=created)
        case _:
            raise ImageError("a record of the cache is malformed")


def _result(entry: object, layers: Sequence[Layer]) -> Layer:
    match entry:
        case {"layer": int(number)} if 0 <= number < len(layers):
            return layers[number]
        case _:
            raise ImageError("a result of the cache is malformed")


def with_inline(config: bytes, records: Mapping[str, CacheRecord]) -> bytes:
    """Return an image's config that holds a cache of its own layers."""
    cache = base64.b64encode(encode_cache(records, layers_of(records))).decode()
    return encode_json({**parse_json(config, "the image's config"), INLINE: cache})


def inline_of(config: bytes) -> bytes:
    """Return the cache in an image's config.

    :raises ImageError: when there is none.
    """
    text = parse_json(config, "the image's config").get(INLINE)
    if not isinstance(text, str):
        raise ImageError("it is an image, and holds no cache")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as err:
        raise ImageError("its cache is damaged") from err
