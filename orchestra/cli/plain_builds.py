"""Builds of which nothing has changed since the same command line built them: told by a glance.

All others are the session's, errors included; nothing has been said or done by then.
"""

from __future__ import annotations

import os
import sys
import time

from orchestra.cli.declare import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestra.cli.options import GlobalOptions
    from orchestra.engine.glancing import Asked, Glimpse

_IMAGE_OPTIONS = frozenset(
    {
        "build_args", "build_contexts", "call", "file", "labels", "load", "path", "progress",
        "quiet", "tags", "target",
    }
)  # fmt: skip
"""Parameters of ``image build`` that make no difference to how a build is known."""
_PROJECT_OPTIONS = frozenset({"progress", "quiet", "services"})
_SPOKEN = frozenset({"auto", "plain", "tty"})
_SILENT = frozenset({"none", "quiet"})
VOLATILE = ("OLDPWD", "SHLVL", "_")
"""Variables that shells change with each command: a project that names them is not remembered."""


def image_parts(asked: Mapping[str, object], environment: Mapping[str, str]) -> list[str] | None:
    """Return all that decides about an ``image build`` but files; None for one that is not plain.

    ``asked``: the parameters that were given.
    """
    path, call = asked.get("path"), asked.get("call")
    if not asked.keys() <= _IMAGE_OPTIONS or "tags" not in asked or call != "build" or path == "-":
        return None
    if asked.get("file") == "-":
        return None
    given = asked.get("build_args")
    names = [text for text in given if "=" not in text] if isinstance(given, list) else []
    names += ["SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM"]
    options = sorted((name, str(value)) for name, value in asked.items() if name != "progress")
    variables = [(name, environment.get(name)) for name in names]
    return ["image build", os.getcwd(), repr(options), repr(variables)]  # noqa: PTH109


def project_parts(
    options: GlobalOptions, asked: Mapping[str, object], environment: Mapping[str, str]
) -> list[str] | None:
    """Return all that decides about a ``build`` but files; None for one that is not plain."""
    if not asked.keys() <= _PROJECT_OPTIONS or asked.get("services") == ["-"]:
        return None
    if "-" in options.files:
        return None
    asking = (
        options.files,
        options.project_name,
        options.project_directory,
        options.env_files,
        options.profiles,
        options.runtime,
        asked.get("services"),
    )
    known = sorted(pair for pair in environment.items() if pair[0] not in VOLATILE)
    return ["build", os.getcwd(), repr(asking), repr(known)]  # noqa: PTH109


def plain_image_build(options: GlobalOptions, asked: Mapping[str, object]) -> bool:
    """Tell of a build outside of projects, and end with its image's id.

    Returns when there is more to do: whether the command line is remembered.

    :raises Exit: when that was all.
    """
    began = time.time_ns()
    progress = str(asked.get("progress") or options.progress)
    parts = image_parts(asked, os.environ)
    before = _asked(parts) if parts is not None else None
    shown = progress in _SPOKEN | _SILENT
    found = _glance(before) if before and shown else None
    if before is None or found is None:
        return before is not None
    (build,) = found
    lines: list[str] = []
    if progress in _SPOKEN and not asked.get("quiet"):
        lines = _told(build.subject, build.actions)
        lines += [f" {build.subject} | warning: {text.rstrip()}" for text in build.warnings]
        lines.append(f" {build.subject}  built")
    _say(lines)
    sys.stdout.write(f"{build.identity}\n")
    before.record(found, began)
    raise Exit


def plain_project_build(options: GlobalOptions, asked: Mapping[str, object]) -> str:
    """Tell of the builds of a project.

    Returns when there is more to do: by what the project is remembered, if its files are what they
    were, else "".

    :raises Exit: when that was all.
    """
    began = time.time_ns()
    progress = "quiet" if asked.get("quiet") else str(asked.get("progress") or options.progress)
    live = progress == "auto" and (options.ansi == "always" or sys.stderr.isatty())
    parts = project_parts(options, asked, os.environ)
    before = _asked(parts) if parts is not None else None
    if before is None:
        return ""
    shown = progress in {"auto", "plain", "quiet"} and not live
    builds = _glance(before) if shown else None
    if builds is None:
        return before.desired
    lines = before.said
    if progress != "quiet":
        for build in builds:
            lines.append(f" Image {build.subject}  Building  # build asked for")
            lines += [f" {build.subject} | warning: {text.rstrip()}" for text in build.warnings]
            lines.append(f" Image {build.subject}  Built  {build.seconds:.1f}s")
    _say(lines)
    before.record(builds, began)
    raise Exit


def _asked(parts: list[str]) -> Asked | None:
    from orchestra.engine.glancing import Asked, NotPlainError, key_of

    try:
        return Asked(os.environ, os.getuid(), key_of(parts))
    except (NotPlainError, OSError):
        return None


def _glance(asked: Asked) -> list[Glimpse] | None:
    from orchestra.engine.glancing import NotPlainError

    try:
        found = asked.glance()
    except (NotPlainError, OSError):
        return None
    texts = [*asked.said, *(t for b in found for t in (b.subject, *b.actions, *b.warnings))]
    # what is not printable as it is (cli/render/terminal.py) is left to who knows what to print
    return found if all(map(str.isprintable, texts)) else None


def _told(subject: str, actions: Sequence[str]) -> list[str]:
    """Return a line for each action that is not the one before."""
    pairs = zip(("", *actions), actions, strict=False)
    return [f" {subject}  {action}" for before, action in pairs if action != before]


def _say(lines: Sequence[str]) -> None:
    if lines:
        sys.stderr.write("".join([f"{line}\n" for line in lines]))
        sys.stderr.flush()
