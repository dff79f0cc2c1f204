"""The steps of a build as provenance of mode "max" tells them.

Pure. They have the form of BuildKit's LLB as JSON: numbered steps, each with its operation and the
steps that it builds on; beside them the Dockerfile, the lines of each step, and its layers.
"""

from __future__ import annotations

import base64
from typing import assert_never

from orchestra.engine.build.outcome import Story
from orchestra.engine.build.solver import Solved
from orchestra.engine.build.vertices import (
    ContextSource,
    CopyVertex,
    ImageSource,
    MakeDirectoryVertex,
    RunVertex,
    Source,
    StageSource,
    Vertex,
)
from orchestra.engine.image.document import encode_descriptor
from orchestra.oci.image import Layer
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, field


@dataclass(slots=True)
class _Tale:
    """What is told so far. ``known`` numbers sources, ``ends`` the last steps of stages."""

    steps: list[dict[str, object]] = field(default_factory=list)
    lines: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layers: dict[str, tuple[Layer, ...]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)

    def add(self, operation: dict[str, object], inputs: list[str], platform: Platform) -> str:
        name = f"step{len(self.steps)}"
        told = {"os": platform.os, "architecture": platform.architecture}
        step: dict[str, object] = {"id": name, "op": {"Op": operation, "platform": told}}
        if inputs:
            step["inputs"] = inputs
        self.steps.append(step)
        return name


def steps_of(story: Story) -> list[dict[str, object]]:
    """Return every step of a build."""
    return _told(story).steps


def source_of(story: Story) -> dict[str, object]:
    """Return the Dockerfile, where in it each step is, and the layers that steps left."""
    tale = _told(story)
    locations = {
        name: {"locations": [{"ranges": [{"start": {"line": n}, "end": {"line": n}} for n in at]}]}
        for name, at in tale.lines.items()
    }
    info = {
        "filename": story.dockerfile_name,
        "language": "Dockerfile",
        "data": base64.b64encode(story.dockerfile.encode("utf-8", "surrogateescape")).decode(),
    }
    found: dict[str, object] = {"source": {"locations": locations, "infos": [info]}}
    layers = {
        f"{name}:0": [[encode_descriptor(layer.descriptor) for layer in chain]]
        for name, chain in tale.layers.items()
    }
    if layers:
        found["layers"] = layers
    return found


def _told(story: Story) -> _Tale:
    tale = _Tale()
    for index in sorted(story.stages):
        _stage(tale, story, index, story.stages[index])
    return tale


def _stage(tale: _Tale, story: Story, index: int, solved: Solved) -> None:
    stage = story.graph.stages[index]
    last = _source(tale, story, stage.base, solved.platform) if stage.base else ""
    if last:
        tale.lines.setdefault(last, (stage.line,))
    below = list(solved.layers[: len(solved.layers) - _made(solved)])
    made = solved.made[len(solved.made) - len(solved.lowered.steps) :]
    for step, entry in zip(solved.lowered.steps, made, strict=True):
        if step.vertex is None:
            continue
        inputs = [last] if last else []
        for source in _sources(step.vertex):
            name = _source(tale, story, source, solved.platform)
            inputs += [name] if name and name not in inputs else []
        operation = _operation(step.vertex)
        last = tale.add(operation, [f"{name}:0" for name in inputs], solved.platform)
        tale.lines[last] = (step.line,)
        below += [entry.layer] if entry.layer is not None else []
        tale.layers[last] = tuple(below)
    tale.ends[index] = last


def _made(solved: Solved) -> int:
    """Return how many layers the stage's own steps made."""
    own = solved.made[len(solved.made) - len(solved.lowered.steps) :]
    return sum(entry.layer is not None for entry in own)


def _source(tale: _Tale, story: Story, source: Source, platform: Platform) -> str:
    """Return the step that a source is, told when it is first used; "" is nothing."""
    match source:
        case StageSource(index=index):
            return tale.ends.get(index, "")
        case ImageSource(reference=reference):
            found = {ref: d for (ref, on), d in story.images.items() if on == platform}
            digest = found.get(reference) or next(
                (d for (ref, _), d in story.images.items() if ref == reference), ""
            )
            identifier = f"docker-image://{reference}{f'@{digest}' if digest else ''}"
        case ContextSource(name=name):
            identifier = f"local://{f'context:{name}' if name else 'context'}"
        case _:
            assert_never(source)
    if identifier not in tale.known:
        tale.known[identifier] = tale.add({"source": {"identifier": identifier}}, [], platform)
    return tale.known[identifier]


def _sources(vertex: Vertex) -> tuple[Source, ...]:
    match vertex:
        case CopyVertex():
            return (vertex.source,)
        case RunVertex():
            pairs = zip(vertex.mounts, vertex.mount_sources, strict=False)
            return tuple(source for mount, source in pairs if mount.kind == "bind")
        case MakeDirectoryVertex():
            return ()


def _operation(vertex: Vertex) -> dict[str, object]:
    match vertex:
        case RunVertex():
            meta: dict[str, object] = {"args": list(vertex.args), "env": list(vertex.env)}
            meta |= {"cwd": vertex.cwd} | ({"user": vertex.user} if vertex.user else {})
            mounts = [{"dest": "/"}, *({"dest": m.target, "type": m.kind} for m in vertex.mounts)]
            return {"exec": {"meta": meta, "mounts": mounts}}
        case CopyVertex():
            action = {"src": list(vertex.sources), "dest": vertex.destination}
            return {"file": {"actions": [{"Action": {"copy": action}}]}}
        case MakeDirectoryVertex():
            return {"file": {"actions": [{"Action": {"mkdir": {"path": vertex.path}}}]}}
