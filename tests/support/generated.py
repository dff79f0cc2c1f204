"""Whole projects, generated: files to be merged, extended and interpolated (Hypothesis)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from hypothesis import strategies as st

NAMES = ("api", "db", "web")
ENVIRONMENT = {"ONE": "1", "WORD": "some", "EMPTY": "", "SPACED": "a b"}

words = st.sampled_from(["a", "b-c", "some", "x.y", "7", "on", "0x1f", "null", "~", "ä", "a: b"])
texts = st.one_of(
    words,
    st.sampled_from(
        [
            "${WORD}",
            "$ONE",
            "${NONE:-other}",
            "${EMPTY:-${WORD}}",
            "$$x",
            "${NONE-}",
            "{${WORD:+y}}",
        ]
    ),
)
scalars = st.one_of(texts, st.integers(-3, 99), st.booleans(), st.sampled_from([1.5, 0.25, 3e6]))
keys = st.sampled_from(["A", "B", "C_D", "e.f"])
sizes = st.sampled_from(["64m", "1gb", "1.5k", "1048576", "2mb"])
spans = st.sampled_from(["1s", "1m30s", "2h", "1.5s", "100ms", "0s", "1d"])
flags = st.one_of(st.booleans(), st.sampled_from(["true", "false"]))
paths = st.sampled_from(["/data", "/a/b", "/var/lib/x", "/d"])
sources = st.sampled_from(["./src", "../up", "/abs", "~/home", "data", "cache"])


def maps(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return mappings in both their forms."""
    pairs = st.dictionaries(keys, values, max_size=3)
    listed = st.lists(st.builds("{}={}".format, keys, words), max_size=3, unique=True)
    return st.one_of(pairs, listed)


def lists(values: st.SearchStrategy[object], most: int = 3) -> st.SearchStrategy[object]:
    """Return lists of distinct values."""
    return st.lists(values, max_size=most, unique_by=str)


