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


SECRET = "s3cret/v:al ue"

# what is written, where the variable S holds a secret; what the message shows instead
VEILED = {
    "port": (WEB + "    ports: [80, '$S']\n", 'unknown protocol "$S" in port "$S"'),
    "port-host": (WEB + "    ports: ['${S}:80:80']\n", '"${S}:80:80"'),
    "mount": (WEB + "    volumes: ['${S}:b:c:d']\n", '"${S}:b:c:d" has too many colons'),
    "device": (WEB + "    devices: ['a:b:c:$S']\n", 'no device: "a:b:c:$S"'),
    "host": (WEB + "    extra_hosts: {a$: 1}\n    dns: [$S]\n    devices: [':$S']\n", 'no device: ":$S"'),
    "address": (WEB + "    ports: [{target: 80, host_ip: $S}]\n", '"$S" is no IP address'),
    "image": ("services:\n  web:\n    image: $S\n", '"$S" is not an image reference'),
    "dependency": (WEB + "    depends_on: [$S]\n", 'no service "$S"'),
    "network": (WEB + "    networks: [$S]\n", 'no network "$S"'),
    "volume": (WEB + "    volumes: [{type: volume, source: $S, target: /a}]\n", 'no volume'),
    "secret": (WEB + "    secrets: [$S]\n", 'no secret "$S"'),
    "env-file": (WEB + "    env_file: $S\n", 'env file "$S" does not exist'),
    "extends": (WEB + "    extends: {service: a, file: $S}\n", 'cannot read "$S"'),
    "extended": (WEB + "    extends: $S\n", 'cannot extend service "$S"'),
    "include": ("include: [$S]\n" + WEB, 'cannot include "$S"'),
    "required": (WEB + "    user: ${NO:?not $S}\n", "no value: not $S"),
    "alternative": (WEB + "    user: ${S:+${NO?$S}}\n", "no value: $S"),
    "choice": (WEB + "    cgroup: $S\n", 'expected "host"'),
    "name": ("name: $S\n" + WEB + "    tty: x\n", "true or false"),
}  # fmt: skip


@pytest.mark.parametrize("name", VEILED)
def test_what_variables_hold_is_never_told(name: str, tmp_path: Path) -> None:
    text, expected = VEILED[name]
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(SpecErrors) as caught:
        load_project(LoadOptions(), {"S": SECRET}, tmp_path)
    told = [f"{error.location} {error.message} {error.hint}" for error in caught.value.errors]
    assert any(expected in line for line in told), told
    for part in ("s3cret", "v:al", "ue"):
        assert not any(part in line.replace("true", "").replace("value", "") for line in told), told


def test_warnings_do_not_tell_what_variables_hold(tmp_path: Path) -> None:
    text = WEB + "    volumes: ['/a:/b:$S']\n    depends_on: {$S: {condition: service_started}}\n"
    (tmp_path / "compose.yaml").write_text(text.replace("{$S:", "{db:") + "  db: {image: x}\n")
    project = load_project(LoadOptions(), {"S": "s3cret"}, tmp_path)
    assert project.warnings
    assert not any("s3cret" in warning for warning in project.warnings)


def test_malformed_env_files_are_told_without_their_values(tmp_path: Path) -> None:
    (tmp_path / "web.env").write_text("A=1\ns3cret value=2\n")
    (error,) = errors_of(tmp_path, WEB + "    env_file: web.env\n")
    assert str(error.location) == f"{tmp_path}/web.env:2"
    assert "s3cret" not in f"{error.message} {error.hint}"


# the other files, what is written, the file and line that is named
ELSEWHERE = {
    "included": ({"b.yaml": "services:\n  b: {image: x, tty: x}\n"}, "include: [b.yaml]\n" + WEB, "b.yaml:2:17"),
    "include-of-include": (
        {"b.yaml": "include:\n  - c.yaml\n"}, "include: [b.yaml]\n" + WEB, "b.yaml:2:5"
    ),
    "include-env": (
        {"b.yaml": "services: {}\n", "b.env": "A=1\n=\n"},
        "include: [{path: b.yaml, env_file: b.env}]\n" + WEB, "b.env:2",
    ),
    "include-no-env": (
        {"b.yaml": "services: {}\n"}, "include: [{path: b.yaml, env_file: no.env}]\n" + WEB, "compose.yaml:1:11"
    ),
    "extended": (
        {"b.yaml": "services:\n  b:\n    image: x\n    scale: x\n"},
        WEB + "    extends: {service: b, file: b.yaml}\n", "b.yaml:4:5",
    ),
    "extended-reference": (
        {"b.yaml": "services:\n  b:\n    image: x\n    volumes: ['nn:/a']\n"},
        WEB + "    extends: {service: b, file: b.yaml}\n", "b.yaml:4:15",
    ),
    "label-file": ({"l": "A\n A b=1\n"}, WEB + "    label_file: l\n", "l:2"),
    "dotenv-of-include": (
        {"sub/b.yaml": "services: {}\n", "sub/.env": "A='\n"}, "include: [sub/b.yaml]\n" + WEB, "sub/.env:1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_mistake_in_another_file_is_told_there(name: str, tmp_path: Path) -> None:
    files, text, place = ELSEWHERE[name]
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(content)
    (error,) = errors_of(tmp_path, text)
    assert str(error.location).startswith(f"{tmp_path}/{place}")
    assert error.hint


def test_many_mistakes_in_one_list_keep_their_places(tmp_path: Path) -> None:
    hooks = "".join(f"      - {{user: u{number}}}\n" for number in range(12))
    errors = errors_of(tmp_path, WEB + "    post_start:\n" + hooks)
    found = [(error.location.line, error.location.key) for error in errors if error.location]
    assert found == [(5 + at, f"services.web.post_start[{at}].command") for at in range(12)]
