"""Override rules: what becomes of an attribute that two files set (compose-spec 13-merge.md).

Mappings merge, lists append what is new, scalars are replaced, with the exceptions of two tables:
how a place merges, and what makes two items of a list the same. Works on canonical trees only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath, PathTable
from orchestra.spec.shapes import kind, scalar
from orchestra.spec.shorthand import clean
from orchestra.spec.tree import (
    SINGLE,
    Mark,
    MarkedList,
    MarkedMap,
    Value,
    copy,
    entries,
    items,
    lookup,
    mapping,
    shallow,
)

Merger = Callable[[Value, Value], Value]
Identity = Callable[[Value], str]


def merge(base: Value, over: Value, findings: Findings, path: KeyPath = ()) -> Value:
    """Return ``base`` overridden by ``over``; neither is changed. Conflicts of kind are noted."""
    return unique(_merge(base, over, findings, (path, None), _mergers_at(path)), path)


def _merge(
    base: Value,
    over: Value,
    findings: Findings,
    where: tuple[KeyPath, Mark | None],
    mergers: PathTable[Merger] | None,
) -> Value:
    rule = mergers.rule if mergers is not None else None
    if over is None and rule is not _replace:
        return base
    if base is None:
        return over
    if rule is not None:
        return rule(base, over)
    if isinstance(base, dict) and isinstance(over, dict):
        return _merge_maps(base, over, findings, where[0], mergers)
    if isinstance(base, list) and isinstance(over, list):
        return _union(base, over)
    if RAW_SEQUENCES.at(where[0]):
        return _union(_sequence(base), _sequence(over))
    if isinstance(base, dict | list):
        message = f"cannot override {kind(base)} by {kind(over)}"
        findings.add(message, *where, hint="give both files the same form, or use !override")
        return base
    return over


def _merge_maps(
    base: dict[str, Value],
    over: dict[str, Value],
    findings: Findings,
    path: KeyPath,
    mergers: PathTable[Merger] | None,
) -> MarkedMap:
    result = shallow(base)
    for key, value, mark in entries(over):
        if key not in result:
            result.put(key, value, mark)
            continue
        below = mergers.step(key) if mergers is not None else None
        merged = _merge(result[key], value, findings, ((*path, key), mark), below)
        result.put(key, merged, mark)
    return result


def _copied(value: Value) -> MarkedList:
    result = MarkedList()
    for entry, mark in items(value):
        result.add(entry, mark)
    return result


def _sequence(value: Value) -> Value:
    """Return a mapping as the sorted list of KEY=VALUE that means the same, a text as a list."""
    if not isinstance(value, dict):
        return value if isinstance(value, list) else MarkedList([value])
    result = MarkedList()
    for key, entry, mark in sorted(entries(value), key=lambda each: each[0]):
        for one in entry if isinstance(entry, list) else [entry]:
            result.add(key if one is None else f"{key}={scalar(one)}", mark)
    return result


def _chain(base: Value, over: Value) -> Value:
    """Append what is new, and what is not but takes its target back from something new."""
    result = _copied(base)
    taken: set[str] = set()
    for entry, mark in items(over):
        target = f"{lookup(entry, 'target')} {lookup(entry, 'path')}"
        if entry not in result or target in taken:
            result.add(entry, mark)
            taken.add(target)
    return result


def _replace(_base: Value, over: Value) -> Value:
    return over


def _merge_logging(base: Value, over: Value) -> Value:
    before, after = lookup(base, "driver"), lookup(over, "driver")
    if None not in {before, after} and before != after:
        return over
    return _merge(base, over, Findings(), ((), None), None)


def _union(base: Value, over: Value) -> Value:
    result = _copied(base)
    texts = {value for value in result if isinstance(value, str)}
    for value, mark in items(over):
        if value in texts if isinstance(value, str) else value in result:
            continue
        result.add(value, mark)
        if isinstance(value, str):
            texts.add(value)
    return result


def _merge_ulimit(base: Value, over: Value) -> Value:
    """Merge the two numbers of a ulimit, but for one that is written as a single number."""
    if SINGLE in mapping(base) or SINGLE in mapping(over):
        return over
    return _merge(base, over, Findings(), ((), None), None)


def _merge_pools(base: Value, over: Value) -> Value:
    result = _copied(base)
    places: dict[str, int] = {}
    for index, pool in enumerate(result):
        places.setdefault(str(lookup(pool, "subnet")), index)
    for pool, mark in items(over):
        subnet = str(lookup(pool, "subnet"))
        if subnet in places:
            known = result[places[subnet]]
            result[places[subnet]] = _merge(known, pool, Findings(), ((), None), None)
        else:
            places[subnet] = len(result)
            result.add(pool, mark)
    return result


MERGERS: PathTable[Merger] = PathTable(
    (
        ("{services,jobs}.*.{command,entrypoint}", _replace),
        ("{services,jobs}.*.environment.*", _replace),
        ("{services,jobs}.*.build.args.*", _replace),
        ("{services,jobs}.*.healthcheck.test", _replace),
        ("{services,jobs}.*.ulimits.*", _merge_ulimit),
        ("{services,jobs}.*.build.ulimits.*", _merge_ulimit),
        ("{services,jobs}.*.logging", _merge_logging),
        ("{services,jobs}.*.extra_hosts.*", _union),
        ("{services,jobs}.*.build.extra_hosts.*", _union),
        ("{services,jobs}.*.{volumes,devices,secrets,configs,ports,env_file}", _chain),
        ("networks.*.ipam.config", _merge_pools),
    )
)


def replaces(path: KeyPath) -> bool:
    """Tell whether a later file replaces the whole of what stands at a path."""
    return MERGERS.at(path) is _replace


_PAIRS = "{environment,labels,annotations,sysctls,extra_hosts}"
RAW_SEQUENCES = PathTable(
    (
        (f"services.*.{_PAIRS}", True),
        ("services.*.build.{args,labels,extra_hosts}", True),
        ("services.*.deploy.labels", True),
        ("{networks,volumes}.*.labels", True),
        ("services.*.{tmpfs,dns_search,dns_opt}", True),
    )
)
"""What may have two forms in a tree that was not normalized, and becomes a list when they meet."""


def _mergers_at(path: KeyPath) -> PathTable[Merger] | None:
    table: PathTable[Merger] | None = MERGERS
    for key in path:
        table = table.step(key) if table is not None else None
    return table


def _itself(value: Value) -> str:
    return str(value)


def _before_equals(value: Value) -> str:
    return str(value).partition("=")[0]


def _target(value: Value) -> str:
    return clean(str(lookup(value, "target"))) if isinstance(value, dict) else str(value)


def _file_target(prefix: str) -> Identity:
    def identity(value: Value) -> str:
        return str(lookup(value, "target") or f"{prefix}/{lookup(value, 'source')}")

    return identity


def _port(value: Value) -> str:
    if not isinstance(value, dict):
        return str(value)
    host = lookup(value, "host_ip") or "0.0.0.0"  # noqa: S104
    published, target = lookup(value, "published"), lookup(value, "target")
    return f"{host}:{published}:{target}/{lookup(value, 'protocol') or 'tcp'}"


def _path(value: Value) -> str:
    return str(lookup(value, "path"))


IDENTITIES: PathTable[Identity] = PathTable(
    (
        (
            "services.*.{dns,dns_opt,dns_search,cap_add,cap_drop,links,tmpfs,profiles}",
            _before_equals,
        ),
        ("services.*.build.tags", _before_equals),
        ("services.*.{environment,labels,annotations,sysctls}", _before_equals),
        ("services.*.build.{args,labels}", _before_equals),
        ("services.*.deploy.labels", _before_equals),
        ("services.*.extra_hosts", _itself),
        ("services.*.build.extra_hosts", _itself),
        ("services.*.networks.*.{aliases,link_local_ips}", _before_equals),
        ("services.*.expose", _itself),
        ("services.*.{volumes,devices}", _target),
        ("services.*.secrets", _file_target("/run/secrets")),
        ("services.*.configs", _file_target("")),
        ("services.*.ports", _port),
        ("services.*.env_file", _path),
    )
)


def _subnet(value: Value) -> str:
    return str(lookup(value, "subnet"))


MERGED_ITEMS: PathTable[Identity] = PathTable((("networks.*.ipam.config", _subnet),))
"""Lists whose items are merged with their like of another file, not replaced by it."""


def unique(tree: Value, path: KeyPath = ()) -> Value:
    """Return the tree without list items that a later one redefines; the first's place stays."""
    table: PathTable[Identity] | None = IDENTITIES
    for key in path:
        table = table.step(key) if table is not None else None
    return _unique(tree, table)


