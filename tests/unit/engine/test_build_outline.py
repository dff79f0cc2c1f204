"""What a Dockerfile says of itself: BuildKit's own tests of outline and targets, told anew."""

from __future__ import annotations

import base64
import json

import pytest

from orchestra.engine.build.checking import Question
from orchestra.engine.build.ignore import make_matcher
from orchestra.engine.build.outline import describe_outline, describe_targets
from orchestra.errors import BuildError
from orchestra.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
ARGUMENTS = """
ARG inherited=box
ARG inherited2=box2
ARG unused=abc${inherited2}
# sfx is a suffix
ARG sfx="usy${inherited}"

FROM b${sfx} AS first
# this is not assigned to anything
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN true

FROM alpine${unused} AS second
ARG BAZ
RUN true

FROM scratch AS third
ARG ABC=a
# check=skip=all
ARG password
# alternate_password will show up in the outline
# check=skip=all
ARG alternate_password

# target defines build target
FROM third AS target
COPY --from=first /etc/passwd /

FROM second
"""
SECRETS = """
FROM busybox AS first
RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true

FROM alpine AS second
RUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true

FROM scratch AS third
ARG BAR
RUN --mount=type=secret,id=second${BAR} true

FROM third AS target
COPY --from=first /foo /
RUN --mount=type=ssh,id=ssh3,required true

FROM second
"""
RECURSIVE = """
ARG FOO=123
ARG ABC=abc
ARG DEF=def
ARG FOO=${FOO}${ABC}
ARG BAR=${FOO}456
ARG FOO=${FOO}456${BAR}
FROM scratch
ARG FOO
ARG INFOO=123
ARG INBAR=${INFOO}456
ARG INFOO=${INFOO}456${INBAR}
"""
TARGETS = """
# build defines stage for compiling the binary
FROM alpine AS build
RUN true

FROM busybox as second
RUN false

FROM alpine
RUN false

# binary returns the compiled binary
FROM second AS binary
"""


def asked(text, target="", **arguments):
    return Question(
        text=text,
        file="Dockerfile",
        arguments=arguments,
        target=target,
        build_platform=AMD64,
        platform=AMD64,
        contexts=(),
        ignore=make_matcher(()),
        whole=True,
    )


def line_of(entry):
    return entry["location"]["ranges"][0]["start"]["line"]


def test_arguments_of_a_target():
    told = describe_outline(asked(ARGUMENTS, "target", BAR="678"))
    outline = json.loads(told.json)
    assert (outline["name"], outline["description"]) == ("target", "defines build target")
    assert base64.b64decode(outline["sources"][0]).decode() == ARGUMENTS
    found = [
        (each["name"], each.get("value", ""), each.get("description", ""), line_of(each))
        for each in outline["args"]
    ]
    assert found == [
        ("inherited", "box", "", 2),
        ("sfx", "usybox", "is a suffix", 6),
        ("FOO", "123", "", 10),
        ("BAR", "678", "is a number", 12),
        ("ABC", "a", "", 20),
        ("password", "", "", 22),
        ("alternate_password", "", "will show up in the outline", 25),
    ]
    assert "secrets" not in outline
    assert told.text.startswith(
        "TARGET:      target\nDESCRIPTION: defines build target\n\nBUILD ARG"
    )


def test_secrets_and_agents_of_a_target():
    told = describe_outline(asked(SECRETS, "target", BAR="678"))
    outline = json.loads(told.json)
    secrets = [(s["name"], s.get("required", False), line_of(s)) for s in outline["secrets"]]
    assert secrets == [("passwd", True, 3), ("second678", False, 10)]
    agents = [(s["name"], s.get("required", False), line_of(s)) for s in outline["ssh"]]
    assert agents == [("default", False, 3), ("ssh3", True, 14)]
    assert "SECRET      REQUIRED\npasswd      true\nsecond678   \n" in told.text
    assert "SSH       REQUIRED\ndefault   \nssh3      true\n" in told.text


def test_arguments_that_use_each_other():
    outline = json.loads(describe_outline(asked(RECURSIVE)).json)
    assert [(each["name"], each["value"]) for each in outline["args"]] == [
        ("ABC", "abc"),
        ("BAR", "123abc456"),
        ("FOO", "123abc456123abc456"),
        ("INBAR", "123456"),
        ("INFOO", "123456123456"),
    ]


def test_targets():
    told = describe_targets(asked(TARGETS))
    found = [
        (
            each.get("name", ""),
            each["base"],
            each.get("description", ""),
            each.get("default", False),
            line_of(each),
        )
        for each in json.loads(told.json)["targets"]
    ]
    assert found == [
        ("build", "alpine", "defines stage for compiling the binary", False, 3),
        ("second", "busybox", "", False, 6),
        ("", "alpine", "", False, 9),
        ("binary", "second", "returns the compiled binary", True, 13),
    ]
    assert told.text.splitlines()[-1] == "binary (default) returns the compiled binary"


@pytest.mark.parametrize("describe", [describe_outline, describe_targets])
@pytest.mark.parametrize("text", ["", "FORM scratch", "FROM scratch\nCOPY --from=later . .\nNO"])
def test_what_makes_no_sense_is_told(describe, text):
    with pytest.raises(BuildError):
        describe(asked(text))
