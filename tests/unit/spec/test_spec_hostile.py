"""Projects made to hurt: refused or read within a second of CPU time and 200 MiB, and told briefly."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest
from support.hostile import (
    WEB,
    bomb,
    diamonds,
    extends_chain,
    extends_fan,
    extends_files,
    include_chain,
    merge_bomb,
    nested_anchors,
    text,
    tree,
    with_env_file,
    with_fifo,
)
from support.measured import Probe, Reading, measure

from orchestra.spec.reading import read_limited

CPU_SECONDS = 2.5
PEAK_MIB = 200.0
LONGEST_TEXT = 200_000
READ = "(read)"

TWELVE = "".join(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}${{A{n - 1}}}\n" for n in range(1, 40))

# what is written, and a part of what is said; READ where it is a project all the same
TABLE = {
    "alias-lists": (text(bomb("[", "]", "[x]") + WEB), "expands to more than"),
    "alias-maps": (text(bomb("{", "}", "{q: 1}") + WEB), "expands to more than"),
    "alias-merges": (text(merge_bomb(13) + WEB), READ),
    "alias-long-text": (
        text(f"x-s: &s {'y' * 300_000}\n{WEB}    dns_opt: [{', '.join(['*s'] * 1000)}]\n"),
        "aliases expand to more than 16 MiB",
    ),
    "alias-inside": (text(nested_anchors(95) + WEB), READ),
    "alias-chain": (
        text("x-0: &a0 [x]\n" + "".join(f"x-{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000)) + WEB),
        "nested deeper",
    ),
    "alias-name": (text("x-a: *" + "t" * 1_000_000 + "\n" + WEB), "names no anchor"),
    "alias-documents": (text((bomb("[", "]", "[x]", levels=5) + WEB + "---\n") * 40), "expands to more"),
    "alias-included": (
        tree({"compose.yaml": "include: [b.yaml]\n" + WEB, "b.yaml": bomb("[", "]", "[x]")}), "b.yaml:"
    ),
    "alias-extended": (
        tree({
            "compose.yaml": WEB + "    extends: {service: a, file: b.yaml}\n", "b.yaml": bomb("[", "]", "[x]")
        }),
        "b.yaml:",
    ),
    "deep-flow": (text("x: " + "[" * 200_000), "nested deeper"),
    "deep-map": (text("x: " + "{a: " * 200_000), "nested deeper"),
    "deep-block": (text("x:\n" + "".join(" " * n + "a:\n" for n in range(1, 1500))), "nested deeper"),
    "deep-dashes": (text("- " * 100_000), "nested deeper"),
    "deep-keys": (text("? " * 100_000), ""),
    "huge-text": (text(WEB + "    user: " + "x" * 4_000_000 + "\n"), READ),
    "huge-command": (text(WEB + '    command: "' + "x" * 4_000_000 + '"\n'), "longer than 256 KiB"),
    "huge-key": (text(WEB + "    ? " + "k" * 1_000_000 + "\n    : 1\n"), "unknown key"),
    "huge-top-key": (text("? " + "k" * 1_000_000 + "\n: 1\n" + WEB), "unknown key"),
    "huge-service": (text("services:\n  ? " + "k" * 1_000_000 + "\n  : {tty: maybe}\n"), "true or false"),
    "huge-port": (text(WEB + "    ports: ['" + "8" * 3_000_000 + "']\n"), "no port"),
    "huge-mount": (text(WEB + "    volumes: ['" + ":" * 900_000 + "']\n"), "colons"),
    "huge-mount-options": (text(WEB + "    volumes: ['/a:/b:" + "x," * 500_000 + "']\n"), READ),
    "huge-image": (text(WEB.replace("nginx", "a-" * 1_000_000 + "!")), "not an image reference"),
    "huge-tag": (text(WEB + "    user: !" + "t" * 1_000_000 + " x\n"), "tag"),
    "huge-enum": (text(WEB + "    cgroup: " + "hots" * 100_000 + "\n"), '"host"'),
    "huge-number": (text(WEB + "    scale: " + "9" * 1_000_000 + "\n"), "a whole number"),
    "huge-file": (text(WEB + "#" * 17_000_000), "larger than 16 MiB"),
    "many-keys": (text(WEB + "    environment:\n" + "".join(f"      K{n}: v\n" for n in range(15_000))), READ),
    "many-unknown": (text(WEB + "".join(f"k{n}: v\n" for n in range(20_000))), "more errors than these 200"),
    "many-bad": (text(WEB + "    ports: [" + ", ".join(["x"] * 50_000) + "]\n"), "no port"),
    "many-unset": (text(WEB + "    user: '" + " ".join(f"$N{n}" for n in range(50_000)) + "'\n"), READ),
    "many-missing": (
        text(
            "services:\n"
            + "".join(f"  s{n}: {{image: x, depends_on: [z{n}], networks: [y{n}]}}\n" for n in range(1000))
        ),
        "more errors",
    ),
    "many-hosts": (text(WEB + "    extra_hosts: [" + ", ".join(f"a=1.1.1.{n}" for n in range(9000)) + "]\n"), READ),
    "nul": (text(WEB + "\0"), "NUL"),
    "nul-env-file": (text(WEB + '    env_file: "a\\0b"\n'), "cannot read env file"),
    "nul-include": (text('include: ["a\\0b"]\n' + WEB), "cannot include"),
    "nul-extends": (text(WEB + '    extends: {service: a, file: "a\\0b"}\n'), "cannot read"),
    "nul-directory": (text('include: [{path: compose.yaml, project_directory: "a\\0b"}]\n' + WEB), "circle"),
    "half-character": (text(WEB + '    env_file: "a\\ud800b"\n'), "cannot parse"),
    "latin-1": (text(WEB.encode() + b"    user: \xe9\n"), "not UTF-8"),
    "utf-16": (text(WEB.encode("utf-16")), "not UTF-8"),
    "utf-32": (text(WEB.encode("utf-32")), "not UTF-8"),
    "utf-16-no-mark": (text(WEB.encode("utf-16-be")), "NUL"),
    "byte-order-mark": (text("\ufeff" + WEB), READ),
    "control": (text(WEB + "    user: \x07\n"), "control character"),
    "escape-key": (text(WEB + '    "\\e[31m\\e]0;x\\a\\u009b": 1\n'), "unknown key"),
    "escape-service": (text('services: {"w\\e[31m\\r": {tty: maybe}}\n'), "is no name"),
    "escape-image": (text(WEB.replace("nginx", '"a\\e[31m b"')), "not an image reference"),
    "long-path": (text(WEB + "    env_file: " + "a/" * 100_000 + "\n"), "cannot read env file"),
    "long-include": (text("include: [" + "a/" * 100_000 + "]\n" + WEB), "cannot include"),
    "long-extends": (text(WEB + "    extends: {service: a, file: " + "a/" * 9000 + "}\n"), "cannot read"),
    "numbers": (
        text(WEB + "    mem_limit: 9e99\n    cpus: 1e308\n    pids_limit: 0x" + "f" * 30 + "\n"), "64 bits"
    ),
    "durations": (text(WEB + "    stop_grace_period: 99999999999999999999h\n"), "a duration"),
    "not-numbers": (text(WEB + "    cpu_percent: .nan\n    mem_limit: .inf\n    scale: .nan\n"), "a whole number"),
    "ports-wide": (text(WEB + '    ports: ["1-99999999999"]\n'), "no port"),
    "ports-all": (text(WEB + '    ports: ["1-65535:1-65535"]\n'), "more than 50000"),
    "ports-everywhere": (
        text("services:\n" + "".join(f'  s{n}: {{image: x, ports: ["1-20000:1-20000"]}}\n' for n in range(1000))),
        "more than 50000",
    ),
    "nested-variables": (text(WEB + '    user: "' + "${A:-" * 10_000 + "}" * 10_000 + '"\n'), "nested deeper"),
    "open-variables": (text(WEB + '    user: "' + "${" * 100_000 + '"\n'), "not closed"),
    "dollars": (text(WEB + '    user: "' + "$" * 1_000_000 + '"\n'), READ),
    "growing-variable": (
        tree({"compose.yaml": WEB + '    user: "' + "$BIG" * 500_000 + '"\n'}, env={"BIG": "x" * 100_000}),
        "longer than 4 MiB",
    ),
    "growing-document": (
        tree({"compose.yaml": WEB + f"    dns_opt: [{', '.join(['$BIG'] * 5000)}]\n"}, env={"BIG": "x" * 100_000}),
        "longer than 16 MiB",
    ),
    "growing-env": (tree({"compose.yaml": WEB, ".env": "A0=xxxxxxxxxx\n" + TWELVE}), "longer than"),
    "env-quotes": (tree({"compose.yaml": WEB, ".env": "A='\n" * 100_000 + "B='"}), ""),
    "env-name": (tree({"compose.yaml": WEB, ".env": "a" * 1_000_000 + "!"}), "no variable's name"),
    "env-blank": (tree({"compose.yaml": WEB, ".env": " " * 1_000_000 + "!"}), "no variable's name"),
    "env-comments": (tree({"compose.yaml": WEB, ".env": "#\n" * 400_000 + "!"}), "no variable's name"),
    "env-binary": (tree({"compose.yaml": WEB, ".env": bytes(range(1, 256)) * 1000}), "not UTF-8"),
    "env-huge": (tree({"compose.yaml": WEB, ".env": b"A=x\n" * 500_000}), "larger than 1 MiB"),
    "env-endless": (text(WEB + "    env_file: /dev/zero\n"), "larger than 1 MiB"),
    "env-nothing": (text(WEB + "    env_file: /dev/null\n"), READ),
    "env-directory": (text(WEB + "    env_file: .\n"), "is a directory"),
    "env-pipe": (with_fifo("pipe", text(WEB + "    env_file: pipe\n")), "pipe to which nobody writes"),
    "env-many": (
        tree({
            "compose.yaml": "services:\n" + "".join(f"  s{n}: {{image: x, env_file: e}}\n" for n in range(1000)),
            "e": "".join(f"A{n}=1\n" for n in range(3000)),
        }),
        "more than 500000 variables",
    ),
    "label-pipe": (with_fifo("pipe", text(WEB + "    label_file: pipe\n")), "pipe to which nobody writes"),
    "option-pipe": (with_env_file("pipe", with_fifo("pipe", text(WEB))), "pipe to which nobody writes"),
    "option-directory": (with_env_file(".", text(WEB)), "is a directory"),
    "option-endless": (with_env_file("/dev/zero", text(WEB)), "larger than 1 MiB"),
    "file-pipe": (with_fifo("p.yaml", tree({}, "p.yaml")), "pipe to which nobody writes"),
    "file-directory": (tree({"d.yaml/x": ""}, "d.yaml"), "directory"),
    "file-endless": (tree({}, "/dev/zero"), "larger than 16 MiB"),
    "include-pipe": (with_fifo("pipe", text("include: [pipe]\n" + WEB)), "pipe to which nobody writes"),
    "include-endless": (text("include: [/dev/zero]\n" + WEB), "larger than 16 MiB"),
    "include-directory": (text("include: [.]\n" + WEB), "directory"),
    "include-itself": (text("include: [./a/../compose.yaml]\n" + WEB), "circle"),
    "include-itself-second": (
        tree({"compose.yaml": "include: [{path: [b.yaml, compose.yaml]}]\n" + WEB, "b.yaml": "name: b\n"}),
        "circle",
    ),
    "include-diamonds": (tree(diamonds(30)), READ),
    "include-chain": (tree(include_chain(300)), "levels deep"),
    "include-often": (
        tree({"compose.yaml": "include: [" + ", ".join(["b.yaml"] * 5000) + "]\n" + WEB, "b.yaml": WEB}), READ
    ),
    "include-much": (
        tree({
            "compose.yaml": "include: [" + ", ".join(["b.yaml"] * 200) + "]\n" + WEB,
            "b.yaml": WEB + "    environment: [" + ", ".join(f"K{n}=1" for n in range(8000)) + "]\n",
        }),
        "adds up to more than 300000",
    ),
    "extends-pipe": (with_fifo("pipe", text(WEB + "    extends: {service: a, file: pipe}\n")), "cannot read"),
    "extends-endless": (text(WEB + "    extends: {service: a, file: /dev/zero}\n"), "cannot read"),
    "extends-itself": (text(WEB + "    extends: web\n"), "circle"),
    "extends-chain": (text(extends_chain(1500)), READ),
    "extends-files": (tree(extends_files(300)), READ),
    "extends-much": (text(extends_fan(2000, 400)), "adds up to more than 250000"),
}  # fmt: skip


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reading]:
    """Every project, measured in processes of their own."""
    probes: dict[str, Probe] = {}
    for name, (builder, _) in TABLE.items():
        directory = tmp_path_factory.mktemp(name)
        probes[name] = builder(directory)
    return dict(zip(probes, measure(list(probes.values())), strict=True))


@pytest.mark.parametrize("name", TABLE)
def test_what_is_made_to_hurt_is_cheap(name: str, readings: dict[str, Reading]) -> None:
    reading, expected = readings[name], TABLE[name][1]
    assert reading.outcome == ("read" if expected == READ else "refused")
    assert expected == READ or expected in reading.text
    assert reading.cpu_seconds < CPU_SECONDS
    assert reading.peak_mib < PEAK_MIB
    assert len(reading.text) < LONGEST_TEXT
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", reading.text)


def test_a_pipe_that_somebody_writes_to_is_read(tmp_path: Path) -> None:
    ours, theirs = os.pipe()

    def write() -> None:
        for part in (b"A=", b"1\n"):
            os.write(theirs, part)
        os.close(theirs)

    writer = threading.Thread(target=write)
    writer.start()
    content = read_limited(f"/dev/fd/{ours}", 100)
    writer.join()
    os.close(ours)
    assert content == b"A=1\n"