def _unique(value: Value, table: PathTable[Identity] | None) -> Value:
    if table is None:
        return value
    if isinstance(value, list) and table.rule is not None:
        return _without_repeats(value, table.rule)
    if isinstance(value, dict):
        result = MarkedMap()
        for key, entry, mark in entries(value):
            result.put(key, _unique(entry, table.step(key)), mark)
        return result
    return value


def _without_repeats(value: list[Value], identity: Identity) -> MarkedList:
    result = MarkedList()
    places: dict[str, int] = {}
    for entry, mark in items(value):
        name = identity(entry)
        if name in places:
            result[places[name]] = entry
            result.marks[places[name]] = mark
        else:
            places[name] = len(result)
            result.add(entry, mark)
    return result


def reset(tree: Value, paths: Sequence[KeyPath]) -> Value:
    """Return the tree without what stands at the paths (!reset and !override); maybe itself."""
    if not paths:
        return tree
    result = copy(tree)
    for path in paths:
        _remove(result, path)
    return result


def _remove(tree: Value, path: KeyPath) -> None:
    for key in path[:-1]:
        if isinstance(tree, dict) and isinstance(key, str):
            tree = tree.get(key)
        else:
            return
    if isinstance(tree, dict) and path and isinstance(path[-1], str):
        tree.pop(path[-1], None)
