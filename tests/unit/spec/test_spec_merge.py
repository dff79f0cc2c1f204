"""Override rules, one row each, and their laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.spec.findings import Findings
from orchestra.spec.merge import merge, reset
from orchestra.spec.normalize import normalize
from orchestra.spec.tree import Value, lookup, mapping

RULES: dict[str, tuple[Value, Value, Value]] = {
    "image": ("a", "b", "b"),
    "command": (["a"], ["b", "c"], ["b", "c"]),
    "entrypoint": ("a b", "c", ["c"]),
    "environment": (["A=1", "B=2"], {"B": 3, "C": None}, {"A": "1", "B": "3", "C": None}),
    "labels": ({"a": 1}, ["b=2"], {"a": "1", "b": "2"}),
    "cap_add": (["A"], ["B", "A"], ["A", "B"]),
    "dns": ("1.1.1.1", ["2.2.2.2"], ["1.1.1.1", "2.2.2.2"]),
    "security_opt": (["a"], ["a", "b"], ["a", "b"]),
    "expose": ([80], ["80", 90], ["80", "90"]),
    "tmpfs": ("/a", "/b", ["/a", "/b"]),
    "ulimits": ({"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}, {"nofile": {"soft": 1, "hard": 2}}),
    "build": (".", {"target": "x"}, {"context": ".", "target": "x"}),
    "depends_on": (
        {"db": {"condition": "service_healthy"}}, {"db": {"restart": True}},
        {"db": {"condition": "service_healthy", "restart": True}},
    ),
    "networks": (["a"], {"a": {"aliases": ["x"]}, "b": None}, {"a": {"aliases": ["x"]}, "b": None}),
    "extra_hosts": (["a=1"], {"a": ["1", "2"]}, {"a": ["1", "2"]}),
    "healthcheck": (
        {"test": ["CMD", "a"], "retries": 1}, {"test": "b"}, {"test": ["CMD-SHELL", "b"], "retries": 1}
    ),
    "logging": (
        {"driver": "a", "options": {"x": "1"}}, {"driver": "b", "options": {"y": "2"}},
        {"driver": "b", "options": {"y": "2"}},
    ),
    "tty": (True, None, True),
}  # fmt: skip


def service(**attributes: Value) -> Value:
    return normalize({"services": {"web": dict(attributes)}}, Findings(), "f")


@pytest.mark.parametrize("name", RULES)
def test_rule(name: str) -> None:
    base, over, result = RULES[name]
    findings = Findings()
    merged = merge(service(**{name: base}), service(**{name: over}), findings)
    assert lookup(merged, "services", "web", name) == result
    assert findings.errors == []


def test_logging_with_one_driver_merges_options() -> None:
    merged = merge(
        service(logging={"driver": "a", "options": {"x": "1"}}),
        service(logging={"options": {"y": "2"}}),
        Findings(),
    )
    assert lookup(merged, "services", "web", "logging", "options") == {"x": "1", "y": "2"}


def test_mounts_and_ports_are_told_apart_by_target() -> None:
    merged = merge(
        service(volumes=["/a:/x", "/b:/y"], ports=["80:80", "1.1.1.1:80:80"]),
        service(volumes=["/c:/x"], ports=["80:80", "81:80"]),
        Findings(),
    )
    web = mapping(lookup(merged, "services", "web"))
    assert [(lookup(m, "source"), lookup(m, "target")) for m in web["volumes"] or []] == [  # type: ignore[union-attr]
        ("/c", "/x"), ("/b", "/y")
    ]  # fmt: skip
    assert len(web["ports"]) == 3  # type: ignore[arg-type]


def test_pools_of_a_network_merge_by_subnet() -> None:
    def network(*pools: Value) -> Value:
        return normalize({"networks": {"a": {"ipam": {"config": list(pools)}}}}, Findings(), "f")

    merged = merge(
        network({"subnet": "1"}, {"subnet": "2"}),
        network({"subnet": "2", "gateway": "g"}),
        Findings(),
    )
    assert lookup(merged, "networks", "a", "ipam", "config") == [
        {"subnet": "1"}, {"subnet": "2", "gateway": "g"}
    ]  # fmt: skip


def test_neither_side_is_changed() -> None:
    base, over = service(environment=["A=1"]), service(environment=["B=2"])
    merge(base, over, Findings())
    assert lookup(base, "services", "web", "environment") == {"A": "1"}
    assert lookup(over, "services", "web", "environment") == {"B": "2"}


def test_reset_takes_keys_out_of_a_copy() -> None:
    tree = service(environment=["A=1", "B=2"])
    path = ("services", "web", "environment", "A")
    assert lookup(reset(tree, [path]), "services", "web", "environment") == {"B": "2"}
    assert lookup(tree, "services", "web", "environment") == {"A": "1", "B": "2"}


TREES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcx-", min_size=1, max_size=3), inner, max_size=3),
    max_leaves=10,
).map(lambda value: {"x-tree": value, "services": {"web": {"x-own": value}}})  # fmt: skip


@given(TREES)
def test_merging_with_nothing_changes_nothing(tree: Value) -> None:
    findings = Findings()
    assert merge(tree, {}, findings) == tree
    assert merge({}, tree, findings) == tree
    assert merge(tree, None, findings) == tree
    assert findings.errors == []


@given(st.dictionaries(st.text("AB", min_size=1, max_size=2), st.text("xy=", max_size=3)))
def test_merging_a_mapping_with_itself_changes_nothing(environment: dict[str, Value]) -> None:
    tree = service(environment=environment)
    assert merge(tree, tree, Findings()) == tree
