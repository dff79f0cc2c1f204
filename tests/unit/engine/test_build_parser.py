"""Lines, words and heredocs of a Dockerfile, against BuildKit's own parser where it can be had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.reading import read_instruction
from orchestra.errors import BuildError

CORPUS = sorted((Path(__file__).parents[2] / "golden" / "dockerfiles").glob("*.Dockerfile"))

# BuildKit's parser starts threads when it is imported, so it lives in a process of its own that
# answers one JSON line per JSON line.
ORACLE = """
import json, sys
try:
    import dockerfile
except ImportError:
    print("absent", flush=True)
    sys.exit(0)
print("ready", flush=True)
for line in sys.stdin:
    try:
        found = [
            [(c.cmd or "").upper(), (c.sub_cmd or "").upper(), c.json, c.start_line, c.end_line,
             list(c.flags), [v for v in c.value if list(c.value) != [""]],
             [[h.name, h.content] for h in c.heredocs]]
            for c in dockerfile.parse_string(json.loads(line))
        ]
    except dockerfile.GoParseError:
        found = None
    print(json.dumps(found), flush=True)
"""


class Oracle:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", ORACLE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.known = self.process.stdout.readline() == "ready\n"

    def parse(self, text):
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def oracle():
    oracle = Oracle()
    try:
        if not oracle.known:
            pytest.skip("the dockerfile package is not installed")
        yield oracle
    finally:
        oracle.close()


def ours(text):
    """Parse as the oracle shows it: pairs without their separator, ONBUILD by its trigger."""
    try:
        lines = parse_dockerfile(text).lines
    except BuildError:
        return None
    found = []
    for line in lines:
        inner = line.trigger or line
        words = inner.arguments
        if inner.keyword.lower() in ("env", "label"):
            words = [word for number, word in enumerate(words) if number % 3 != 2]
        if inner.keyword.lower() == "onbuild" and line.trigger:
            words = []
        heredocs = [[h.name, h.content] for h in line.heredocs] if not line.trigger else []
        found.append(
            [
                line.keyword.upper(),
                line.trigger.keyword.upper() if line.trigger else "",
                inner.json,
                line.line,
                line.end_line,
                list(line.flags),
                list(words),
                heredocs,
            ]
        )
    return found


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus_parses_as_buildkit_does(path, oracle):
    text = path.read_text()
    expected = oracle.parse(text)
    assert expected is not None
    assert ours(text) == expected


def test_corpus_is_there():
    assert len(CORPUS) >= 8


FRAGMENTS = (
    "FROM ", "RUN ", "COPY ", "ADD ", "ENV ", "LABEL ", "ARG ", "ONBUILD ", "CMD ", "HEALTHCHECK ",
    "VOLUME ", "# escape=`\n", "# syntax=x\n", "#c\n", "\n", "\\\n", "`\n", "  \n", " ", "a", "b=",
    "$x", "'", '"', "[", "]", '"a",', "<<EOF", "<<-E", "EOF\n", "E\n", "\tE\n", "<<'Q'", "Q\n",
    "--f=x ", "-- ", "--x ", "\\", "\t", "A=1 ", "\r\n", "{", "}", "# x\\\n", "NONE", "3<<X", "X\n",
)  # fmt: skip


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(parts=st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=14))
def test_anything_parses_as_buildkit_does(parts, oracle):
    text = "".join(parts)
    if "[]" in text or "ONBUILD ONBUILD" in text.replace("\\\n", "").replace("`\n", ""):
        return  # what follows an empty array, and a chained trigger, the older oracle sees otherwise
    assert ours(text) == oracle.parse(text)


def arguments(text):
    return parse_dockerfile(text).lines[0].arguments


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RUN a \\\n# comment\n  b", ("a   b",)),
        ("RUN a \\\n\n b", ("a  b",)),
        ("ENV A=1 B='2 3'", ("A", "1", "=", "B", "'2 3'", "=")),
        ("ENV A b  c", ("A", "b  c", "")),
        ('CMD ["a", "b\\u00e9"]', ("a", "bé")),
        ("CMD [a, b]", ("[a, b]",)),
        ("COPY  a   b  /c/", ("a", "b", "/c/")),
        ("EXPOSE 80\t90", ("80", "90")),
    ],
)
def test_arguments(text, words):
    assert arguments(text) == words


def test_escape_directive_changes_continuation():
    document = parse_dockerfile("# escape=`\nRUN a `\n b\\\nRUN c")
    assert [line.arguments for line in document.lines] == [("a  b\\",), ("c",)]
    assert document.escape == "`"


def test_syntax_directive_is_read_and_nothing_more():
    document = parse_dockerfile("# syntax=docker/dockerfile:1\nFROM a")
    assert document.directives == {"syntax": "docker/dockerfile:1"}


def test_directive_after_a_comment_is_a_comment():
    assert parse_dockerfile("# hi\n# escape=`\nRUN a \\\n b").lines[0].arguments == ("a  b",)


def test_heredocs_keep_quoting_and_tabs_apart():
    document = parse_dockerfile("COPY <<a <<-'b' /x/\n$v\na\n\t$v\n\tb\n")
    first, second = document.lines[0].heredocs
    assert (first.text, first.expand) == ("$v\n", True)
    assert (second.text, second.expand) == ("$v\n", False)


def test_heredoc_name_after_a_blank_is_taken():
    (line,) = parse_dockerfile("RUN cat << EOF\nhi\nEOF").lines
    assert [heredoc.name for heredoc in line.heredocs] == ["EOF"]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("FROM a\n\nRUN <<X\nhi\n", 3, "no end"),
        ("# escape=x\nFROM a", 1, "escape"),
        ("# escape=`\n# escape=`\nFROM a", 2, "only one"),
        ("FROM a\nENV A", 2, "needs a value"),
        ("FROM a\nENV A=1 B", 2, "name=value"),
        ('FROM a\nCMD ["a", 1]', 2, "strings only"),
        ("# nothing\n", 0, "no instruction"),
    ],
)
def test_grammar_errors_name_the_line(text, line, why):
    with pytest.raises(BuildError, match=why) as caught:
        parse_dockerfile(text, "web/Dockerfile")
    assert caught.value.location.file == "web/Dockerfile"
    assert caught.value.location.line == line


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("FRM a", 'unknown instruction "FRM"'),
        ("FROM a b", "IMAGE AS NAME"),
        ("FROM a AS 1x", "name for a stage"),
        ("COPY a", "destination"),
        ("COPY --parents a /b/", "--parents is not supported"),
        ("ADD --keep-git-dir=true a b", "--keep-git-dir is not supported"),
        ("COPY --nope a b", 'unknown flag "--nope"'),
        ("COPY --chown a b", "--chown needs a value"),
        ("COPY --from=a --from=b a b", "given twice"),
        ("RUN --mount=type=ssh true", "type=ssh is not supported"),
        ("RUN --security=insecure true", "--security=insecure is not supported"),
        ("RUN --device=x true", "--device is not supported"),
        ("RUN --network=lan true", "not a network"),
        ("SHELL a b", "JSON array"),
        ("HEALTHCHECK --interval=1x CMD a", "not a duration"),
        ("HEALTHCHECK --interval=1us CMD a", "less than 1ms"),
        ("HEALTHCHECK NONE a", "no arguments"),
        ("HEALTHCHECK maybe", "not known"),
        ("ONBUILD FROM a", "not allowed"),
        ("ONBUILD ONBUILD RUN a", "not allowed"),
        ("WORKDIR", "exactly one"),
        ("VOLUME [\" \"]", "empty"),
        ("ARG =1", "blank"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_name(text, why):
    (line,) = parse_dockerfile(f"#\n{text}", "Dockerfile").lines
    with pytest.raises(BuildError, match=why) as caught:
        read_instruction(line, "Dockerfile")
    assert caught.value.location.line == 2


def test_healthcheck_durations_add_up():
    (line,) = parse_dockerfile(
        "HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=4 CMD a b"
    ).lines
    check = read_instruction(line).check
    assert (check.interval_ns, check.timeout_ns, check.retries) == (90 * 10**9, 1500 * 10**6, 4)
    assert check.test == ("CMD-SHELL", "a b")
