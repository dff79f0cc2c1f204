"""Claims about an image -> statements, and the manifest that keeps them in its index.

Pure. The form is BuildKit's (docs/attestations/attestation-storage.md): an artifact whose layers
are in-toto statements, and which the index lists as "unknown/unknown", so that nobody runs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from orchestra.engine.image.document import encode_descriptor, encode_json
from orchestra.engine.image.tree import ATTESTATION, REFERENCE_DIGEST, REFERENCE_TYPE
from orchestra.oci.digest import Digest, digest_of, hex_of
from orchestra.oci.image import MANIFEST_OCI, Descriptor
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, replace

IN_TOTO = "application/vnd.in-toto+json"
PREDICATE_TYPE = "in-toto.io/predicate-type"
_STATEMENT = "https://in-toto.io/Statement/v1"
_ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be said of an image, of whatever form its layers will be.

    ``file`` is the name that it has among exported files, "" where it is for images only.
    """

    predicate_type: str
    predicate: Mapping[str, object]
    file: str


@dataclass(frozen=True, slots=True)
class Attestation:
    """The descriptor for the index, and the blobs: the manifest and what it names."""

    descriptor: Descriptor
    documents: tuple[bytes, ...]


def statement_of(claim: Claim, subjects: Iterable[tuple[str, Digest]]) -> bytes:
    """Return the in-toto statement of a claim about some names and digests."""
    document = {
        "_type": _STATEMENT,
        "predicateType": claim.predicate_type,
        "subject": [{"name": name, "digest": {"sha256": hex_of(of)}} for name, of in subjects],
        "predicate": claim.predicate,
    }
    return json.dumps(document, indent=2, sort_keys=True).encode()


def attestation_of(claims: Sequence[Claim], names: Sequence[str], image: Descriptor) -> Attestation:
    """Return the manifest that keeps what is said of an image, under its names if it has some."""
    subjects = [(name, image.digest) for name in names or ("_",)]
    statements = [(claim, statement_of(claim, subjects)) for claim in claims]
    layers = [
        Descriptor(
            media_type=IN_TOTO,
            digest=digest_of(data),
            size=len(data),
            annotations={PREDICATE_TYPE: claim.predicate_type},
        )
        for claim, data in statements
    ]
    manifest = encode_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_OCI,
            "artifactType": _ARTIFACT,
            "config": {
                "mediaType": _EMPTY_TYPE,
                "digest": digest_of(_EMPTY),
                "size": len(_EMPTY),
                "data": "e30=",
            },
            "layers": [encode_descriptor(layer) for layer in layers],
            "subject": encode_descriptor(replace(image, platform=None)),
        }
    )
    descriptor = Descriptor(
        media_type=MANIFEST_OCI,
        digest=digest_of(manifest),
        size=len(manifest),
        platform=Platform("unknown", "unknown"),
        annotations={REFERENCE_TYPE: ATTESTATION, REFERENCE_DIGEST: image.digest},
    )
    return Attestation(descriptor, (manifest, _EMPTY, *(data for _, data in statements)))
