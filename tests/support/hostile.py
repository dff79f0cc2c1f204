"""Projects that somebody made to hurt: each is a few files, and is to be refused or read cheaply."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from support.measured import Probe

WEB = "services:\n  web:\n    image: nginx\n"
Builder = Callable[[Path], Probe]


def text(content: str | bytes) -> Builder:
    """Return what makes a project of one file."""
    return tree({"compose.yaml": content})


def tree(files: dict[str, str | bytes], *names: str, env: dict[str, str] | None = None) -> Builder:
    """Return what makes a project of several files, of which the command line names some."""

    def build(directory: Path) -> Probe:
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            (directory / name).write_bytes(data)
        return Probe(str(directory), names, (), env)

    return build


def with_fifo(name: str, builder: Builder) -> Builder:
    """Return a builder that also makes a pipe to which nobody writes."""

    def build(directory: Path) -> Probe:
        os.mkfifo(directory / name)
        return builder(directory)

    return build


def with_env_file(name: str, builder: Builder) -> Builder:
    """Return a builder of a project that is loaded with --env-file."""

    def build(directory: Path) -> Probe:
        return replace(builder(directory), env_files=(name,))

    return build


def bomb(opening: str, closing: str, first: str, *, levels: int = 12, width: int = 9) -> str:
    """Return anchors each of which names the one before several times."""
    lines = [f"x-0: &a0 {first}\n"]
    for level in range(1, levels):
        inside = ", ".join(
            f"k{index}: *a{level - 1}" if opening == "{" else f"*a{level - 1}"
            for index in range(width)
        )
        lines.append(f"x-{level}: &a{level} {opening}{inside}{closing}\n")
    return "".join(lines)


def merge_bomb(levels: int, width: int = 9) -> str:
    """Return mappings that merge in the one before, several times each."""
    lines = ["x-0: &a0 {q: 1}\n"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"x-{level}: &a{level} {{<<: [{inside}], k{level}: 1}}\n")
    return "".join(lines)


def growing_merges(count: int) -> str:
    """Return mappings each of which merges in all that came before."""
    lines = ["x-0: &a0 {q: 1}\n"]
    lines += [f"x-{n}: &a{n} {{<<: *a{n - 1}, k{n}: 1}}\n" for n in range(1, count)]
    return "".join(lines)


def nested_anchors(depth: int) -> str:
    """Return anchors inside anchors, and an alias for each."""
    opened = "".join(f"&n{level} [" for level in range(depth))
    aliases = ", ".join(f"*n{level}" for level in range(depth))
    return f"x-a: {opened}x{']' * depth}\nx-b: [{aliases}]\n"


def diamonds(levels: int, key: str = "include") -> dict[str, str | bytes]:
    """Return files each of which takes in the next level's two, which take in the same two."""
    files: dict[str, str | bytes] = {}
    for level in range(levels):
        for side in "ab":
            below = f"include: [a{level + 1}.yaml, b{level + 1}.yaml]\n"
            files[f"{side}{level}.yaml"] = below if level < levels - 1 else "x-end: 1\n"
    files["compose.yaml"] = "include: [a0.yaml, b0.yaml]\n" + WEB
    return files


def include_chain(count: int) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {
        f"i{n}.yaml": f"include: [i{n + 1}.yaml]\n" for n in range(count)
    }
    files[f"i{count}.yaml"] = "services: {end: {image: x}}\n"
    files["compose.yaml"] = "include: [i0.yaml]\n" + WEB
    return files


def extends_chain(count: int) -> str:
    services = [f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(count)]
    return "services:\n" + "".join(services) + f"  s{count}: {{image: x}}\n"


def extends_files(count: int) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {
        f"e{n}.yaml": f"services: {{s: {{extends: {{file: e{n + 1}.yaml, service: s}}}}}}\n"
        for n in range(count)
    }
    files[f"e{count}.yaml"] = "services: {s: {image: x}}\n"
    files["compose.yaml"] = "services: {s: {extends: {file: e0.yaml, service: s}}}\n"
    return files


def extends_fan(levels: int, width: int) -> str:
    """Return services of which each extends one with many attributes, over and over."""
    body = "".join(f"      K{n}: v\n" for n in range(width))
    services = "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(levels))
    return f"services:\n{services}  s{levels}:\n    image: x\n    environment:\n{body}"
