"""Which of a container's mounts are staged (shim/stages.py), and what it borrows from others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestra.engine.container.places import Places
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.files import read_bytes
from orchestra.engine.shim.identity import write_json
from orchestra.engine.shim.protocol import Identity, Stage
from orchestra.engine.shim.stages import STAGES_DIRECTORY
from orchestra.engine.state.records import ContainerRecord, ImageMount, VolumeUse
from orchestra.oci.runtime import OciMount, RuntimeConfig
from orchestra.planner.desired import Mount, MountKind
from orchestra.values import dataclass, field, replace

_FILE = "stages.json"
_BORROWED = "from-"
_LENT = frozenset({MountKind.BIND, MountKind.VOLUME})


def stage_volumes(
    places: Places,
    mounts: Sequence[Mount],
    images: Sequence[ImageMount],
    volumes: Mapping[str, str],
) -> Mapping[str, str]:
    """Write down which mounts are staged; return the sources of volumes, those among them.

    ``volumes``: target -> host directory. An image's files are shown through a writable layer of
    the container's own, as with docker.
    """
    layers = {image.target: image.layers for image in images}
    stages: list[Stage] = []
    sources = dict(volumes)
    for mount in mounts:
        name = str(len(stages))
        if mount.kind is MountKind.IMAGE:
            directory = places.directory / "images" / name
            upper, work = directory / "upper", directory / "work"
            for path in (upper, work):
                make_private(path)
            upper.chmod(0o755)
            stage: Stage = {
                "name": name,
                "what": f'the image "{mount.source}"',
                "subpath": mount.subpath,
                "rootfs": {
                    "lower": list(layers[mount.target]),
                    "upper": str(upper),
                    "work": str(work),
                },
            }
        elif mount.subpath:
            source = volumes[mount.target]
            what = f'the volume at "{mount.target}"'
            stage = {"name": name, "what": what, "subpath": mount.subpath, "source": source}
        else:
            continue
        stages.append(stage)
        sources[mount.target] = _place(places, name)
    if stages:
        _write(places.directory, _Staged(stages=stages))
    return sources


def _place(places: Places, name: str) -> str:
    return str(places.run_directory / STAGES_DIRECTORY / name)


def read_stages(places: Places) -> list[Stage]:
    """Return the stages of a container; none where nothing was written down."""
    return _read(places.directory).stages


def standing_stages(places: Places) -> list[Stage]:
    """Return the stages that a container has also while it does not run."""
    return [stage for stage in read_stages(places) if "init" not in stage]


def stage_shm(places: Places, init: Identity) -> str:
    """Let /dev/shm be another container's; return the source of its mount."""
    staged = _read(places.directory)
    stage: Stage = {
        "name": "shm",
        "what": "the other container's /dev/shm",
        "subpath": "",
        "source": "/dev/shm",  # noqa: S108 - a place inside the container
        "init": init,
    }
    kept = [other for other in staged.stages if other["name"] != stage["name"]]
    _write(places.directory, replace(staged, stages=[*kept, stage]))
    return _place(places, stage["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Staged:
    """What a container's stages.json holds.

    ``borrowed``: the targets of others' mounts that its config shows; ``displaced``: its own
    mounts that stood there.
    """

    stages: list[Stage] = field(default_factory=list)
    borrowed: list[str] = field(default_factory=list)
    displaced: list[OciMount] = field(default_factory=list)


def _read(directory: Path) -> _Staged:
    try:
        document = json.loads(read_bytes(f"{directory}/{_FILE}"))
        return _Staged(
            stages=document["stages"],
            borrowed=document["borrowed"],
            displaced=document.get("displaced", []),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Staged()


def _write(directory: Path, staged: _Staged) -> None:
    document = {name: getattr(staged, name) for name in ("stages", "borrowed", "displaced")}
    write_json(str(directory / _FILE), document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """A container whose mounts another one shows too, and whether for reading only."""

    record: ContainerRecord
    places: Places
    read_only: bool = False


def borrow(
    record: ContainerRecord, places: Places, config: RuntimeConfig, lenders: Sequence[Lender]
) -> ContainerRecord:
    """Put the lenders' binds and volumes into a config, in place of those of the last start.

    The container's own mounts win, but those of its image; earlier lenders win over later ones.
    Returns the record with the volumes that it now uses.
    """
    own = {mount.target for mount in record.spec.mounts}
    own |= {file.target for file in record.spec.files}
    before = _read(places.directory)
    stages = [stage for stage in before.stages if not stage["name"].startswith(_BORROWED)]
    found: dict[str, OciMount] = {}
    uses: dict[str, VolumeUse] = {}
    for lender in lenders:
        lent = {stage["name"]: stage for stage in read_stages(lender.places)}
        by_target = {use.target: use for use in lender.record.volumes}
        for mount in _lent(lender):
            target = mount["destination"]
            if target in own or target in found:
                continue
            stage = lent.get(_staged(lender.places, mount))
            if stage is not None:
                name = f"{_BORROWED}{len(stages)}"
                stages.append({**stage, "name": name})
                mount = {**mount, "source": _place(places, name)}  # noqa: PLW2901
            found[target] = _read_only(mount) if lender.read_only else mount
            if target in by_target:
                uses[target] = replace(by_target[target], borrowed=True)
    mounts = [m for m in config.get("mounts", []) if m["destination"] not in before.borrowed]
    mounts += before.displaced
    kept = [mount for mount in mounts if mount["destination"] not in found]
    displaced = [mount for mount in mounts if mount["destination"] in found]
    config["mounts"] = [*kept, *(found[target] for target in sorted(found, key=_depth))]
    staged = _Staged(stages=stages, borrowed=sorted(found), displaced=displaced)
    _write(places.directory, staged)
    volumes = [use for use in record.volumes if not use.borrowed]
    return replace(record, volumes=(*volumes, *(uses[target] for target in sorted(uses))))


def _lent(lender: Lender) -> list[OciMount]:
    """Return what a container can lend: binds and volumes, its image's and borrowed ones too."""
    record = lender.record
    targets = {mount.target for mount in record.spec.mounts if mount.kind in _LENT}
    targets |= {use.target for use in record.volumes} | set(_read(lender.places.directory).borrowed)
    mounts = lender.places.read_config().get("mounts", [])
    return [mount for mount in mounts if mount["destination"] in targets]


def _staged(places: Places, mount: OciMount) -> str:
    """Return the name of the stage that a mount shows; "" for none."""
    source = mount.get("source", "")
    prefix = _place(places, "")
    return source.removeprefix(prefix).lstrip("/") if source.startswith(prefix) else ""


def _read_only(mount: OciMount) -> OciMount:
    options = [option for option in mount.get("options", []) if option != "rw"]
    return {**mount, "options": [*options, "ro", "rro"]}


def _depth(target: str) -> tuple[int, str]:
    return target.count("/"), target
