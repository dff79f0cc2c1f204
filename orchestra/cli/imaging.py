"""What ``image build`` is told: options -> how to build, and what becomes of the result."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from orchestra.cli.build_options import size_of
from orchestra.cli.options import GlobalOptions, check_choice
from orchestra.errors import UsageError
from orchestra.values import dataclass, field, replace

if TYPE_CHECKING:
    from orchestra.planner.building import Annotation, BuildSpec
    from orchestra.planner.exchange import Output
    from orchestra.planner.limits import Resources, Ulimit

_DOCKERFILE_BYTES_MAX = 4 << 20
_ENTITLEMENTS = ("device", "network.host", "security.insecure")
_CALLS = ("build", "check", "outline", "targets")
_ANNOTATED = re.compile(r"(manifest|manifest-descriptor|index)(?:\[([A-Za-z0-9_/-]+)\])?")
_PROGRESS = ("auto", "tty", "plain", "quiet", "none", "rawjson")
_SECRET_FIELDS = {"id", "src", "source", "type", "env"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of a Dockerfile: "build", or what it says of itself."""

    name: str = "build"
    json: bool = False


def parse_call(text: str, *, check: bool) -> Call:
    """Parse ``--call``: check, outline or targets, with ",format=json".

    :raises UsageError: when it is none.
    """
    name, *fields = text.split(",")
    name = {"lint": "check"}.get(name, name)
    if name not in _CALLS:
        raise UsageError(
            f'"{text}" is no value of --call', hint=f"it is one of {', '.join(_CALLS)}"
        )
    formats = {"format=json": True, "format=text": False}
    unknown = [each for each in fields if each not in formats]
    if unknown:
        raise UsageError(f'--call {name}: "{unknown[0]}" is not known', hint="write format=json")
    if check and name not in ("build", "check"):
        raise UsageError(f"--check and --call={name} exclude each other")
    return Call(name="check" if check else name, json=any(formats[each] for each in fields))


def place_of(text: str) -> tuple[str, bool]:
    """Return a context as the builder wants it, and whether it is a path of this machine."""
    if text == "-" or not Path(text).is_dir():
        from orchestra.planner.compile.images import is_remote

        if is_remote(text):
            return text, False
    return str(Path(text).absolute()), True


def dockerfile_of(file: str, context: str) -> str:
    """Return the path or the URL of the Dockerfile of a context of this machine."""
    if file.startswith(("http://", "https://")):
        return file
    if file == "-":
        file = ""
    return str(Path(file).absolute()) if file else f"{context}/Dockerfile"


def inline_of(file: str, context: str) -> str | None:
    """Return a Dockerfile that comes in on stdin, for ``--file -``; None without that.

    :raises UsageError: when the context comes in there as well, or stdin is a terminal.
    """
    if file != "-":
        return None
    if context == "-":
        raise UsageError("the context and the Dockerfile cannot both come in on stdin")
    from orchestra.cli.building import check_stdin

    check_stdin()
    return sys.stdin.buffer.read(_DOCKERFILE_BYTES_MAX).decode("utf-8", "replace")


def with_progress(options: GlobalOptions, progress: str) -> GlobalOptions:
    """Return the options with another way to show how far it is.

    :raises UsageError: when it is none.
    """
    check_choice("--progress", progress, _PROGRESS)
    return replace(options, progress="quiet" if progress == "none" else progress)


def context_of(text: str) -> tuple[str, str]:
    """Parse ``--build-context NAME=PATH|URL``.

    :raises UsageError: when it is not of that form.
    """
    name, place = pair("--build-context", text)
    return name, place_of(place)[0]


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words of an option that may be given again, or hold several with commas."""
    return tuple(word for text in texts for word in text.split(",") if word)


def pair(option: str, text: str, *, needed: bool = True) -> tuple[str, str]:
    """Split NAME=VALUE.

    :raises UsageError: when it is not of that form.
    """
    key, equals, value = text.partition("=")
    if not key or (needed and not equals):
        raise UsageError(f'"{text}" is no value of {option}', hint="write it as NAME=VALUE")
    return key, value


def host_of(text: str) -> tuple[str, str]:
    """Parse ``--add-host HOST:IP``, or with "="; an IPv6 address may stand in brackets.

    :raises UsageError: when it is not of that form.
    """
    name, mark, address = text.partition("=") if "=" in text else text.partition(":")
    if not (name and mark and address):
        raise UsageError(f'"{text}" is no value of --add-host', hint="write it as HOST:IP")
    return name, address.removeprefix("[").removesuffix("]") if address[0] == "[" else address


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Secrets by their ids: files, and values of the environment."""

    files: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)


