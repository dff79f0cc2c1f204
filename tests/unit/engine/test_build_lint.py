"""``build --check``: each rule where it applies and where it does not, its options, the output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.build.checking import Question, check, refusal
from orchestra.engine.build.ignore import make_matcher
from orchestra.engine.build.lint_rules import RULES, Finding, read_check
from orchestra.engine.build.nearest import suggest
from orchestra.errors import BuildError
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
BASE = ImageConfig(platform=AMD64, diff_ids=(), env=("PATH=/bin", "HOME=/root"))


def checked(text, arguments=None, target="", ignore=(), configs=None):
    question = Question(
        text=text,
        file="Dockerfile",
        arguments=arguments or {},
        target=target,
        build_platform=AMD64,
        platform=AMD64,
        contexts=(),
        ignore=make_matcher(ignore),
        whole=True,
    )
    return check(question, dict.fromkeys(range(9), BASE) if configs is None else configs)


def found(text, **options):
    return [(finding.line, finding.rule) for finding in checked(text, **options).findings]


@pytest.mark.parametrize(
    ("text", "line", "rule", "detail"),
    [
        ("FROM a AS Bad", 1, "StageNameCasing", "Stage name 'Bad' should be lowercase"),
        ("FROM a as b", 1, "FromAsCasing", "'as' and 'FROM' keywords' casing do not match"),
        ("from a AS b", 1, "FromAsCasing", "'AS' and 'from' keywords' casing do not match"),
        ("FROM a\nRUN a \\\n\n  b", 4, "NoEmptyContinuation", "Empty continuation line"),
        ("FROM a\nRun x\nRUN y", 2, "ConsistentInstructionCasing",
         "Command 'Run' should match the case of the command majority (uppercase)"),
        ("from a\nrun x\nRUN y", 3, "ConsistentInstructionCasing",
         "Command 'RUN' should match the case of the command majority (lowercase)"),
        ("FROM a AS b\nFROM a AS b", 2, "DuplicateStageName",
         'Duplicate stage name "b", stage names should be unique'),
        ("FROM a AS context", 1, "ReservedStageName",
         'Stage name should not use the same name as reserved stage "context"'),
        ("FROM a\nCMD x", 2, "JSONArgsRecommended",
         "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
        ("FROM a\nMAINTAINER me", 2, "MaintainerDeprecated",
         "Maintainer instruction is deprecated in favor of using label"),
        ("FROM a$VERSIN\n", 1, "UndefinedArgInFrom", "FROM argument 'VERSIN' is not declared"),
        ("ARG VERSION=1\nFROM a:1$VERSIN\n", 2, "UndefinedArgInFrom",
         "FROM argument 'VERSIN' is not declared (did you mean VERSION?)"),
        ("FROM a\nWORKDIR b", 2, "WorkdirRelativePath",
         'Relative workdir "b" can have unexpected results if the base image changes'),
        ("FROM a\nCOPY $ABSENT /x", 2, "UndefinedVar", "Usage of undefined variable '$ABSENT'"),
        ("FROM a\nARG NAME=1\nCOPY $NAM /x", 3, "UndefinedVar",
         "Usage of undefined variable '$NAM' (did you mean $NAME?)"),
        ("FROM a\nCOPY <<f /\n$ABSENT\nf", 2, "UndefinedVar", "Usage of undefined variable '$ABSENT'"),
        ("FROM a\nCMD [\"x\"]\nCMD [\"y\"]", 2, "MultipleInstructionsDisallowed",
         ("Multiple CMD instructions should not be used in the same stage because only the last one "
          "will be used")),
        ("FROM a\nENV A b", 2, "LegacyKeyValueFormat",
         '"ENV key=value" should be used instead of legacy "ENV key value" format'),
        ("FROM --platform=$TARGETPLATFORM a", 1, "RedundantTargetPlatform",
         ("Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
          "default behavior")),
        ("FROM a\nARG API_TOKEN", 2, "SecretsUsedInArgOrEnv",
         'Do not use ARG or ENV instructions for sensitive data (ARG "API_TOKEN")'),
        ("ARG TAG\nFROM a:${TAG}", 2, "InvalidDefaultArgInFrom",
         "Default value for ARG a:${TAG} results in empty or invalid base image name"),
        ("FROM --platform=linux/amd64 a", 1, "FromPlatformFlagConstDisallowed",
         'FROM --platform flag should not use constant value "linux/amd64"'),
        ("FROM a\nEXPOSE 80/TCP", 2, "ExposeProtoCasing",
         "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"),
        ("FROM a\nEXPOSE 1.2.3.4:80:80", 2, "ExposeInvalidFormat",
         ("EXPOSE instruction should not define an IP address or host-port mapping, found "
          "'1.2.3.4:80:80'")),
        ("# check=experimental=all\n# text\nARG a=1\nFROM a", 3, "InvalidDefinitionDescription",
         "Comment for ARG should follow the format: `# a <description>`"),
    ],
)  # fmt: skip
def test_each_rule(text, line, rule, detail):
    result = checked(text)
    assert [(f.line, f.rule, f.detail) for f in result.findings if f.rule == rule] == [
        (line, rule, detail)
    ]
    assert found(f"#check=skip={rule}\n{text}").count((line + 1, rule)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "FROM a AS b\nRUN x\nCMD [\"x\"]\nENTRYPOINT [\"y\"]",
        "from a as b\nrun x",
        'FROM a\nSHELL ["/bin/bash", "-c"]\nCMD x',
        "FROM a\nWORKDIR /a\nWORKDIR b",
        "FROM a AS b\nWORKDIR /a\nFROM b\nWORKDIR b",
        "FROM a\nARG A\nENV B=$A C=$HOME\nRUN $SHELL_ONLY",
        "FROM a AS b\nARG A=1\nFROM b\nCOPY $A /x",
        "FROM a\nCOPY <<'f' /\n$ABSENT\nf",
        "FROM a\nENV PUBLIC_KEY=1 KEY_FILE=2 MONKEY=3\nARG TOKEN_VERSION",
        "ARG TAG=1\nFROM a:${TAG}",
        "FROM --platform=$BUILDPLATFORM a",
        "FROM --platform=linux/amd64 a AS build-amd64",
        "FROM a\nEXPOSE 80 90/udp 100-110",
        "# text\nARG a=1\nFROM a",
        "# check=experimental=all\n# a is a\nARG a=1\n# b is b\nFROM a AS b\n# text\n#\nARG c=1",
        "FROM a\nCMD [\"x\"]\nFROM a\nCMD [\"y\"]",
        "FROM scratch\nRUN a \\\n# comment\n b",
    ],
)  # fmt: skip
def test_where_no_rule_applies(text):
    assert found(text) == []


def test_every_rule_has_a_case():
    cases = {
        mark.args[1][i][2] for mark in test_each_rule.pytestmark for i in range(len(mark.args[1]))
    }
    assert RULES.keys() - cases == {"CopyIgnoredFile", "InvalidBaseImagePlatform"}


def test_copies_of_what_is_ignored():
    text = "FROM a AS b\nCOPY f d/g ./h /x/\nADD f /y\nFROM a\nCOPY --from=b f /f\nCOPY . /\n"
    assert found(text, ignore=("f", "d")) == [
        (2, "CopyIgnoredFile"), (2, "CopyIgnoredFile"), (3, "CopyIgnoredFile"),
    ]  # fmt: skip
    assert found(text, ignore=("f", "!f")) == []
    assert found("FROM a\nCOPY . /", ignore=("*",)) == [(2, "CopyIgnoredFile")]
    assert found("FROM a\nADD https://h/f /", ignore=("*",)) == []


def test_the_platform_of_the_base():
    other = ImageConfig(platform=Platform("linux", "arm64"), diff_ids=())
    (finding,) = checked("FROM a", configs={0: other}).findings
    assert (finding.rule, finding.url) == ("InvalidBaseImagePlatform", "")
    assert finding.detail.endswith(
        'platform "linux/arm64", expected "linux/amd64" for current build'
    )


def test_variables_of_an_unknown_base_are_not_called_undefined():
    text = "FROM a\nCOPY $JAVA_HOME /x\nFROM scratch\nCOPY $ABSENT /x"
    assert found(text, configs={}) == [(4, "UndefinedVar")]


def test_only_what_the_target_needs_is_gone_through():
    text = "FROM a AS one\nCMD x\nFROM a AS two\nCMD y\n"
    assert found(text) == [(2, "JSONArgsRecommended"), (4, "JSONArgsRecommended")]
    assert found(text, target="one") == [(2, "JSONArgsRecommended")]


def test_options_above_an_instruction_are_for_that_one():
    text = "FROM a\n# check=skip=JSONArgsRecommended // yes\nCMD x\n# check=skip=all\nENTRYPOINT x\nCMD y\n"
    assert found(text) == [(3, "MultipleInstructionsDisallowed"), (6, "JSONArgsRecommended")]


@pytest.mark.parametrize(
    ("directive", "arguments", "refused"),
    [
        ("", {}, False),
        ("# check=error=true\n", {}, True),
        ("# check=skip=all;error=true\n", {}, False),
        ("#!/usr/bin/env x\n# check=error=true\n", {}, True),
        ("# syntax=a/b:1\n# check=error=true\n", {}, True),
        ("# a comment\n# check=error=true\n", {}, False),
        ("# check=error=true\n", {"BUILDKIT_DOCKERFILE_CHECK": "skip=all"}, False),
        ("", {"BUILDKIT_DOCKERFILE_CHECK": "error=true"}, True),
    ],
)
def test_what_makes_it_an_error(directive, arguments, refused):
    result = checked(f"{directive}FROM a\nCMD x\n", arguments=arguments)
    assert result.refused == refused
    if refused:
        error = refusal(result)
        assert error.message == "cannot build: lint violation found for rules: JSONArgsRecommended"
        assert error.location.line == 2 + directive.count("\n")


@pytest.mark.parametrize("text", ["nope", "skip", "error=maybe", "warn=a"])
def test_options_that_make_no_sense(text):
    with pytest.raises(BuildError, match="cannot check"):
        read_check(text)


def test_findings_before_an_error_are_kept():
    result = checked("FROM a as b\nCOPY --from=late x y\nFRMO c")
    assert "unknown instruction" in result.error.message
    assert (1, "FromAsCasing") in [(f.line, f.rule) for f in result.findings]
    result = checked("FROM --platform=$BULIDPLATFORM a")
    assert [f.rule for f in result.findings] == ["UndefinedArgInFrom"]
    assert result.error is not None


def test_the_output_is_dockers():
    text = "FROM a\n\n# why\nCMD x\n\nRUN a \\\n b\n"
    assert checked(text).report == (
        "Check complete, 1 warning has been found!\n"
        "\n"
        "WARNING: JSONArgsRecommended - "
        "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "Dockerfile:4\n"
        "--------------------\n"
        "   2 |     \n"
        "   3 |     # why\n"
        "   4 | >>> CMD x\n"
        "   5 |     \n"
        "   6 |     RUN a \\\n"
        "--------------------\n"
    )
    assert checked("FROM a").report == "Check complete, no warnings found.\n"
    assert "2 warnings have been found!" in checked("FROM a AS Bad\nCMD x").report


@pytest.mark.parametrize(
    ("rule", "page"),
    [
        ("StageNameCasing", "stage-name-casing"),
        ("JSONArgsRecommended", "json-args-recommended"),
        ("UndefinedArgInFrom", "undefined-arg-in-from"),
        ("FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed"),
    ],
)
def test_pages(rule, page):
    finding = Finding(line=1, end_line=1, rule=rule, detail="x")
    assert finding.url == f"https://docs.docker.com/go/dockerfile/rule/{page}/"


@pytest.mark.parametrize(
    ("name", "near"), [("foo", "fo"), ("fox", "fo"), ("bar", ""), ("nothing", ""), ("FOO", "")]
)
def test_suggestions(name, near):
    assert suggest(name, ["fo", "bar"]) == near


@given(text=st.text(alphabet="FROMCDP #=\\\n$a{}:<\"'[]-,", max_size=60))
def test_any_text_is_checked(text):
    result = checked(f"FROM a\n{text}")
    assert result.report.startswith("Check complete")
