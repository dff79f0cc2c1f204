"""How a build was done -> the predicate of its provenance: SLSA v1, or v0.2.

Pure. Fields and what belongs into which mode are BuildKit's (docs/attestations/slsa-definitions.md,
solver/llbsolver/provenance): "min" leaves out the values of build arguments, labels and the names
of secrets; "max" has the Dockerfile and every step besides. What a secret holds is in neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from orchestra.engine.build.git_source import without_password
from orchestra.engine.build.outcome import Story
from orchestra.engine.build.provenance_steps import source_of, steps_of
from orchestra.engine.build.vertices import RunVertex
from orchestra.oci.platform import Platform
from orchestra.oci.reference import parse_reference
from orchestra.planner.attesting import Mode, Provenance, Version

SLSA_1 = "https://slsa.dev/provenance/v1"
SLSA_02 = "https://slsa.dev/provenance/v0.2"
_TYPE_1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_TYPE_02 = "https://mobyproject.org/buildkit@v1"
_LAYOUT = "oci-layout://"


def provenance_of(story: Story, asked: Provenance) -> tuple[str, dict[str, object]]:
    """Return the type of the predicate, and the predicate."""
    return _version_02(story, asked) if asked.version is Version.V02 else _version_1(story, asked)


def image_url(reference: str, platform: Platform | None) -> str:
    """Return the package URL of an image (BuildKit's util/purl).

    :raises ImageError: when the reference is malformed.
    """
    parsed = parse_reference(reference)
    name, _, digest = parsed.familiar.partition("@")
    if parsed.tag:
        name = name.removesuffix(f":{parsed.tag}")
    path = "/".join(quote(part, safe=":") for part in name.split("/"))
    query = [f"digest={digest}"] if digest else []
    query += [f"platform={quote(str(platform), safe='')}"] if platform else []
    version = f"@{quote(parsed.tag, safe='')}" if parsed.tag else ""
    return f"pkg:docker/{path}{version}{'?' if query else ''}{'&'.join(query)}"


def _version_1(story: Story, asked: Provenance) -> tuple[str, dict[str, object]]:
    request, complete = _request(story, asked)
    metadata: dict[str, object] = {
        "invocationId": story.invocation,
        "startedOn": story.started,
        "finishedOn": story.finished,
        "buildkit_completeness": {"request": complete, "resolvedDependencies": not _locals(story)},
        "buildkit_metadata": _metadata(story, asked),
    }
    if _hermetic(story):
        metadata["buildkit_hermetic"] = True
    if asked.reproducible:
        metadata["buildkit_reproducible"] = True
    internal: dict[str, object] = {"builderPlatform": str(story.builder)}
    if asked.mode is Mode.MAX:
        internal["buildConfig"] = {"llbDefinition": steps_of(story)}
    predicate: dict[str, object] = {
        "buildDefinition": {
            "buildType": _TYPE_1,
            "externalParameters": {
                "configSource": {**_config_source(story), "path": story.dockerfile_name},
                "request": request,
            },
            "internalParameters": internal,
            "resolvedDependencies": _materials(story),
        },
        "runDetails": {"builder": {"id": asked.builder_id}, "metadata": metadata},
    }
    return SLSA_1, predicate


def _version_02(story: Story, asked: Provenance) -> tuple[str, dict[str, object]]:
    request, complete = _request(story, asked)
    extension = "https://mobyproject.org/buildkit@v1"
    metadata: dict[str, object] = {
        "buildInvocationID": story.invocation,
        "buildStartedOn": story.started,
        "buildFinishedOn": story.finished,
        "completeness": {
            "parameters": complete,
            "environment": True,
            "materials": not _locals(story),
        },
        "reproducible": asked.reproducible,
        f"{extension}#metadata": _metadata(story, asked),
    }
    if _hermetic(story):
        metadata[f"{extension}#hermetic"] = True
    predicate: dict[str, object] = {
        "builder": {"id": asked.builder_id},
        "buildType": _TYPE_02,
        "materials": _materials(story),
        "invocation": {
            "configSource": {**_config_source(story), "entryPoint": story.dockerfile_name},
            "parameters": request,
            "environment": {"platform": str(story.builder)},
        },
        "metadata": metadata,
    }
    if asked.mode is Mode.MAX:
        predicate["buildConfig"] = {"llbDefinition": steps_of(story)}
    return SLSA_02, predicate


def _request(story: Story, asked: Provenance) -> tuple[dict[str, object], bool]:
    """Return the parameters that the mode tells of, and whether these are all."""
    told = {
        **({"target": story.target} if story.target else {}),
        **({"no-cache": ""} if story.no_cache else {}),
    }
    secret = {
        **{f"build-arg:{name}": value for name, value in story.arguments.items()},
        **{f"label:{name}": value for name, value in story.labels.items()},
    }
    request: dict[str, object] = {"frontend": "dockerfile.v0"}
    arguments = {**told, **secret} if asked.mode is Mode.MAX else told
    if arguments:
        request["args"] = dict(sorted(arguments.items()))
    if asked.mode is Mode.MAX:
        for kind, key in (("secret", "secrets"), ("ssh", "ssh")):
            mounts = _mounts(story, kind)
            if mounts:
                request[key] = mounts
    if _locals(story):
        request["locals"] = [{"name": name} for name in _locals(story)]
    return request, asked.mode is Mode.MAX or not secret


def _mounts(story: Story, kind: str) -> list[dict[str, object]]:
    """Return the secrets or agents that steps asked for; "optional" where one may be missing."""
    found: dict[str, bool] = {}
    for vertex in _runs(story):
        for mount in vertex.mounts:
            if mount.kind == kind:
                name = mount.id or "default"
                found[name] = found.get(name, False) or mount.required
    return [
        {"id": name} if required else {"id": name, "optional": True}
        for name, required in sorted(found.items())
    ]


def _runs(story: Story) -> list[RunVertex]:
    steps = (step for stage in story.stages.values() for step in stage.lowered.steps)
    return [step.vertex for step in steps if isinstance(step.vertex, RunVertex)]


def _locals(story: Story) -> list[str]:
    """Return the directories of this machine that went into the build: nobody can check these."""
    main = [] if _is_remote(story.context) else ["context", "dockerfile"]
    return [*main, *(f"context:{name}" for name in story.local_contexts)]


def _is_remote(context: str) -> bool:
    return context != "-" and not context.startswith("/")


def _hermetic(story: Story) -> bool:
    """Tell whether nothing came into the build that its materials do not tell of."""
    networks = (
        story.network if vertex.network == "default" else vertex.network for vertex in _runs(story)
    )
    return not _locals(story) and all(network == "none" for network in networks)


def _config_source(story: Story) -> dict[str, object]:
    if not _is_remote(story.context):
        return {}
    source: dict[str, object] = {"uri": without_password(story.context)}
    commit = story.commits.get("")
    if commit:
        source["digest"] = _commit(commit)
    return source


def _commit(commit: str) -> dict[str, str]:
    return {"sha256" if len(commit) == 64 else "sha1": commit}


def _materials(story: Story) -> list[dict[str, object]]:
    """Return what came from elsewhere, with the digests that it had."""
    found: dict[str, Mapping[str, str]] = {}
    for (reference, platform), digest in sorted(story.images.items(), key=lambda one: str(one[0])):
        algorithm, _, value = digest.partition(":")
        if reference.startswith(_LAYOUT):
            uri = _layout_url(story, reference, platform)
        else:
            uri = image_url(reference, platform)
        found[uri] = {algorithm: value}
    if _is_remote(story.context) and story.commits.get(""):
        found[without_password(story.context)] = _commit(story.commits[""])
    for url, (algorithm, value) in sorted(story.fetched.items()):
        found[url] = {algorithm: value}
    return [{"uri": uri, "digest": dict(digest)} for uri, digest in found.items()]


def _layout_url(story: Story, reference: str, platform: Platform) -> str:
    """Return the package URL of an image of a layout: it goes by the name of its context."""
    names = [name for name, image in story.context_images.items() if image == reference]
    name = quote(min(names, default="image"), safe="")
    return f"pkg:oci/{name}?platform={quote(str(platform), safe='')}"


def _metadata(story: Story, asked: Provenance) -> dict[str, object]:
    return source_of(story) if asked.mode is Mode.MAX else {}
