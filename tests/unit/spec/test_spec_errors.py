"""What is wrong in a file: every error at once, in file order, each with place and hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.errors import SpecError, SpecErrors, UsageError
from orchestra.spec.loader import LoadOptions, load_project


def errors_of(directory: Path, text: str, **options: tuple[str, ...]) -> tuple[SpecError, ...]:
    (directory / "compose.yaml").write_text(text)
    with pytest.raises(SpecErrors) as caught:
        load_project(LoadOptions(**options), {"SECRET": "s3cret"}, directory)
    return caught.value.errors


WEB = "services:\n  web:\n    image: nginx\n"

# text, line:column: key, part of the message, part of the hint
TABLE = {
    "unknown-key": (
        WEB + "    prots: [80]\n", "4:5: services.web.prots", 'unknown key "prots"', '"ports"'
    ),
    "unknown-top": ("servces: {}\n" + WEB, "1:1: servces", "unknown key", '"services"'),
    "unknown-nested": (
        WEB + "    healthcheck: {tset: x}\n", "4:19: services.web.healthcheck.tset", "unknown", "test"
    ),
    "service-name": (WEB + "    name: x\n", "4:5: services.web.name", "unknown key", "container_name"),
    "not-a-mapping": ("services: [a]\n", "1:1: services", "expected a mapping, not a list", "KEY"),
    "null-service": ("services:\n  web:\n", "2:3: services.web", "not nothing", "KEY"),
    "text-for-list": (WEB + "    cap_add: x\n", "4:5: services.web.cap_add", "expected a list", "dash"),
    "number-for-text": (WEB + "    user: 5\n", "4:5: services.web.user", "expected text", "quotes"),
    "list-for-map": (WEB + "    deploy: [a]\n", "4:5: services.web.deploy", "a mapping", "KEY"),
    "bad-flag": (WEB + "    tty: maybe\n", "4:5: services.web.tty", "true or false", "true"),
    "bad-int": (WEB + "    scale: few\n", "4:5: services.web.scale", "a whole number", "digits"),
    "bad-size": (WEB + "    mem_limit: 1x\n", "4:5: services.web.mem_limit", "a size", "512m"),
    "bad-duration": (
        WEB + "    stop_grace_period: 10\n", "4:5: services.web.stop_grace_period", "a duration", "10s"
    ),
    "bad-enum": (WEB + "    cgroup: hots\n", "4:5: services.web.cgroup", '"host"', "host"),
    "negative": (WEB + "    scale: -1\n", "4:5: services.web.scale", "at least 0", "greater"),
    "bad-port": (WEB + "    ports: ['80:x']\n", "4:13: services.web.ports[0]", "no port", "8080:80"),
    "port-too-large": (WEB + "    ports: [99999]\n", "4:13: services.web.ports[0]", "65535", "TARGET"),
    "bad-protocol": (WEB + "    ports: [80/ip]\n", "4:13: services.web.ports[0]", "protocol", "tcp"),
    "bad-volume": (WEB + "    volumes: ['aa:bb:cc:dd']\n", "4:15: services.web.volumes[0]", "colons", "SOURCE"),
    "bad-command": (WEB + "    command: 'a \"b'\n", "4:5: services.web.command", "quote", "list"),
    "bad-host": (WEB + "    extra_hosts: [a]\n", "4:19: services.web.extra_hosts[0]", "address", "NAME"),
    "bad-environment": (WEB + "    environment: 5\n", "4:5: services.web.environment", "KEY=VALUE", ""),
    "missing-required": (
        WEB + "    post_start: [{user: x}]\n", "4:18: services.web.post_start[0].command", "missing", "command"
    ),
    "required-variable": (
        WEB + "    user: ${NOBODY:?say who}\n", "4:5: services.web.user", "say who", "NOBODY"
    ),
    "bad-variable": (WEB + "    user: ${}\n", "4:5: services.web.user", "variable", "$$"),
    "no-image": ("services:\n  web: {tty: true}\n", "2:3: services.web", "neither image", "runs"),
    "bad-image": ("services:\n  web: {image: Not A Name}\n", "2:9: services.web.image", "Not A Name", ""),
    "no-dependency": (
        WEB + "    depends_on: [dbs]\n  db: {image: x}\n", "4:18: services.web.depends_on.dbs",
        'no service "dbs"', '"db"',
    ),
    "no-network": (
        WEB + "    networks: [a]\nnetworks: {b: }\n", "4:16: services.web.networks.a",
        'no network "a"', "networks here: b",
    ),
    "no-volume": (WEB + "    volumes: ['data:/b']\n", "4:15: services.web.volumes[0]", 'no volume "data"', "none"),
    "no-secret": (WEB + "    secrets: [a]\n", "4:15: services.web.secrets[0]", 'no secret "a"', "none"),
    "no-config": (WEB + "    configs: [a]\n", "4:15: services.web.configs[0]", 'no config "a"', "none"),
    "disabled-dependency": (
        WEB + "    depends_on: [db]\n  db: {image: x, profiles: [p]}\n",
        "4:18: services.web.depends_on.db", "not active", "(p)",
    ),
    "mode-and-networks": (
        WEB + "    network_mode: host\n    networks: [default]\n",
        "4:5: services.web.network_mode", "exclude", "keep one",
    ),
    "named-and-scaled": (
        WEB + "    container_name: ab\n    scale: 2\n", "4:5: services.web.container_name", "2 containers", "drop"
    ),
    "mounted-twice": (
        WEB + "    tmpfs: /a\n    volumes: ['/a']\n", "5:15: services.web.volumes[0]", "twice", "tmpfs[0]"
    ),
    "bad-test": (
        WEB + "    healthcheck: {test: [curl]}\n", "4:19: services.web.healthcheck.test", "CMD-SHELL", "text"
    ),
    "empty-secret": ("secrets: {a: {}}\n" + WEB, "1:11: secrets.a", "one of file", "add"),
    "no-extended": (WEB + "    extends: base\n", "4:5: services.web.extends", '"base"', "web"),
    "no-extends-file": (
        WEB + "    extends: {service: a, file: no.yaml}\n", "4:27: services.web.extends.file", "no.yaml", "relative"
    ),
    "no-include": ("include: [no.yaml]\n" + WEB, "1:11: include[0]", "no such file", "start at"),
    "no-env-file": (WEB + "    env_file: no.env\n", "4:5: services.web.env_file[0]", "no.env", "required: false"),
    "twice": (WEB + "    image: other\n", "4:5: services.web.image", "set twice, first in line 3", "keep"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_one_mistake_is_told_with_place_and_hint(name: str, tmp_path: Path) -> None:
    text, place, message, hint = TABLE[name]
    errors = errors_of(tmp_path, text)
    assert len(errors) == 1, [error.message for error in errors]
    error = errors[0]
    assert message in error.message
    assert error.hint is not None
    assert hint in error.hint
    if place:
        assert str(error.location) == f"{tmp_path}/compose.yaml:{place}"


def test_all_mistakes_are_told_at_once_in_file_order(tmp_path: Path) -> None:
    text = (
        "services:\n"
        "  web:\n"
        "    iamge: nginx\n"
        "    image: nginx\n"
        "    ports: ['80:x']\n"
        "    scale: many\n"
        "    depends_on: [db]\n"
        "    user: ${WHO:?}\n"
        "    user_mode: 5\n"
        "networks:\n"
        "  a: {drivr: x}\n"
        "volums: {}\n"
    )
    lines = [error.location.line for error in errors_of(tmp_path, text) if error.location]
    assert lines == [3, 5, 6, 7, 8, 9, 11, 12]


def test_each_error_has_the_place_in_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "over.yaml").write_text("\n\nservices: {web: {scale: x}}\n")
    errors = errors_of(tmp_path, WEB + "    tty: x\n", files=("compose.yaml", "over.yaml"))
    places = [(Path(e.location.file).name, e.location.line) for e in errors if e.location]
    assert places == [("compose.yaml", 4), ("over.yaml", 3)]


def test_files_that_disagree_in_kind_are_told(tmp_path: Path) -> None:
    (tmp_path / "over.yaml").write_text("services: {web: {x: 1, blkio_config: [1]}}\n")
    errors = errors_of(
        tmp_path, WEB + "    blkio_config: {weight: 5}\n", files=("compose.yaml", "over.yaml")
    )
    assert any("cannot override a mapping by a list" in error.message for error in errors)


def test_cycles_of_dependencies_are_named(tmp_path: Path) -> None:
    text = (
        "services:\n"
        "  a: {image: x, depends_on: [b]}\n"
        "  b: {image: x, depends_on: [c]}\n"
        "  c: {image: x, depends_on: [a]}\n"
    )
    errors = errors_of(tmp_path, text)
    assert [error.message for error in errors] == [
        "services wait for each other in a circle: a -> b -> c -> a"
    ]


def test_cycles_of_extends_are_named(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, "services:\n  a: {extends: b}\n  b: {extends: a}\n")
    assert any("a -> b -> a" in error.message for error in errors)


def test_cycles_of_includes_are_named(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("include: [compose.yaml]\n")
    errors = errors_of(tmp_path, "include: [other.yaml]\n" + WEB)
    assert "circle" in errors[0].message


def test_no_secret_is_ever_echoed(tmp_path: Path) -> None:
    text = (
        WEB
        + "    environment: {TOKEN: [$SECRET]}\n"
        + "    labels: [5, $SECRET]\n"
        + "    scale: $SECRET\n"
        + "    tty: $SECRET\n"
        + "    mem_limit: $SECRET\n"
        + "    stop_grace_period: $SECRET\n"
        + "    healthcheck: {retries: $SECRET}\n"
        + "    user: [$SECRET]\n"
    )
    errors = errors_of(tmp_path, text)
    assert len(errors) == 8
    for error in errors:
        assert "s3cret" not in f"{error.message} {error.hint} {error.location}"


def test_the_value_of_a_secret_is_not_in_the_repr(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        WEB
        + "    secrets: [s]\n    environment: {A: $SECRET}\nsecrets: {s: {environment: SECRET}}\n"
    )
    project = load_project(LoadOptions(), {"SECRET": "s3cret"}, tmp_path)
    assert project.secrets["s"].content == "s3cret"
    assert "s3cret" not in repr(project)


def test_an_unknown_service_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    with pytest.raises(UsageError) as caught:
        load_project(LoadOptions(services=("wbe",)), {}, tmp_path)
    assert caught.value.hint == 'did you mean "web"?'


def test_null_where_a_list_could_be_is_none(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB + "    ports:\n    depends_on:\nvolumes:\n")
    project = load_project(LoadOptions(), {}, tmp_path)
    assert project.services["web"].ports == ()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}\n"])
def test_a_file_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    errors = errors_of(tmp_path, text)
    assert [error.message for error in errors] == ["the Compose files are empty"]
    assert errors[0].hint
    assert errors[0].location
    assert errors[0].location.file == f"{tmp_path}/compose.yaml"


def test_mount_options_that_mean_nothing_are_told(tmp_path: Path) -> None:
    text = WEB + "    volumes: ['/a:/b:cached,ro', '/c:/d:ro,z,rslave', 'e']\n"
    (tmp_path / "compose.yaml").write_text(text)
    project = load_project(LoadOptions(), {}, tmp_path)
    (warning,) = project.warnings
    place, text = f"{tmp_path}/compose.yaml:4:15", 'the mount option "cached" has no effect'
    assert warning == f"{place}: services.web.volumes[0]: {text}"
    assert project.services["web"].volumes[0].read_only
