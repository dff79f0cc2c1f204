"""How canonical trees become elements: strictly, wholly, and with every fault told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestra.errors import BugError
from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.base import Element, slots_of
from orchestra.spec.model.binder import bind
from orchestra.spec.model.binding import build_project
from orchestra.spec.model.dependency import Condition, Dependency
from orchestra.spec.model.files import Config, Secret
from orchestra.spec.model.healthcheck import Healthcheck
from orchestra.spec.model.port import Port
from orchestra.spec.model.service import Service
from orchestra.spec.tree import Value


def faults(element: type[Element], tree: Value) -> tuple[Element | None, dict[KeyPath, str]]:
    found: dict[KeyPath, str] = {}

    def note(path: KeyPath, message: str, hint: str) -> None:
        assert hint
        found[path] = message

    return bind(element, tree, note), found


@pytest.mark.parametrize(
    ("element", "tree", "path", "message"),
    [
        (Port, [], (), "expected a mapping, not a list"),
        (Port, {}, ("target",), '"target" is missing'),
        (Port, {"target": True}, ("target",), "expected a whole number, not true or false"),
        (Port, {"target": 1.0}, ("target",), "expected a whole number, not a number"),
        (Port, {"target": 0}, ("target",), "expected at least 1"),
        (Port, {"target": 65536}, ("target",), "expected at most 65535"),
        (Port, {"target": 1, "prot": "x"}, ("prot",), 'unknown key "prot"'),
        (Port, {"target": 1, "#extensions": {}}, ("#extensions",), 'unknown key "#extensions"'),
        (Service, {"name": "a", "cpus": "1"}, ("cpus",), "expected a number, not text"),
        (Service, {"name": "a", "tty": 1}, ("tty",), "expected true or false, not a number"),
        (Service, {"name": "a", "image": 1}, ("image",), "expected text, not a number"),
        (Service, {"name": "a", "dns": "x"}, ("dns",), "expected a list, not text"),
        (Service, {"name": "a", "dns": ["x", 1]}, ("dns", 1), "expected text, not a number"),
        (Service, {"name": "a", "labels": []}, ("labels",), "expected a mapping, not a list"),
        (Service, {"name": "a", "labels": {"k": None}}, ("labels", "k"), "expected text, not nothing"),
        (Service, {"name": "a", "cgroup": "hots"}, ("cgroup",), 'expected "host" or "private"'),
        (Service, {"name": "a", "scale": -1}, ("scale",), "expected at least 0"),
        (Healthcheck, {"interval": 3}, ("interval",), "expected a duration, not a number"),
        (
            Dependency,
            {"condition": "healthy"},
            ("condition",),
            'expected "service_started", "service_healthy" or "service_completed_successfully"',
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_at_its_place(
    element: type[Element], tree: Value, path: KeyPath, message: str
) -> None:
    assert faults(element, tree)[1] == {path: message}


def test_what_is_unfit_is_left_out_and_the_rest_stays() -> None:
    service, found = faults(
        Service,
        {"name": "a", "tty": 1, "image": "x", "ports": [{"target": 0}, {"target": 80}], "typo": 1},
    )
    assert isinstance(service, Service)
    assert (service.image, service.tty) == ("x", False)
    assert [port.target for port in service.ports] == [80]
    assert sorted(found, key=str) == [("ports", 0, "target"), ("tty",), ("typo",)]


def test_values_keep_their_types() -> None:
    service, found = faults(
        Service,
        {
            "name": "a",
            "cpus": 2,
            "environment": {"A": None, "B": "1"},
            "stop_grace_period": timedelta(seconds=3),
            "depends_on": {"db": {"condition": "service_healthy"}},
            "x-mine": [1],
        },
    )
    assert not found
    assert isinstance(service, Service)
    assert isinstance(service.cpus, float)
    assert service.environment == {"A": None, "B": "1"}
    assert service.depends_on["db"].condition is Condition.HEALTHY
    assert service.extensions == {"x-mine": [1]}
    assert service.given == {
        "name", "cpus", "environment", "stop_grace_period", "depends_on", "extensions",
    }  # fmt: skip


def test_elements_are_values() -> None:
    one, same = (Port.model_validate({"target": 80}) for _ in range(2))
    other = one.model_copy(update={"published": "8080"})
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != {"target": 80}
    assert (one.published, other.published) == (None, "8080")
    assert other.given == {"target", "published"}
    with pytest.raises(AttributeError, match="read-only"):
        one.target = 81


def test_secrets_show_in_no_repr() -> None:
    tree: dict[str, Value] = {"name": "a", "content": "s3cret"}
    assert "s3cret" not in repr(Config.model_validate(tree))
    secret = Secret.model_validate({"name": "a", "#content": "s3cret"})
    assert secret.content == "s3cret"
    assert "s3cret" not in repr(secret)
    assert slots_of(Secret)["content"].key == "#content"


def test_a_tree_that_should_be_right_and_is_not_is_a_bug_of_ours() -> None:
    with pytest.raises(BugError, match="target"):
        Port.model_validate({"target": "s3cret"})
    with pytest.raises(BugError, match="without target"):
        Port()


def test_nothing_is_left_of_a_project_without_a_name() -> None:
    findings = Findings()
    assert build_project({"services": {}, "working_dir": "/"}, findings) is None
    assert [error.message for error in findings.errors] == ['"name" is missing']
