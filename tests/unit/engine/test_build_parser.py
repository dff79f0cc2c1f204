"""Lines, words and heredocs of a Dockerfile, against BuildKit's own parser where it can be had."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestra.engine.build.dockerfile import parse_dockerfile
from orchestra.engine.build.reading import read_instruction
from orchestra.errors import BuildError

CORPUS = sorted((Path(__file__).parents[2] / "golden" / "dockerfiles").glob("*.Dockerfile"))
BUILT = sorted((Path(__file__).parents[2] / "corpus" / "dockerfiles").glob("*/Dockerfile"))

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
                [] if list(words) == [""] else list(words),
                heredocs,
            ]
        )
    return found


@pytest.mark.oracle
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus_parses_as_buildkit_does(path, oracle):
    text = path.read_text()
    expected = oracle.parse(text)
    assert expected is not None
    assert ours(text) == expected


@pytest.mark.oracle
@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.parent.name)
def test_what_is_built_parses_as_buildkit_does(path, oracle):
    text = path.read_bytes().decode()
    assert ours(text) == oracle.parse(text)


def test_corpus_is_there():
    assert len(CORPUS) >= 8
    assert len(BUILT) >= 200


FRAGMENTS = (
    "FROM ", "RUN ", "COPY ", "ADD ", "ENV ", "LABEL ", "ARG ", "ONBUILD ", "CMD ", "HEALTHCHECK ",
    "VOLUME ", "# escape=`\n", "# syntax=x\n", "#c\n", "\n", "\\\n", "`\n", "  \n", " ", "a", "b=",
    "$x", "'", '"', "[", "]", '"a",', "<<EOF", "<<-E", "EOF\n", "E\n", "\tE\n", "<<'Q'", "Q\n",
    "--f=x ", "-- ", "--x ", "\\", "\t", "A=1 ", "\r\n", "{", "}", "# x\\\n", "NONE", "3<<X", "X\n",
)  # fmt: skip


@pytest.mark.oracle
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


NAMES = st.sampled_from(["a", "B_1", "PATH", "x.y"])
WORDS = st.one_of(
    st.sampled_from(
        [
            "a",
            "./b",
            "$x",
            "${x:-y z}",
            "'q  r'",
            '"s $t"',
            "u\\ v",
            "w;",
            "#c",
            "e\u0301",
            "[",
            "=",
            "&&",
        ]
    ),
    st.text(alphabet="ab$ '\"\\`#=[],", min_size=1, max_size=6),
)
ARRAYS = st.lists(st.text(alphabet="ab \\'$", max_size=4), min_size=1, max_size=3).map(json.dumps)
FLAGS = st.sampled_from(
    ["", "", "--chown=1:2 ", "--mount=type=tmpfs,target='/a b' ", "--x ", "-- "]
)


@st.composite
def heredocs(draw):
    """Return a line's end with one or two documents, and their bodies."""
    head, tail = [], ""
    for name in draw(st.lists(st.sampled_from(["EOF", "E2", "f.txt"]), min_size=1, max_size=2)):
        quote = draw(st.sampled_from(["", "", "'", '"']))
        chomp = draw(st.sampled_from(["", "-"]))
        head.append(f"<<{chomp}{quote}{name}{quote}")
        lines = draw(
            st.lists(st.sampled_from(["a $x", "# no comment", "\tb \\\\", "", "RUN c"]), max_size=3)
        )
        end = draw(st.sampled_from(["", "\t"])) if chomp else ""
        tail += "".join(f"{line}\n" for line in lines) + f"{end}{name}\n"
    return " ".join(head), tail


@st.composite
def instructions(draw):
    """Return a line of a Dockerfile such as people write them, broken here and there."""
    keyword = draw(st.sampled_from(["RUN", "COPY", "ADD", "CMD", "ENTRYPOINT", "VOLUME", "ENV", "LABEL",
                                    "ARG", "EXPOSE", "USER", "WORKDIR", "SHELL", "from", "Onbuild run"]))  # fmt: skip
    words = draw(st.lists(WORDS, min_size=1, max_size=4))
    body, tail = " ".join(words), "\n"
    kind = draw(st.integers(0, 5))
    if keyword in ("ENV", "LABEL", "ARG") and kind:
        body = " ".join(f"{draw(NAMES)}={word}" for word in words)
    elif keyword in ("RUN", "COPY", "ADD", "Onbuild run") and kind == 0:
        documents, tail = draw(heredocs())
        body, tail = f"{draw(st.sampled_from(['', 'cat ', 'x -- ']))}{documents} /t", f"\n{tail}"
    elif kind == 1:
        body = draw(ARRAYS)
    elif kind == 2:
        gap = draw(st.sampled_from(["\\\n  ", "\\ \n# c\n", "\\\n\n", "`\n"]))
        body = f" {gap}".join(words)
    return f"{keyword} {draw(FLAGS)}{body}{tail}"


@pytest.mark.oracle
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    directive=st.sampled_from(
        ["", "# escape=`\n", "# syntax=a/b:1\n# escape=`\n", "# check=skip=all\n"]
    ),
    lines=st.lists(st.one_of(instructions(), st.just("# a comment\n"), st.just("\n")), max_size=6),
)
def test_generated_dockerfiles_parse_as_buildkit_does(directive, lines, oracle):
    text = directive + "FROM a\n" + "".join(lines)
    assume(not re.search(r"\[\s*\]|\"\s*\][^\S\n]*\S", text))  # as above: text after an array
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
        ("ADD --parents a /b/", 'unknown flag "--parents"'),
        ("COPY --keep-git-dir=true a b", 'unknown flag "--keep-git-dir"'),
        ("COPY --parents=2 a b", "true or false"),
        ("COPY --nope a b", 'unknown flag "--nope"'),
        ("COPY --chown a b", "--chown needs a value"),
        ("COPY --from=a --from=b a b", "given twice"),
        ("RUN --mount=type=npipe true", "type=npipe is not supported"),
        ("RUN --security=none true", "not a security mode"),
        ("RUN --device=required true", "--device needs a name"),
        ("RUN --device=a/b=c,required=maybe true", "required is true or false"),
        ("RUN --device=a/b=c,name=d/e=f true", 'comes after the name "a/b=c"'),
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
        ("COPY --from=$X a /b", "--from cannot hold a variable"),
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
