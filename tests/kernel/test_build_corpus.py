"""Every Dockerfile of tests/corpus comes to what BuildKit made of it: tree, config, history.

``python -m scripts.differential --buildkit DIR --record`` asks BuildKit and writes its answers.
"""

from __future__ import annotations

import re

import pytest

from orchestra.engine.build.dockerfile import parse_dockerfile
from scripts import known
from scripts.differential.bases import bases
from scripts.differential.case import cases
from scripts.differential.compare import compare
from scripts.differential.ours import Orchestra
from scripts.differential.recipe import archive
from scripts.differential.record import stored
from scripts.differential.running import built
from scripts.differential.server import serve
from scripts.differential.tree import flatten

pytestmark = pytest.mark.kernel
CASES = list(cases())
UNPLACED = {"empty", "ignore-bad-pattern", "stages-target-number", "target-missing"}
"""Failures that are about no line of the file."""


@pytest.fixture(scope="module")
def images():
    return bases()


@pytest.fixture(scope="module")
def server(images, tmp_path_factory):
    with serve(images, tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def ours(images, tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    for directory in (root, *root.parents[:2]):
        directory.chmod(0o755)
    return Orchestra(root, images)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_image_is_what_buildkit_makes(case, ours, images, server):
    mine = built(ours, case, images, server)
    differences = compare(case.name, mine, stored(case.expected))
    left = known.unexplained(differences, known.read(known.BUILDS))
    assert not left, "\n".join(map(str, left))
    if "fails" in mine and case.name not in UNPLACED:
        assert re.match(r"\S+:\d+: (cannot|unknown) ", mine["fails"])


def test_the_corpus_is_large_and_uses_every_instruction():
    assert len(CASES) >= 200
    used = set()
    for case in CASES:
        if "fails" not in stored(case.expected):
            used |= {line.keyword.upper() for line in parse_dockerfile(case.text).lines}
    assert used == {
        "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
        "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    }  # fmt: skip


def test_layers_are_laid_over_each_other():
    low = archive({"f": "1", ".hidden": "2", "d/": {}, "d/a": "3", "d/b": "4"}, "")
    high = archive({".wh.f": "", "d/": {}, "d/.wh..wh..opq": "", "d/c": {"hardlink": "d/n"}} | {"d/n": "5"}, "")  # fmt: skip
    with pytest.raises(KeyError):
        flatten([low, high])  # a link before what it leads to
    high = archive({".wh.f": "", "d/": {}, "d/.wh..wh..opq": "", "d/n": "5", "d/c": {"hardlink": "d/n"}}, "")  # fmt: skip
    tree = flatten([high], (low,))
    assert sorted(tree) == ["/.hidden", "/d", "/d/c", "/d/n"]
    assert tree["/d/c"].names == {"/d/c", "/d/n"}
