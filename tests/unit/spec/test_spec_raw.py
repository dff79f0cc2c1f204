"""The model whose variables stay as written: short forms, merging of two forms, completion."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.errors import SpecErrors
from orchestra.spec.discovery import LoadOptions
from orchestra.spec.loader import Model, load_model
from orchestra.spec.phases import Phases
from orchestra.spec.template import Use, uses
from orchestra.spec.tree import Value
from orchestra.spec.variables import Variable, variables_of


def model(directory: Path, *texts: str, phases: Phases | None = None) -> Model:
    files = []
    for number, text in enumerate(texts):
        files.append(f"{number}.yaml")
        (directory / files[-1]).write_text(text)
    options = LoadOptions(files=tuple(files), project_name="orc", phases=phases or Phases())
    return load_model(options, {"HOME": "/home/orc"}, directory)


def web(directory: Path, *attributes: str) -> dict[str, Value]:
    texts = [f"services: {{web: {{image: w, {text}}}}}\n" for text in attributes]
    services = model(directory, *texts).complete["services"]
    assert isinstance(services, dict)
    found = services["web"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("written", "key", "shown"),
    [
        ("mem_limit: '${M}'", "mem_limit", "${M}"),
        ("scale: '$N'", "scale", "$N"),
        ("command: a b", "command", "a b"),
        ("environment: [A, B=1]", "environment", ["A", "B=1"]),
        ("environment: {HOME: , B: 1}", "environment", {"B": 1, "HOME": None}),
        ("dns: 1.1.1.1", "dns", ["1.1.1.1"]),
        ("gpus: all", "gpus", [{"count": "all"}]),
        ("networks: [default]", "networks", {"default": None}),
        ("ports: ['${P}:80', '81']", "ports", ["${P}:80", "81"]),
        (
            "ports: ['8080:80']",
            "ports",
            [{"mode": "ingress", "protocol": "tcp", "published": "8080", "target": 80}],
        ),
        (
            "volumes: ['${A:-./x}:/data:ro']",
            "volumes",
            [
                {
                    "read_only": True,
                    "source": "${A:-./x}",
                    "target": "/data",
                    "type": "volume",
                    "volume": {},
                }
            ],
        ),
        (
            "volumes: [{type: bind, source: /a, target: /b, bind: {}}]",
            "volumes",
            [{"bind": {"create_host_path": True}, "source": "/a", "target": "/b", "type": "bind"}],
        ),
        (
            "depends_on: {db: {condition: service_healthy}}",
            "depends_on",
            {"db": {"condition": "service_healthy", "required": True}},
        ),
        ("build: {context: /b, args: [HOME]}", "build", {
            "args": ["HOME"], "context": "/b", "dockerfile": "Dockerfile",
        }),
    ],
)  # fmt: skip
def test_one_file(tmp_path: Path, written: str, key: str, shown: Value) -> None:
    assert web(tmp_path, written)[key] == shown


@pytest.mark.parametrize(
    ("base", "over", "key", "shown"),
    [
        ("environment: {B: 1, A: }", "environment: ['B=${X}']", "environment", ["A", "B=${X}"]),
        ("labels: {b: 1}", "labels: {a: 2}", "labels", {"a": 2, "b": 1}),
        ("tmpfs: /a", "tmpfs: [/b]", "tmpfs", ["/a", "/b"]),
        ("extra_hosts: {h: [a, b]}", "extra_hosts: ['h=b']", "extra_hosts", ["h=a", "h=b"]),
        ("ports: ['$A:1', '2']", "ports: ['$A:1']", "ports", ["$A:1", "2"]),
        (
            "depends_on: {db: {condition: service_healthy}}",
            "depends_on: {db: {restart: true}}",
            "depends_on",
            {"db": {"condition": "service_healthy", "required": True, "restart": True}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_two_files(tmp_path: Path, base: str, over: str, key: str, shown: Value) -> None:
    assert web(tmp_path, base, over)[key] == shown


def test_what_has_no_variable_is_checked(tmp_path: Path) -> None:
    text = "services: {web: {image: w, scale: many, cpus: '$C', prots: []}}\n"
    with pytest.raises(SpecErrors) as raised:
        model(tmp_path, text)
    assert [str(error.location).rpartition(": ")[2] for error in raised.value.errors] == [
        "services.web.scale",
        "services.web.prots",
    ]
    model(tmp_path, text, phases=Phases(consistency=False))


def test_without_normalization_nothing_is_named(tmp_path: Path) -> None:
    text = "services: {web: {image: w}}\nvolumes: {a: , b: {}, c: {name: own}}\n"
    shown = model(tmp_path, text, phases=Phases(normalize=False)).complete
    assert shown == {
        "services": {"web": {"image": "w"}},
        "volumes": {"a": None, "b": {}, "c": {"name": "own"}},
    }


def test_what_an_included_file_takes_from_its_own_env_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc/.env").write_text("OWN='a$b'\n")
    (tmp_path / "inc/c.yaml").write_text(
        "services: {a: {image: i, environment: [OWN, HOME]}, "
        "b: {image: i, environment: {OWN: , HOME: }}}\n"
    )
    services = model(tmp_path, "include: [inc/c.yaml]\n").complete["services"]
    assert isinstance(services, dict)
    environments = [one["environment"] for one in services.values() if isinstance(one, dict)]
    assert environments == [["OWN=a$$b", "HOME"], {"HOME": None, "OWN": "a$$b"}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", []),
        ("$A-$B", [Use("A"), Use("B")]),
        ("$$A ${B}", [Use("B")]),
        ("${A:-${B:-x}}y", [Use("A", ":-", "${B:-x}")]),
        ("${A?why} ${B+z}", [Use("A", "?", "why"), Use("B", "+", "z")]),
        ("${A ${1} $ ${B", []),
    ],
)
def test_uses(text: str, found: list[Use]) -> None:
    assert list(uses(text)) == found


def test_variables_of_a_tree() -> None:
    tree: Value = {
        "a": ["${B:-${C:-d}}", "$$NOT", {"e": "${F:?must} ${G:+${H}} $B"}],
        "${KEY}": 1,
        "x": "${C:-later} ${F}",
    }
    assert list(variables_of(tree).values()) == [
        Variable(name="B", default="${C:-d}"),
        Variable(name="C", default="d"),
        Variable(name="F", required=True),
        Variable(name="G", alternate="${H}"),
        Variable(name="H"),
    ]
