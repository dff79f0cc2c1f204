"""Cases made by chance, the same for the same seed: what nobody thought of writing down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from scripts.differential.case import Case

_FILES: Mapping[str, object] = {
    "a.txt": "a",
    "b.sh": {"text": "#!/bin/sh\n", "mode": "0o755"},
    "d/one": "1",
    "d/two.txt": "2",
    "d/deep/three": {"text": "3", "mode": "0o600"},
    "d/l": {"link": "one"},
    "e/": {"mode": "0o700"},
    "h1": "same",
    "h2": {"hardlink": "h1"},
    "l": {"link": "d"},
    "t.tar": {"archive": {"in/": {"mode": "0o750", "owner": [3, 4]}, "in/f": "f"}},
    "x y": "space",
    ".dockerignore": "*.md\nd/deep/*\n!d/deep/three\n",
    "r.md": "ignored",
}
_WORDS = (
    "plain", '"two words"', "'single $A'", '"in $A"', "$A", "${A:-none}", "${B:+set}", "${A#p}",
    "es\\ caped", '"quo\\"te"', "a=b", "é", '""', "${C-unset}", "\\$A", "pre${A}post",
)  # fmt: skip
_PLACES = (
    "/",
    "/new",
    "/new/",
    "/srv",
    "/srv/",
    "/srv/there/",
    "/tmp/x",
    "rel",
    "./rel/",
    ".",
    "/a b/",
)
_SOURCES = (
    "a.txt",
    "b.sh",
    "d",
    "d/",
    "d/.",
    "l",
    "l/one",
    "*.txt",
    "d/*",
    "h1 h2",
    ".",
    "[ab].*",
)
_KINDS = (
    "RUN", "RUN", "COPY", "COPY", "COPY", "ADD", "FROM", "ENV", "ENV", "ARG", "LABEL", "WORKDIR",
    "USER", "CMD", "ENTRYPOINT", "EXPOSE", "VOLUME", "HEALTHCHECK", "SHELL", "ONBUILD", "DOC",
)  # fmt: skip
_SHELL = (
    "echo $A > /tmp/said",
    "mkdir -p /made/deep && echo x > /made/deep/f",
    "rm -rf /srv/deep",
    "rm -rf /srv/deep && mkdir -p /srv/deep && echo n > /srv/deep/n",
    "mkdir -p /srv && echo y > /srv/one",
    "chmod 700 /tmp; chown 5:6 /home",
    "ln -sf /tmp /link",
    "pwd > /tmp/pwd; id -u > /tmp/uid; id -G > /tmp/groups",
    "env | grep -v -e OTEL -e TRACE | sort > /tmp/env",
    "mv /home /moved; true",
    "touch -d '2001-02-03 04:05:06' /tmp/old",
)


def generated(seed: int, amount: int) -> Iterator[Case]:
    """Make some cases."""
    for number in range(amount):
        chance = Random(f"{seed}-{number}")
        name = f"generated-{seed}-{number}"
        yield Case(name=name, text=_text(chance), place=Path("/nowhere"), files=_FILES)


def _text(chance: Random) -> str:
    lines: list[str] = []
    stages = chance.randint(1, 3)
    for stage in range(stages):
        bases = ["corpus.test/base", "corpus.test/rich", *(f"s{known}" for known in range(stage))]
        lines.append(f"FROM {chance.choice(bases)} AS s{stage}")
        lines += [_instruction(chance, stage) for _ in range(chance.randint(2, 9))]
    return "\n".join(lines) + "\n"


def _instruction(chance: Random, stage: int) -> str:
    kind = chance.choice(_KINDS)
    match kind:
        case "RUN":
            return f"RUN {chance.choice(_SHELL)}"
        case "COPY" | "ADD":
            return _copy(chance, kind)
        case "FROM":
            source = chance.choice(["corpus.test/rich", *(f"s{known}" for known in range(stage))])
            path = chance.choice(["/srv", "/etc/passwd", "/srv/*", "/tmp"])
            path = "/etc/group" if source == "corpus.test/rich" and path == "/srv/*" else path
            return f"COPY {_flags(chance)}--from={source} {path} {chance.choice(_PLACES[1:7])}"
        case "DOC":
            return f"COPY <<E /doc\n{chance.choice(_WORDS)}\nE"
        case "ENV" | "ARG" | "LABEL":
            pairs = [
                f"{chance.choice('ABC')}={chance.choice(_WORDS)}"
                for _ in range(chance.randint(1, 3))
            ]
            return f"{kind} {' '.join(pairs)}"
        case _:
            return f"{kind} {_other(chance, kind)}"


def _copy(chance: Random, kind: str) -> str:
    source = chance.choice([*_SOURCES, "t.tar"])
    place = chance.choice(_PLACES)
    if " " in place:
        return f"{kind} {json.dumps([*source.split(), place])}"
    return f"{kind} {_flags(chance)}{source} {place}"


def _flags(chance: Random) -> str:
    flags = ["--chown=bob ", "--chown=7:8 ", "--chmod=640 ", "--chmod=u+x,g=u ", "--exclude=none "]
    return chance.choice(["", "", "", *flags])


def _other(chance: Random, kind: str) -> str:
    choices = {
        "WORKDIR": ["/w", "w/x", "/srv/there", "../up", "$A", "/tmp/"],
        "USER": ["bob", "0", "1000:50", "root:staff", "7"],
        "CMD": ['["a", "b c"]', "echo $A", "[]", '["x"] y'],
        "ENTRYPOINT": ['["e"]', "exec $A", "[]"],
        "EXPOSE": ["80", "53/udp 8000-8002", "$C 1"],
        "VOLUME": ["/v", '["/tmp/x", "/new"]', "/a /b"],
        "HEALTHCHECK": ["NONE", "CMD true", '--interval=90s --retries=2 CMD ["t"]'],
        "SHELL": ['["/bin/sh", "-ec"]', '["/bin/sh", "-c"]'],
        "ONBUILD": ["RUN echo on > /tmp/on", "ENV ON=1", "COPY a.txt /tmp/onbuild"],
    }
    return chance.choice(choices[kind])
