"""services.*.build.provenance (compose-spec build.md, provenance and sbom)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.provenance"
COVERS = ("services.*.build.sbom",)

SBOM = "services.*.build.sbom"

CASES = (
    Case("true", "build: {provenance: true}", "true"),
    Case("false", "build: {provenance: false}", "false"),
    Case("mode", "build: {provenance: mode=max}", "mode=max"),
    Case("variable", "build: {provenance: '${P}'}", "mode=min", env={"P": "mode=min"}),
    Case("merged", "build: {provenance: true}", "mode=max", over="build: {provenance: mode=max}"),
    Case("sbom-true", "build: {sbom: true}", "true", key=SBOM),
    Case(
        "sbom-generator",
        "build: {sbom: 'generator=docker/scout-sbom-indexer:latest'}",
        "generator=docker/scout-sbom-indexer:latest",
        key=SBOM,
    ),
    Case("sbom-reset", "build: {sbom: true}", ABSENT, key=SBOM, over="build: {sbom: !reset null}"),
)

WRONG = (
    Wrong(
        "number",
        "build: {provenance: 1}",
        "expected true, false or text, not a number",
        place="4:13",
        hint="write true, false or text here",
    ),
    Wrong(
        "mapping",
        "build: {provenance: {mode: max}}",
        "expected true, false or text, not a mapping",
        place="4:13",
        hint="write true, false or text here",
    ),
    Wrong(
        "sbom-list",
        "build: {sbom: [true]}",
        "expected true, false or text, not a list",
        place="4:13",
        hint="write true, false or text here",
    ),
    Wrong("sbom-fraction", "build: {sbom: 1.5}", "expected true, false or text, not a fraction"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_provenance(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_provenance_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
