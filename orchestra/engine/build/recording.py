"""What is written down of a build, and what is not: a secret never is, whoever prints it.

Of build arguments their names are kept, of URLs all but who logs in there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.journal import Journal
from orchestra.engine.build.materials import Material, SeenImages
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.waiting import LoopWantedError
from orchestra.errors import OrchestraError
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.engine.build.environment import BuildEnvironment
    from orchestra.engine.events import Event
    from orchestra.engine.target import Report
    from orchestra.planner.building import BuildSpec

_DOCKERFILE = "/Dockerfile"
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_MASK = "***"
_SHORTEST_SECRET = 4
_SECRET_BYTES_MAX = 512 * 1024
_ARGUMENTS_MAX = 200


def without_login(text: str) -> str:
    """Return a text with nobody's name and password in its URLs."""
    return _USERINFO.sub("xxxxx", text) if "://" in text else text


def name_of(spec: BuildSpec) -> str:
    """Return what a build is called, as buildx calls it: after its context, or its Dockerfile."""
    given = spec.args.get("BUILDKIT_BUILD_NAME")
    if given:
        return given
    name = without_login(spec.context)
    if Path(spec.context).is_absolute():
        context, file = Path(spec.context), spec.dockerfile
        inside = file.startswith(f"{context}/") and spec.dockerfile_inline is None
        short = file.removesuffix(_DOCKERFILE)
        if spec.dockerfile_inline is not None or short == str(context):
            name = context.name
        elif inside:
            name = f"{context.name}/{short[len(str(context)) + 1 :]}"
        else:
            name = Path(short).name if short != file else "/".join(Path(file).parts[-2:])
    return f"{name} ({spec.target})" if spec.target else name


def about(spec: BuildSpec, names: Iterable[str], platform: str) -> dict[str, object]:
    """Return what is written down of how an image is built."""
    inline = spec.dockerfile_inline is not None
    contexts = spec.additional_contexts
    return {
        "name": name_of(spec),
        "names": list(names),
        "context": without_login(spec.context),
        "dockerfile": "" if inline else without_login(spec.dockerfile),
        "target": spec.target or "",
        "platforms": list(spec.platforms) or [platform],
        "arguments": sorted(spec.args)[:_ARGUMENTS_MAX],
        "contexts": {name: without_login(contexts[name]) for name in sorted(contexts)},
        "config": _config(spec),
    }


def _config(spec: BuildSpec) -> dict[str, object]:
    """Return the settings that are not as usual, in buildx's words."""
    limits = spec.resources
    found: dict[str, object] = {
        "Network": spec.network if spec.network not in {None, "", "default"} else "",
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.extra_hosts],
        "CgroupParent": spec.cgroup_parent,
        "ImageResolveMode": "pull" if spec.pull else "local",
        "MultiPlatform": len(spec.platforms) > 1,
        "NoCache": spec.no_cache,
        "NoCacheFilter": list(spec.no_cache_filter),
        "ShmSize": str(spec.shm_size_bytes or ""),
        "Ulimit": ",".join(f"{u.name}={u.soft}:{u.hard}" for u in spec.ulimits),
        "Memory": str(limits.memory_bytes or ""),
        "MemorySwap": str(limits.memory_swap_bytes or ""),
        "CPUShares": str(limits.cpu_shares or ""),
        "CPUPeriod": str(limits.cpu_period_us or ""),
        "CPUQuota": str(limits.cpu_quota_us or ""),
        "CPUSetCPUs": limits.cpuset or "",
    }
    return {key: value for key, value in found.items() if value}


def _secrets_of(spec: BuildSpec) -> list[str]:
    """Return the texts that are never written down: secrets, whole and line by line."""
    contents = list(spec.secret_contents.values())
    for path in spec.secrets.values():
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                contents.append(file.read(_SECRET_BYTES_MAX).decode("utf-8", "replace"))
        except OSError:
            continue  # the build tells of it
    lines = {line.strip() for text in contents for line in (text, *text.splitlines())}
    return sorted((line for line in lines if len(line) >= _SHORTEST_SECRET), key=len, reverse=True)


def told_of(materials: Iterable[Material]) -> dict[str, object]:
    """Return images as they are written down."""
    found = sorted((each.reference, each.platform, each.digest) for each in materials)
    return {"materials": [list(each) for each in found]}


class Recording:
    """A build that is being written down; ``report`` is where it tells of itself."""

    def __init__(self, journal: Journal, secrets: Iterable[str], report: Report) -> None:
        self._journal = journal
        texts = [re.escape(text) for text in secrets]
        self._hidden = re.compile("|".join(texts)) if texts else None
        self._report = report
        self._result: dict[str, object] = {}
        self._materials: dict[Material, None] = {}
        self.warnings: list[str] = []

    @property
    def id(self) -> str:
        """The id of the build."""
        return self._journal.id

    def report(self, event: Event) -> None:
        """Pass on what the build says, and write it down."""
        self._report(event)
        if isinstance(event, LogLine):
            text = self.masked(event.text)
            if event.stream == "stderr" and text.startswith("warning: "):
                self.warnings.append(text.removeprefix("warning: ").rstrip("\n"))
            self._journal.say(event.source, event.stream, text)
        elif isinstance(event, Progress):
            self._journal.step(event.subject, self.masked(event.action))

    def masked(self, text: str) -> str:
        """Return a text as it may be written down."""
        text = without_login(text)
        return text if self._hidden is None else self._hidden.sub(_MASK, text)

    def watched(self, environment: BuildEnvironment) -> BuildEnvironment:
        """Return a build's environment in which the images that it asks for are noted."""
        return replace(environment, images=SeenImages(environment.images, self._see))

    def _see(self, material: Material) -> None:
        self._materials[material] = None

    def gave(self, image: str, digest: str) -> None:
        """Note what the build gave: the image's id, and the digest of what its names lead to."""
        self._result = {"image": image, "digest": digest}

    def discard(self) -> None:
        """Leave nothing of it: it begins again, with an event loop."""
        self._journal.discard()

    def close(self, status: str, error: OrchestraError | None = None) -> None:
        """Write down how it ended."""
        wrong: Mapping[str, object] = {}
        if error is not None:
            place = str(error.location) if error.location else ""
            wrong = {"error": self.masked(error.message), "place": place}
        self._journal.end(status, {**self._result, **wrong, **told_of(self._materials)})


@contextmanager
def recording(
    environment: BuildEnvironment, spec: BuildSpec, names: Iterable[str], report: Report
) -> Iterator[Recording]:
    """Write down the build that the block is."""
    directory = Path(environment.paths.build_cache / "history")
    journal = Journal(directory, about(spec, names, str(environment.platform)))
    journal.flush()
    kept = Recording(journal, _secrets_of(spec), report)
    try:
        yield kept
    except LoopWantedError:
        kept.discard()
        raise
    except OrchestraError as error:
        kept.close("error", error)
        raise
    except BaseException as error:  # a bug of ours, or cancelled
        kept.close("error" if isinstance(error, Exception) else "canceled")
        raise
    kept.close("completed")


def record_settled(
    directory: Path,
    spec: BuildSpec,
    names: Iterable[str],
    platform: str,
    events: Iterable[Event],
    result: Mapping[str, object],
) -> None:
    """Write down a build that was settled, all at once."""
    journal = Journal(directory, about(spec, names, platform), live=False)
    for event in events:
        journal.tell(event)
    journal.end("completed", result)
