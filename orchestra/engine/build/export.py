"""The result of a build -> the config of its image: history, times, labels.

Times are those of the layers, which the cache remembers: a build that finds all its steps in the
cache gives the very same image. With SOURCE_DATE_EPOCH all times of this build are that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from orchestra.engine.build.attestations import Claim, attestation_of
from orchestra.engine.build.environment import Built
from orchestra.engine.image.document import encode_descriptor, encode_json, encode_manifest
from orchestra.oci.digest import digest_of
from orchestra.oci.image import (
    INDEX_OCI,
    MANIFEST_OCI,
    Descriptor,
    History,
    ImageConfig,
    Layer,
)
from orchestra.oci.platform import Platform
from orchestra.planner.building import Annotation
from orchestra.values import dataclass, replace

_BEGINNING = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A line of history of this build; ``layer`` None where it made none."""

    history: History
    layer: Layer | None
    created: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An image of a build, for one platform: its config and its layers, lowest first."""

    platform: Platform
    config: bytes
    layers: tuple[Layer, ...]
    annotations: tuple[Annotation, ...] = ()
    claims: tuple[Claim, ...] = ()
    subjects: tuple[str, ...] = ()
    """What claims are about: the image's names as package URLs."""

    def notes(self, kind: str) -> dict[str, str]:
        """Return the annotations of a kind that are for this platform."""
        own = ("", str(self.platform))
        return {a.key: a.value for a in self.annotations if a.kind == kind and a.platform in own}

    @property
    def manifest(self) -> bytes:
        """Return its manifest."""
        return encode_manifest(self.config, self.layers, self.notes("manifest"))


def built_of(members: Sequence[Member]) -> Built:
    """Return what a build gives: one image alone as it is, several in an index."""
    manifests = tuple(member.manifest for member in members)
    documents = [member.config for member in members]
    if len(members) == 1 and not members[0].claims:
        return Built(manifests=manifests, documents=tuple(documents))
    images, attestations = [], []
    for member, manifest in zip(members, manifests, strict=True):
        image = Descriptor(
            media_type=MANIFEST_OCI,
            digest=digest_of(manifest),
            size=len(manifest),
            platform=member.platform,
            annotations=member.notes("manifest-descriptor"),
        )
        images.append(encode_descriptor(image))
        if member.claims:
            made = attestation_of(member.claims, member.subjects, image)
            attestations.append(encode_descriptor(made.descriptor))
            documents += made.documents
    # Those that tell of images come after all images (docs/attestations/attestation-storage.md).
    index: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": INDEX_OCI,
        "manifests": [*images, *attestations],
    }
    if notes := members[0].notes("index"):
        index["annotations"] = notes
    return Built(manifests=manifests, documents=tuple(documents), index=encode_json(index))


def history_of(
    base: Sequence[History],
    made: Sequence[Made],
    *,
    base_created: str | None,
    base_layers: int,
    epoch: int | None,
) -> tuple[History, ...]:
    """Return the base's history and this build's.

    A line without a layer has the time of the line before it. Where the base tells of fewer layers
    than it has, lines are added, since readers count them.
    """
    told = sum(not line.empty_layer for line in base)
    lines = [*base, *[History(comment="untold layer of the base")] * (base_layers - told)]
    if epoch is not None:
        fixed = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            *lines,
            *(
                replace(entry.history, created=fixed, empty_layer=entry.layer is None)
                for entry in made
            ),
        )
    times = [entry.created for entry in made if entry.created is not None]
    time = base_created or next(iter(times), _BEGINNING)
    for entry in made:
        time = entry.created or time
        lines.append(replace(entry.history, created=time, empty_layer=entry.layer is None))
    return tuple(lines)


def final_config(
    config: ImageConfig,
    *,
    layers: Sequence[Layer],
    history: Sequence[History],
    labels: Mapping[str, str],
    platform: Platform,
) -> ImageConfig:
    """Return the config that the image is stored with."""
    created = next((line.created for line in reversed(history) if line.created), _BEGINNING)
    return replace(
        config,
        platform=platform,
        diff_ids=tuple(layer.diff_id for layer in layers),
        created=created,
        labels=dict(sorted({**config.labels, **labels}.items())),
        history=tuple(history),
    )
