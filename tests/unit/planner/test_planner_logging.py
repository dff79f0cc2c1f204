"""What a service's ``logging`` means, and what is wrong with it: docker's drivers and options."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.errors import SpecErrors
from orchestra.planner.compile import compile_project
from orchestra.planner.desired import LogSpec
from orchestra.planner.logs import Attributes, Logging, Receiver, decide_logging
from orchestra.planner.logtag import DAEMON_NAME, TagError, TagFacts, check_tag, fill_tag
from orchestra.spec.loader import LoadOptions, load_project

FACTS = TagFacts(
    id="0123456789abcdef",
    name="shop-web-1",
    image_name="nginx:1",
    image_id="sha256:fedcba9876543210",
    command="nginx -g x",
    hostname="here",
    labels={"com.docker.compose.service": "web"},
)


def decide(driver: str = "json-file", **options: str) -> Logging:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    decision, faults = decide_logging(LogSpec(driver=driver, options=named))
    assert not faults
    return decision


def test_without_options() -> None:
    assert decide() == decide("local") == Logging()
    assert decide("none", whatever="1") == Logging(kept=False)
    assert decide("journald") == Logging(journald=True, tag="{{.ID}}")
    assert decide("syslog") == Logging(syslog=Receiver(), tag="{{.ID}}")


def test_how_much_is_kept() -> None:
    assert decide(max_size="10m", max_file="2") == Logging(max_bytes=10 * 1024**2, max_files=2)
    assert decide(max_size="-1").max_bytes == 0
    assert decide("syslog", cache_max_size="1k").max_bytes == 1024
    assert decide("journald", cache_max_file="7").max_files == 7
    assert not decide("syslog", cache_disabled="true").kept
    assert decide(cache_disabled="true").kept


def test_modes() -> None:
    assert decide("syslog", mode="blocking").blocking
    lossy = decide("syslog", mode="non-blocking", max_buffer_size="4m")
    assert (lossy.blocking, lossy.buffer_bytes) == (False, 4 * 1024**2)


def test_attributes() -> None:
    chosen = decide("journald", labels="a,b", env_regex="^X").attributes
    assert chosen == Attributes(labels=("a", "b"), env_regex="^X")
    assert chosen.chosen({"a": "1", "c": "2"}, {"X": "3", "Y": "4"}) == {"a": "1", "X": "3"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("udp://1.2.3.4", ("udp", "1.2.3.4", 514)),
        ("tcp://host:1", ("tcp", "host", 1)),
        ("tcp+tls://[::1]:6514", ("tcp+tls", "::1", 6514)),
        ("unix:///dev/log", ("unix", "/dev/log", 0)),
        ("unixgram:///a b", ("unixgram", "/a b", 0)),
    ],
)
def test_addresses(address: str, expected: tuple[str, str, int]) -> None:
    found = decide("syslog", syslog_address=address).syslog
    assert found is not None
    assert (found.network, found.host, found.port) == expected


@pytest.mark.parametrize(
    ("facility", "number"), [("kern", 0), ("daemon", 3), ("ftp", 11), ("local7", 23), ("13", 13)]
)
def test_facilities(facility: str, number: int) -> None:
    found = decide("syslog", syslog_facility=facility).syslog
    assert found is not None
    assert found.facility == number


def test_tls() -> None:
    found = decide(
        "syslog",
        syslog_address="tcp+tls://h",
        syslog_format="rfc5424",
        syslog_tls_ca_cert="/ca",
        syslog_tls_cert="/c",
        syslog_tls_key="/k",
        syslog_tls_skip_verify="",
    ).syslog
    assert found == Receiver(
        network="tcp+tls", host="h", port=514, format="rfc5424", ca_cert="/ca", cert="/c",
        key="/k", skip_verify=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "option", "value"),
    [
        ("json-file", "syslog-address", "udp://h"),
        ("json-file", "max-sise", "1m"),
        ("json-file", "max-size", "big"),
        ("json-file", "max-file", "0"),
        ("json-file", "labels-regex", "("),
        ("json-file", "tag", "{{.Nope}}"),
        ("json-file", "mode", "maybe"),
        ("json-file", "max-buffer-size", "1m"),
        ("local", "tag", "x"),
        ("local", "compress", "perhaps"),
        ("journald", "max-size", "1m"),
        ("journald", "env-regex", "*"),
        ("journald", "cache-disabled", "perhaps"),
        ("syslog", "syslog-address", "http://h"),
        ("syslog", "syslog-address", "udp://h:port"),
        ("syslog", "syslog-address", "tcp://"),
        ("syslog", "syslog-address", "unix://relative"),
        ("syslog", "syslog-facility", "24"),
        ("syslog", "syslog-facility", ""),
        ("syslog", "syslog-format", "rfc1"),
        ("syslog", "syslog-tls-key", "/k"),
        ("syslog", "tag", "{{.ID"),
        ("syslog", "cache-max-file", "-1"),
    ],
)
def test_what_is_wrong_is_named(driver: str, option: str, value: str) -> None:
    faults = decide_logging(LogSpec(driver=driver, options={option: value}))[1]
    if option == "syslog-facility" and not value:
        assert not faults
        return
    assert [fault.option for fault in faults] == [option]
    assert faults[0].hint
    assert not faults[0].harmless


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("{{.ID}}", "0123456789ab"),
        ("{{ .FullID }}", "0123456789abcdef"),
        ("{{.ImageName}}/{{.Name}}/{{.ID}}", "nginx:1/shop-web-1/0123456789ab"),
        ("{{.ImageID}}|{{.ImageFullID}}", "fedcba987654|sha256:fedcba9876543210"),
        ("{{.DaemonName}} {{.Hostname}} {{.Command}}", f"{DAEMON_NAME} here nginx -g x"),
        ("{{upper .Name}}{{.Name | title}}", "SHOP-WEB-1Shop-Web-1"),
        ("{{truncate .ID 3}}", "012"),
        ("{{json .Name}}", '"shop-web-1"'),
        ('{{index .ContainerLabels "com.docker.compose.service"}}', "web"),
        ('{{index .ContainerLabels "none" }}', ""),
    ],
)
def test_tags(template: str, expected: str) -> None:
    assert fill_tag(template, FACTS) == expected


@pytest.mark.parametrize(
    "template",
    ["{{.}}", "{{}}", "{{.ID", "ID}}", "{{.Nope}}", "{{call .ID}}", "{{.ID .Name}}",
     '{{printf "%s" .ID}}', '{{"\\x"}}', "{{if .ID}}x{{end}}", "{{truncate .ID}}"],
)  # fmt: skip
def test_no_tags(template: str) -> None:
    with pytest.raises(TagError):
        check_tag(template)


def test_the_plan_tells_every_place(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        """services:
  one:
    image: x
    logging:
      driver: fluentd
  two:
    image: x
    logging:
      driver: syslog
      options:
        syslog-facility: nobody
        syslog-colour: red
  three:
    image: x
    logging:
      options: {compress: "true"}
"""
    )
    options = LoadOptions(files=("compose.yaml",), project_name="shop")
    with pytest.raises(SpecErrors) as caught:
        compile_project(load_project(options, {}, tmp_path))
    file = tmp_path / "compose.yaml"
    assert [(str(error.location), error.message) for error in caught.value.errors] == [
        (f"{file}:5:7: services.one.logging.driver", 'there is no driver "fluentd"'),
        (
            f"{file}:11:9: services.two.logging.options.syslog-facility",
            'there is no facility "nobody"',
        ),
        (
            f"{file}:12:9: services.two.logging.options.syslog-colour",
            'the driver "syslog" has no option "syslog-colour"',
        ),
    ]


def test_what_merely_has_no_effect_is_a_warning(tmp_path: Path) -> None:
    text = "services: {a: {image: x, logging: {options: {compress: 'true'}}}}"
    (tmp_path / "compose.yaml").write_text(text)
    options = LoadOptions(files=("compose.yaml",), project_name="shop")
    desired = compile_project(load_project(options, {}, tmp_path))
    (warning,) = desired.warnings
    assert "services.a.logging.options.compress: has no effect here" in warning
