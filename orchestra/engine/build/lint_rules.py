"""What a Dockerfile is checked for: BuildKit's rules (frontend/dockerfile/linter), and who asks.

Pure. Names, sentences and addresses are BuildKit's, so that what a project skips there it skips
here. ``# check=skip=RULE,...;error=true;experimental=RULE`` at the top holds for the file, above an
instruction for that one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestra.errors import BuildError
from orchestra.values import dataclass, field, replace

_URL = "https://docs.docker.com/go/dockerfile/rule/"
_SPLIT = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CHECK = re.compile(r"check\s*=\s*(\S+)", re.IGNORECASE)
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_WITHOUT_PAGE = frozenset({"InvalidBaseImagePlatform"})
EXPERIMENTAL = frozenset({"InvalidDefinitionDescription"})
RULES: Mapping[str, str] = {
    "StageNameCasing": "Stage names should be lowercase",
    "FromAsCasing": "The 'as' keyword should match the case of the 'from' keyword",
    "NoEmptyContinuation": "Empty continuation lines will become errors in a future release",
    "ConsistentInstructionCasing": "All commands within the Dockerfile should use the same casing "
    "(either upper or lower)",
    "DuplicateStageName": "Stage names should be unique",
    "ReservedStageName": "Reserved words should not be used as stage names",
    "JSONArgsRecommended": "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended "
    "behavior related to OS signals",
    "MaintainerDeprecated": "The MAINTAINER instruction is deprecated, use a label instead to "
    "define an image author",
    "UndefinedArgInFrom": "FROM command must use declared ARGs",
    "WorkdirRelativePath": "Relative workdir without an absolute workdir declared within the build "
    "can have unexpected results if the base image changes",
    "UndefinedVar": "Variables should be defined before their use",
    "MultipleInstructionsDisallowed": "Multiple instructions of the same type should not be used "
    "in the same stage",
    "LegacyKeyValueFormat": "Legacy key/value format with whitespace separator should not be used",
    "InvalidBaseImagePlatform": "Base image platform does not match expected target platform",
    "RedundantTargetPlatform": "Setting platform to predefined $TARGETPLATFORM in FROM is "
    "redundant as this is the default behavior",
    "SecretsUsedInArgOrEnv": "Sensitive data should not be used in the ARG or ENV commands",
    "InvalidDefaultArgInFrom": "Default value for global ARG results in an empty or invalid base "
    "image name",
    "FromPlatformFlagConstDisallowed": "FROM --platform flag should not use a constant value",
    "CopyIgnoredFile": "Attempting to Copy file that is excluded by .dockerignore",
    "InvalidDefinitionDescription": "Comment for build stage or argument should follow the format: "
    "`# <arg/stage name> <description>`. If this is not intended to be a description comment, add "
    "an empty line or comment between the instruction and the comment.",
    "ExposeProtoCasing": "Protocol in EXPOSE instruction should be lowercase",
    "ExposeInvalidFormat": "IP address and host-port mapping should not be used in EXPOSE "
    "instruction. This will become an error in a future release",
}
"""Name of a rule -> what it is about."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One place that a rule is about."""

    line: int
    end_line: int
    rule: str
    detail: str

    @property
    def url(self) -> str:
        """Return the page about the rule; "" where it has none."""
        if self.rule in _WITHOUT_PAGE:
            return ""
        return f"{_URL}{_SPLIT.sub('-', self.rule).lower()}/"

    @property
    def short(self) -> str:
        """Return the finding in one line, as docker build ends with."""
        return f"{self.rule}: {self.detail} (line {self.line})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintConfig:
    """Which rules count; ``error``: a build that one of them is broken in is refused."""

    skip_all: bool = False
    skip: frozenset[str] = frozenset()
    experimental_all: bool = False
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def counts(self, rule: str) -> bool:
        """Tell whether a rule is looked at."""
        if rule in EXPERIMENTAL:
            return self.experimental_all or rule in self.experimental
        return not self.skip_all and rule not in self.skip

    def merged(self, other: LintConfig) -> LintConfig:
        """Return both together: what either skips is skipped."""
        return replace(
            self,
            skip_all=self.skip_all or other.skip_all,
            skip=self.skip | other.skip,
            experimental_all=self.experimental_all or other.experimental_all,
            experimental=self.experimental | other.experimental,
        )


def read_check(text: str) -> LintConfig:
    """Read "skip=a,b;error=true;experimental=all".

    :raises BuildError: when it is something else.
    """
    config = LintConfig()
    for part in text.strip().split(";", 2) if text.strip() else []:
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        names = frozenset(name.strip() for name in value.split(","))
        if not equals or key not in ("skip", "experimental", "error"):
            raise BuildError(
                f'cannot check: "{part[:50]}" is not a check option',
                hint="write # check=skip=RULE,RULE;error=true",
            )
        if key == "skip":
            config = replace(config, **({"skip_all": True} if value == "all" else {"skip": names}))
        elif key == "experimental":
            every = {"experimental_all": True}
            config = replace(config, **(every if value == "all" else {"experimental": names}))
        elif value in (*_TRUE, *_FALSE):
            config = replace(config, error=value in _TRUE)
        else:
            raise BuildError(f'cannot check: error is true or false, not "{value[:50]}"')
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """Gathers what the rules find, of those that count."""

    config: LintConfig
    findings: list[Finding] = field(default_factory=list)

    def at(self, comments: Sequence[str]) -> Sieve:
        """Return the sieve for an instruction with some comments above it."""
        for comment in comments:
            match = _CHECK.match(comment)
            if match is None:
                continue
            try:
                return replace(self, config=self.config.merged(read_check(match[1])))
            except BuildError:
                return self
        return self

    def add(self, rule: str, line: int, end_line: int, detail: str) -> None:
        """Note that a rule is broken, if it counts."""
        if self.config.counts(rule):
            self.findings.append(Finding(line=line, end_line=end_line, rule=rule, detail=detail))