def secrets_of(texts: Iterable[str], environment: Mapping[str, str]) -> Secrets:
    """Parse ``--secret id=NAME[,src=FILE|,env=VARIABLE]``, its type guessed as buildx does.

    :raises UsageError: when one is not of that form, or its variable is not set.
    """
    files: dict[str, str] = {}
    contents: dict[str, str] = {}
    for text in texts:
        fields = dict(pair("--secret", part) for part in text.split(","))
        name, kind = fields.get("id"), fields.get("type", "")
        if not name or not set(fields) <= _SECRET_FIELDS or kind not in ("", "file", "env"):
            raise UsageError(
                f'"{text}" is no value of --secret',
                hint="write it as id=NAME,src=FILE or id=NAME,env=VARIABLE",
            )
        source = fields.get("src") or fields.get("source")
        variable = fields.get("env") or (source if kind == "env" else None)
        if variable or kind == "env" or (not kind and not source and name in environment):
            variable = variable or name
            if variable not in environment:
                raise UsageError(f'--secret {name}: variable "{variable}" is not set')
            contents[name] = environment[variable]
        else:
            files[name] = str(Path(source or name).absolute())
    return Secrets(files=files, contents=contents)


def ulimit_of(text: str) -> Ulimit:
    """Parse ``--ulimit NAME=SOFT[:HARD]``.

    :raises UsageError: when it is not of that form.
    """
    from orchestra.planner.limits import Ulimit

    name, numbers = pair("--ulimit", text)
    soft, _, hard = numbers.partition(":")
    try:
        return Ulimit(name=name, soft=int(soft), hard=int(hard or soft))
    except ValueError as err:
        raise UsageError(
            f'"{text}" is no value of --ulimit', hint="write it as NAME=SOFT[:HARD]"
        ) from err


def resources_of(texts: Iterable[str]) -> Resources:
    """Parse ``--resource KEY=VALUE``: what each step may use.

    :raises UsageError: when a key or a value is unknown.
    """
    from orchestra.planner.limits import Resources

    sizes = {"memory": 0, "memory-swap": 0}
    numbers = {"cpu-shares": 0, "cpu-period": 0, "cpu-quota": 0}
    cpuset = ""
    for text in texts:
        key, value = pair("--resource", text)
        if key == "cpuset-cpus":
            cpuset = value
        elif key in sizes:
            sizes[key] = size_of("--resource", value) or 0
        elif key in numbers and value.isdecimal():
            numbers[key] = int(value)
        else:
            known = ", ".join((*sizes, *numbers, "cpuset-cpus"))
            raise UsageError(f'--resource "{text}" is not supported', hint=f"known are {known}")
    return Resources(
        memory_bytes=sizes["memory"] or None,
        memory_swap_bytes=sizes["memory-swap"] or None,
        cpu_shares=numbers["cpu-shares"] or None,
        cpu_period_us=numbers["cpu-period"] or None,
        cpu_quota_us=numbers["cpu-quota"] or None,
        cpuset=cpuset or None,
    )


def attested(kind: str, texts: Iterable[str]) -> str:
    """Return what ``--attest type=KIND,...`` says, as the flag of that name has it; "" for nothing.

    :raises UsageError: when a type is unknown.
    """
    found = ""
    for text in texts:
        fields = dict(pair("--attest", part) for part in text.split(","))
        if fields.get("type") not in ("provenance", "sbom"):
            raise UsageError(
                f'--attest "{text}" is not supported', hint="its type is provenance or sbom"
            )
        if fields.pop("type") == kind:
            on = fields.pop("disabled", "false") not in ("true", "1")
            rest = ",".join(f"{key}={value}" for key, value in fields.items())
            found = (rest or "true") if on else "false"
    return found


def cgroup_of(text: str) -> str:
    """Parse ``--cgroup-parent``.

    :raises UsageError: when it leads up.
    """
    names = [name for name in text.split("/") if name not in {"", "."}]
    if ".." in names:
        raise UsageError(f'--cgroup-parent "{text}" leads up', hint="name a group below the root")
    return "/".join(names)