def some(**optional: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Return mappings that have some of the keys."""
    return st.fixed_dictionaries({}, optional=optional)


_mounts = st.one_of(
    st.builds("{}:{}".format, sources, paths),
    st.builds("{}:{}:{}".format, sources, paths, st.sampled_from(["ro", "rw", "ro,z", "nocopy"])),
    paths,
    st.builds(
        lambda target, more: {"type": "bind", "source": "./long", "target": target, **more},
        paths,
        some(read_only=flags, bind=some(create_host_path=flags, propagation=st.just("rslave"))),
    ),
    st.builds(lambda target: {"type": "volume", "source": "data", "target": target}, paths),
    st.builds(
        lambda target, size: {"type": "tmpfs", "target": target, "tmpfs": {"size": size}},
        paths,
        sizes,
    ),
)
_ports = st.one_of(
    st.sampled_from(
        ["80", "8080:80", "127.0.0.1:81:81/udp", "9000-9002:90-92", "6000-6001:60", "[::1]:7:7"]
    ),
    st.integers(1, 99),
    st.builds(
        lambda target, more: {"target": target, **more},
        st.integers(1, 99),
        some(
            published=st.sampled_from(["8000", "8000-8010"]),
            protocol=st.sampled_from(["tcp", "udp"]),
            mode=st.just("host"),
            name=words,
        ),
    ),
)
_networks = st.one_of(
    lists(st.sampled_from(["front", "back", "default"])),
    some(
        front=st.one_of(st.none(), some(aliases=lists(words), ipv4_address=st.just("10.0.0.5"))),
        back=some(priority=st.integers(0, 9), mac_address=st.just("02:00:00:00:00:01")),
    ),
)
_references = lists(
    st.one_of(
        st.just("token"),
        st.builds(
            lambda more: {"source": "token", **more}, some(target=words, mode=st.just("0440"))
        ),
    ),
    1,
)
_builds = st.one_of(
    st.sampled_from([".", "./dir", "https://example.com/x.git"]),
    some(
        context=st.just("./dir"),
        dockerfile=words,
        args=maps(scalars),
        labels=maps(scalars),
        target=texts,
        cache_from=lists(words),
        tags=lists(words),
        no_cache=flags,
        shm_size=sizes,
        extra_hosts=lists(st.sampled_from(["a=1.2.3.4", "b:5.6.7.8"])),
    ),
)
_health = some(
    test=st.one_of(texts, st.just(["CMD", "true"]), st.just(["NONE"])),
    interval=spans,
    timeout=spans,
    retries=st.integers(0, 9),
    start_period=spans,
    disable=flags,
)
_limits = some(cpus=st.sampled_from(["0.5", 2]), memory=sizes, pids=st.integers(1, 99))
_deploy = some(
    replicas=st.integers(0, 3),
    labels=maps(scalars),
    mode=st.sampled_from(["global", "replicated"]),
    resources=some(limits=_limits, reservations=some(memory=sizes)),
    restart_policy=some(condition=st.just("any"), delay=spans, max_attempts=st.integers(0, 5)),
    update_config=some(parallelism=st.integers(0, 3), delay=spans, order=st.just("stop-first")),
    placement=some(constraints=lists(words)),
)
_ulimits = st.dictionaries(
    st.sampled_from(["nofile", "nproc"]),
    st.one_of(
        st.integers(1, 9),
        st.builds(lambda a, b: {"soft": a, "hard": b}, st.integers(1, 9), st.integers(9, 20)),
    ),
)
_hooks = st.lists(
    st.builds(
        lambda command, more: {"command": command, **more},
        st.one_of(texts, st.just(["a", "b"])),
        some(user=texts, environment=maps(scalars), privileged=flags),
    ),
    max_size=2,
)
_attributes = {
    "annotations": maps(scalars),
    "build": _builds,
    "cap_add": lists(st.sampled_from(["ALL", "KILL", "CHOWN"])),
    "command": st.one_of(st.none(), texts, st.just("a 'b c' \"d\""), lists(texts)),
    "configs": _references,
    "cpus": st.sampled_from([0.5, "1.5", 2]),
    "deploy": _deploy,
    "devices": lists(st.sampled_from(["/dev/a", "/dev/a:/dev/b", "/dev/a:/dev/b:r"])),
    "dns": st.one_of(st.just("1.1.1.1"), lists(st.sampled_from(["1.1.1.1", "8.8.8.8"]))),
    "entrypoint": st.one_of(texts, lists(texts)),
    "env_file": st.one_of(
        st.just("vars.env"), st.just([{"path": "vars.env"}, {"path": "no.env", "required": False}])
    ),
    "environment": maps(st.one_of(st.none(), scalars)),
    "expose": lists(st.sampled_from(["80", 81, "90-91"])),
    "extra_hosts": st.one_of(  # not "b:5.6.7.8" nor {}: it repeats the first and refuses to merge {}
        st.just(["a=1.2.3.4"]),
        st.just(["a=1.2.3.4", "c=::1"]),
        st.builds(lambda more: {"a": "1.2.3.4", **more}, some(b=st.just(["5.6.7.8", "::1"]))),
    ),
    "group_add": lists(st.sampled_from(["a", "7"])),
    "healthcheck": _health,
    "hostname": texts,
    "init": flags,
    "labels": maps(st.one_of(st.none(), scalars)),
    "logging": some(driver=st.sampled_from(["none", "local"]), options=st.just({"a": "b"})),
    "mem_limit": sizes,
    "networks": _networks,
    "pids_limit": st.integers(-1, 9),
    "ports": lists(_ports),
    "post_start": _hooks,
    "pre_start": _hooks,
    "profiles": lists(st.sampled_from(["tools", "debug"]), 1),
    "pull_policy": st.sampled_from(["always", "missing", "if_not_present", "daily", "every_2h"]),
    "read_only": flags,
    "restart": st.sampled_from(["always", "no", "on-failure:3"]),
    "secrets": _references,
    "security_opt": lists(words),
    "shm_size": sizes,
    "stop_grace_period": spans,
    "sysctls": maps(scalars),
    "tmpfs": st.one_of(paths, lists(paths)),
    "tty": flags,
    "ulimits": _ulimits,
    "user": texts,
    "volumes": lists(_mounts),
    "working_dir": texts,
    "x-mine": st.one_of(scalars, st.just({"a": [1, {"b": None}]})),
}
_top = {
    "networks": {"front": {"driver": "bridge", "labels": ["a=b"]}, "back": {"internal": True}},
    "volumes": {"data": None, "cache": {"name": "${WORD}-cache", "driver_opts": {"a": 1}}},
    "secrets": {"token": {"environment": "WORD"}},
    "configs": {"token": {"content": "is ${WORD}"}},
}


@dataclass(frozen=True, slots=True)
class Generated:
    """The files of a project, and the profiles it is read with."""

    files: Mapping[str, str]
    profiles: tuple[str, ...]


@st.composite
def _services(draw: st.DrawFn, names: tuple[str, ...], *, whole: bool) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in names:
        wanted = draw(st.lists(st.sampled_from(sorted(_attributes)), max_size=5, unique=True))
        service = {key: draw(_attributes[key]) for key in wanted}
        if whole:
            service["image"] = draw(st.sampled_from(["busybox", "a/b:${ONE}", "x@${WORD}"][:2]))
        found[name] = service
    return found


@st.composite
def projects(draw: st.DrawFn) -> Generated:
    """Return projects of two services and what they extend and depend on, in up to three files."""
    base = draw(_services(NAMES, whole=True))
    over = draw(
        _services(draw(st.lists(st.sampled_from(NAMES), unique=True).map(tuple)), whole=False)
    )
    web, api = base["web"], base["api"]
    assert isinstance(web, dict)
    assert isinstance(api, dict)
    other = draw(_services(("base",), whole=True))
    match draw(st.sampled_from(["none", "same", "file"])):
        case "same":
            web["extends"] = draw(st.sampled_from(["db", {"service": "db"}]))
        case "file":
            web["extends"] = {"file": "other/base.yaml", "service": "base"}
    needs = {"condition": "service_started", "required": False}
    api["depends_on"] = draw(st.sampled_from([[], ["db"], {"db": needs}]))
    files = {
        "compose.yaml": yaml.safe_dump({"services": base, **_top}, sort_keys=False),
        "over.yaml": yaml.safe_dump({"services": over} if over else {"x-none": 1}),
        "other/base.yaml": yaml.safe_dump({"services": other}),
        "vars.env": "FILE='of ${WORD}'\nSHARED=${WORD}\n",
        "other/vars.env": "FILE=other\n",
    }
    return Generated(files, draw(st.sampled_from([(), ("tools",), ("*",)])))
