"""Hypothesis strategies: whole projects in short and long forms, all of them valid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

from orchestra.spec.document import dump_yaml
from orchestra.spec.loader import LoadOptions, load_project, render_project
from orchestra.spec.model.project import Project
from orchestra.spec.tree import Value

Tree = dict[str, Value]
Strategy = st.SearchStrategy[Value]

TRICKY = (
    "", " ", "yes", "No", "on", "null", "~", "017", "0o17", "0x1F", "1_000", "1e3", "1.50", ".inf",
    "22:22", "12:30:45", "2001-01-01", "-", "- a", "a: b", "a #b", "#", "'", '"', "\\", "{a}", "[a",
    "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "a\nb", "a\n", "\na", " a", "a ", "\ta", "=", "<<",
    "$$", "$$A", "$${A}", "ü\u00a0", "\u2028", "\U0001f600", "a\n\n b\n", "true", "? a", "--- a",
)  # fmt: skip
TEXTS = st.sampled_from(TRICKY) | st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff"),
    max_size=8,
).map(lambda text: text.replace("$", "$$"))
WORDS = st.from_regex(r"[a-z][a-z0-9]{0,3}([_.-][a-z0-9]{1,3})?", fullmatch=True)
SCALARS = TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.just(0.5)
NAMES = ("web", "db", "cache", "job-1")


def lists(inner: Strategy, *, least: int = 0) -> Strategy:
    return st.lists(inner, min_size=least, max_size=3, unique_by=repr).map(list[Value])


def maps(keys: st.SearchStrategy[str], values: Strategy) -> Strategy:
    return st.dictionaries(keys, values, max_size=3).map(dict[str, Value])


def pairs(*, nulls: bool) -> Strategy:
    """Draw KEY=VALUE as a mapping or as a list."""
    values = SCALARS | st.none() if nulls else SCALARS
    items = st.tuples(WORDS, TEXTS).map(lambda pair: f"{pair[0]}={pair[1]}")
    return maps(WORDS, values) | lists(items)


def keyed(required: Mapping[str, Strategy], optional: Mapping[str, Strategy]) -> Strategy:
    return st.fixed_dictionaries(dict(required), optional=dict(optional)).map(dict[str, Value])


COMMANDS = st.none() | st.sampled_from(["a 'b c' \"d\"", "sh -c x"]) | lists(TEXTS)
DURATIONS: Strategy = st.sampled_from(["1m30s", "1.5s", "2h", "100ms", "0s", "1h0m1s"])
SIZES: Strategy = st.sampled_from(["50m", "1gb", "1.5g", "1024", 4096, "10kb"])
PORTS: Strategy = st.sampled_from(
    ["80", 81, "8000:80", "127.0.0.1:8001:80/udp", "9000-9002:90-92", "[::1]:70:70", "6000-6001:60"]
) | keyed(
    {"target": st.integers(1, 65535)},
    {"published": st.sampled_from(["100-110", "90", 91]), "protocol": st.just("udp")},
)
MOUNTS: Strategy = st.sampled_from(
    ["/anon", "data:/data", "./src:/src:ro", "/abs:/abs:z,rshared", "~/h:/h", "data:/data2:nocopy"]
) | st.sampled_from(["/t1", "/t2"]).flatmap(
    lambda target: keyed(
        {"type": st.just("tmpfs"), "target": st.just(target)},
        {"tmpfs": keyed({}, {"size": SIZES, "mode": st.just("1777")})},
    )
)


def _targets(mounts: Value) -> tuple[str, ...]:
    assert isinstance(mounts, list)
    return tuple(
        str(mount["target"]) if isinstance(mount, dict) else str(mount).split(":")[-1]
        for mount in mounts
    )


HEALTH = keyed(
    {"test": TEXTS | lists(TEXTS).map(lambda words: ["CMD", *_list(words)])},
    {"interval": DURATIONS, "retries": st.integers(0, 9), "start_period": DURATIONS},
)
HOSTS: Strategy = maps(WORDS, st.sampled_from(["1.2.3.4", "::1"])) | lists(
    st.sampled_from(["a=1.2.3.4", "b:::1", "c=[::1]", "a=5.6.7.8"])
)


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


BUILD = st.just("./ctx") | keyed(
    {"context": st.sampled_from([".", "./ctx", "https://example.com/x.git"])},
    {
        "args": pairs(nulls=False), "target": WORDS, "labels": pairs(nulls=False),
        "extra_hosts": HOSTS, "tags": lists(WORDS), "shm_size": SIZES, "no_cache": st.booleans(),
    },
)  # fmt: skip
DEPLOY = keyed(
    {},
    {
        "labels": pairs(nulls=False),
        "resources": keyed(
            # no memory: there only text is a size, so that its bytes are not read a second time
            {},
            {"reservations": keyed({}, {"cpus": st.sampled_from(["0.5", 2])})},
        ),
        "restart_policy": keyed({}, {"delay": DURATIONS, "max_attempts": st.integers(0, 9)}),
    },
)
ATTRIBUTES: Mapping[str, Strategy] = {
    "annotations": pairs(nulls=False), "build": BUILD, "cap_add": lists(WORDS), "command": COMMANDS,
    "cpus": st.sampled_from([0.5, "1.5", 2]), "deploy": DEPLOY,
    "devices": lists(st.sampled_from(["/dev/a", "/dev/b:/dev/c", "/dev/d:/dev/e:r"])),
    "dns": st.just("1.1.1.1") | lists(st.sampled_from(["8.8.8.8", "9.9.9.9"])),
    "entrypoint": COMMANDS, "environment": pairs(nulls=True), "expose": lists(st.integers(1, 9)),
    "extra_hosts": HOSTS, "group_add": lists(WORDS | st.integers(1, 9).map(str)), "healthcheck": HEALTH,
    "hostname": WORDS, "init": st.booleans(), "labels": pairs(nulls=False),
    "logging": keyed({}, {"driver": WORDS, "options": maps(WORDS, TEXTS)}), "mem_limit": SIZES,
    "networks": st.just(["front"]) | keyed(
        {"back": st.none() | keyed({}, {"aliases": lists(WORDS), "priority": st.integers(1, 9)})}, {}
    ),
    "ports": lists(PORTS), "privileged": st.booleans(), "restart": WORDS,
    "secrets": lists(st.just("token") | keyed({"source": st.just("token")}, {"mode": st.just("0440")})),
    "security_opt": lists(WORDS), "stop_grace_period": DURATIONS, "sysctls": pairs(nulls=False),
    "tmpfs": st.just("/run") | lists(st.just("/tmp:size=1m")), "tty": st.booleans(),
    "ulimits": maps(st.sampled_from(["nofile", "nproc"]), st.integers(1, 9)), "user": WORDS,
    "volumes": st.lists(MOUNTS, max_size=3).map(list[Value]).filter(
        lambda mounts: len(set(_targets(mounts))) == len(_targets(mounts))
    ),
    "working_dir": WORDS, "x-own": maps(WORDS, TEXTS),
}  # fmt: skip


def services(*names: str) -> st.SearchStrategy[Tree]:
    """Draw a few attributes of a service that has an image; or only those that are named."""
    chosen = {name: ATTRIBUTES[name] for name in names or ATTRIBUTES}
    return st.lists(st.sampled_from(sorted(chosen)), unique=True, max_size=6).flatmap(
        lambda keys: st.fixed_dictionaries(
            {"image": WORDS, **{key: chosen[key] for key in keys}}
        ).map(dict[str, Value])
    )


@st.composite
def projects(draw: st.DrawFn) -> Tree:
    """Draw a project: services that wait for earlier ones, in profiles; every kind of resource."""
    found: Tree = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)):
        service = draw(services())
        if found and draw(st.booleans()):
            others = draw(st.lists(st.sampled_from(sorted(found)), unique=True))
            waits = st.just(list[Value](others)) | st.just(
                {other: {"condition": "service_healthy"} for other in others}
            )
            service["depends_on"] = draw(waits)
        found[name] = service
    return {
        "services": found,
        "networks": {"front": None, "back": draw(keyed({}, {"internal": st.booleans()}))},
        "volumes": {"data": draw(st.none() | keyed({}, {"labels": pairs(nulls=False)}))},
        "secrets": {"token": {"environment": "TOKEN"}},
        "x-top": draw(TEXTS | lists(SCALARS)),
    }


def write(tree: Value, path: Path) -> None:
    """Write a tree as a file, flow style: another writer than the one under test."""
    text = json.dumps(tree, ensure_ascii=False)
    path.write_text(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def load(directory: Path, *files: str, profiles: tuple[str, ...] = ()) -> Project:
    options = LoadOptions(files=files, profiles=profiles, project_name="laws")
    return load_project(options, {"HOME": "/h", "TOKEN": "t"}, directory)


def shown(project: Project) -> str:
    return dump_yaml(render_project(project))