def entitlements_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Parse ``--allow``.

    :raises UsageError: when it is no entitlement that there is.
    """
    found = list(texts)
    for name in found:
        if name not in _ENTITLEMENTS and not name.startswith("device="):
            raise UsageError(
                f'--allow "{name}" is not supported',
                hint=f"it is {' or '.join(_ENTITLEMENTS)} or device=NAME",
            )
    return tuple(sorted(found))


def annotations_of(texts: Iterable[str], platforms: Sequence[str]) -> tuple[Annotation, ...]:
    """Parse ``--annotation [TYPE,...:]KEY=VALUE``; a type may name its platform in brackets.

    :raises UsageError: when it is none, or for what a build of these platforms has not.
    """
    from orchestra.planner.building import Annotation

    found = []
    for text in texts:
        name, value = pair("--annotation", text)
        types, colon, key = name.rpartition(":")
        for word in types.split(",") if colon else ("manifest",):
            match = _ANNOTATED.fullmatch(word)
            kind = match[1] if match else word
            if match is None or (kind != "manifest" and len(platforms) < 2):
                raise UsageError(
                    f'--annotation "{text}": "{kind}" is not supported',
                    hint="a manifest has annotations; of several platforms, their descriptors "
                    "(manifest-descriptor) and the index as well",
                )
            found.append(
                Annotation(
                    key=key,
                    value=value,
                    kind=cast("Literal['manifest', 'manifest-descriptor', 'index']", kind),
                    platform=match[2] or "",
                )
            )
    return tuple(found)


def outputs_of(texts: Iterable[str], *, push: bool, load: bool) -> tuple[Output, ...]:
    """Return what becomes of the result: what ``--output`` says, ``--push`` and ``--load``.

    :raises UsageError: when an output is none, or two want stdout.
    """
    from orchestra.planner.exchange import STDOUT, Output, parse_output

    found = [parse_output(text, str(Path.cwd())) for text in texts]
    if push:
        images = [output for output in found if output.kind == "image"]
        found = [replace(each, push=True) if each in images else each for each in found]
        found += [] if images else [Output(kind="image", push=True)]
    if load and not any(output.stored for output in found):
        found.append(Output(kind="docker"))
    if sum(output.destination == STDOUT for output in found) > 1:
        raise UsageError("two outputs cannot both go to stdout")
    return tuple(found) or (Output(kind="docker"),)


def check_outputs(outputs: Iterable[Output], names: Sequence[str]) -> None:
    """Check, before anything is built, that results can go where they are to go.

    :raises UsageError: when one cannot.
    """
    from orchestra.cli.archives import target_of

    for output in outputs:
        if output.kind == "image" and output.push and not (output.names or names):
            raise UsageError("a result without a name cannot be pushed", hint="add --tag NAME")
        place = Path(output.destination)
        if output.kind == "local" or (output.kind == "oci" and not output.tar):
            if place.exists() and not place.is_dir():
                raise UsageError(f'cannot write to "{place}": it is no directory')
        elif output.destination:
            target_of("" if output.destination == "-" else output.destination)


def check_file(text: str) -> None:
    """Check that a file can be written, before anything is built.

    :raises UsageError: when there is no such directory, or the file is one.
    """
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise UsageError(f'cannot write "{path}": there is no directory "{path.parent}"')
    if path.is_dir():
        raise UsageError(f'cannot write "{path}": it is a directory')


def write_file(path: str, text: str) -> None:
    """Write a small file.

    :raises UsageError: when it cannot be written.
    """
    try:
        Path(path).write_text(text, "utf-8")
    except OSError as err:
        raise UsageError(f'cannot write "{path}": {(err.strerror or "").lower()}') from err


def with_cache(spec: BuildSpec, sources: Iterable[str], targets: Iterable[str]) -> BuildSpec:
    """Return a build with the caches of the command line.

    :raises UsageError: when one is none, or not supported.
    """
    from orchestra.planner.exchange import parse_cache_from, parse_cache_to

    here = str(Path.cwd())
    return replace(
        spec,
        cache_from=tuple(parse_cache_from(text, here) for text in sources),
        cache_to=tuple(parse_cache_to(text, here) for text in targets),
    )
