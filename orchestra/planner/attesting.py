"""What is asked of a build to say of itself: provenance and a bill of materials. Pure.

The words are buildx's: true, false, or fields such as mode=max,version=v0.2.
"""

from __future__ import annotations

from enum import StrEnum

from orchestra.errors import BuildError
from orchestra.values import dataclass

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Mode(StrEnum):
    """How much provenance tells: all, or no values of arguments and no names of secrets."""

    MIN = "min"
    MAX = "max"


class Version(StrEnum):
    """The version of SLSA's format."""

    V1 = "v1"
    V02 = "v0.2"


_MODES = {"min": Mode.MIN, "max": Mode.MAX, "full": Mode.MAX}
_VERSIONS = {str(version): version for version in Version}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How much a build tells of how it was done, and in which version of SLSA's format."""

    mode: Mode = Mode.MAX
    version: Version = Version.V1
    builder_id: str = ""
    reproducible: bool = False
    filename: str = "provenance.json"
    inline_only: bool = False
    """It goes with images only, and not beside exported files."""


def parse_provenance(text: str) -> Provenance | None:
    """Read --provenance or build.provenance; None asks for none.

    :raises BuildError: when a field or a value is not known.
    """
    fields = _fields(text, "provenance")
    if fields is None:
        return None
    unknown = fields.keys() - {
        "mode", "version", "builder-id", "reproducible", "inline-only", "filename",
    }  # fmt: skip
    if unknown:
        raise BuildError(
            f'provenance has no field "{min(unknown)[:50]}"',
            hint="its fields are mode, version, builder-id, reproducible",
        )
    mode, version = fields.get("mode", "max"), fields.get("version", "v1")
    if mode not in _MODES or version not in _VERSIONS:
        raise BuildError(
            f'"{text[:100]}" is no value for provenance',
            hint="mode is min or max, version is v1 or v0.2",
        )
    return Provenance(
        mode=_MODES[mode],
        version=_VERSIONS[version],
        builder_id=fields.get("builder-id", ""),
        reproducible=_flag(fields.get("reproducible", "false"), "reproducible"),
        filename=_filename(fields.get("filename", "")),
        inline_only=_flag(fields.get("inline-only", "false"), "inline-only"),
    )


def parse_sbom(text: str) -> bool:
    """Read --sbom or build.sbom.

    :raises BuildError: when a scanner is named: no other image is run for it.
    """
    fields = _fields(text, "sbom")
    if fields:
        raise BuildError(
            f'"{text[:100]}" is no value for sbom',
            hint="it is true or false: orchestra looks for the packages itself, and runs no "
            "scanner's image",
        )
    return fields is not None


def _fields(text: str, what: str) -> dict[str, str] | None:
    """Read "a=b,c=d"; None is false, nothing is true."""
    if text in _FALSE or not text:
        return None
    if text in _TRUE:
        return {}
    pairs = [part.partition("=") for part in text.split(",")]
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    if not all(equals for _, equals, _ in pairs):
        raise BuildError(f'"{text[:100]}" is no value for {what}', hint="write true or false")
    if fields.pop("type", what) != what:
        raise BuildError(f'"{text[:100]}" is no value for {what}')
    return None if _flag(fields.pop("disabled", "false"), "disabled") else fields


def _filename(text: str) -> str:
    name = text.rpartition("/")[2]
    return "provenance.json" if name in {"", ".", ".."} else name


def _flag(text: str, what: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise BuildError(f'"{text[:50]}" is no value for {what}', hint="write true or false")
    return text in _TRUE
