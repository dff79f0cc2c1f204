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
from orchestra.values import dataclass

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
INLINE = "moby.buildkit.cache.v0"
"""The key of an image's config that holds a cache."""
Pair = tuple[Digest, Digest]
_OURS = "orchestra"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_KEY = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in a cache: records, and those of their layers that are told of and not given.

    ``hollow``: a step whose layer nobody has is known all the same, where only its place in the
    keys of other steps is asked for: so that with mode=min no stage is built for nothing.
    """

    records: Mapping[str, CacheRecord]
    hollow: frozenset[Pair] = frozenset()

    @property
    def given(self) -> tuple[Layer, ...]:
        """Return the layers that are given, each once."""
        return tuple(layer for layer in self.layers if pair_of(layer) not in self.hollow)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return every layer once, in the order of the records' keys."""
        found = (self.records[key].layer for key in sorted(self.records))
        return tuple({pair_of(layer): bare(layer) for layer in found if layer}.values())


def pair_of(layer: Layer) -> Pair:
    """Return what a layer is known by: its content, and how that is packed."""
    return layer.diff_id, layer.descriptor.digest


def bare(layer: Layer) -> Layer:
    """Return a layer without annotations: what it is, and nothing that was said of it."""
    kept = layer.descriptor
    plain = Descriptor(media_type=kept.media_type, digest=kept.digest, size=kept.size)
    return Layer(diff_id=layer.diff_id, descriptor=plain)


def encode_cache(contents: Contents) -> bytes:
    """Write what is in a cache; the layers that are given come first, as in the manifest."""
    records = contents.records
    hollow = [layer for layer in contents.layers if pair_of(layer) in contents.hollow]
    layers = [*contents.given, *hollow]
    places = {pair_of(layer): number for number, layer in enumerate(layers)}
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
                else [{"layer": places[pair_of(record.layer)], "createdAt": record.created}],
            }
            for key, record in sorted(records.items())
        ],
    }
    return encode_json(document)


def decode_cache(data: bytes, blobs: Sequence[Descriptor]) -> Contents:
    """Read what is in a cache; ``blobs`` are the manifest's, and no others are given.

    :raises ImageError: when it is not ours, or malformed.
    """
    document = parse_json(data, "the cache")
    if document.get(_OURS) != VERSION:
        raise ImageError("it is a cache of another builder, or of another version")
    known = {blob.digest: blob for blob in blobs}
    layers = [_layer(entry, known) for entry in _list(document, "layers")]
    records = dict(_record(entry, layers) for entry in _list(document, "records"))
    hollow = (pair_of(layer) for layer in layers if layer.descriptor.digest not in known)
    return Contents(records=records, hollow=frozenset(hollow))


def _list(document: Mapping[str, object], key: str) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ImageError(f'"{key}" of the cache is no list')
    return value


def _layer(entry: object, known: Mapping[Digest, Descriptor]) -> Layer:
    match entry:
        case {
            "blob": str(blob),
            "annotations": {"diffID": str(diff_id), "mediaType": str(kind), "size": int(size)},
        } if size >= 0:
            digest = parse_digest(blob)
            told = Descriptor(media_type=kind, digest=digest, size=size)
            return bare(Layer(diff_id=parse_digest(diff_id), descriptor=known.get(digest, told)))
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


def with_inline(config: bytes, contents: Contents) -> bytes:
    """Return an image's config that holds a cache; what that gives are the image's own layers."""
    cache = base64.b64encode(encode_cache(contents)).decode()
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
