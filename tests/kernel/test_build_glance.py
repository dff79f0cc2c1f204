"""Builds that are known by a glance, and those done without an event loop: as ever, but sooner.

What is changed is aged first: of what changed a moment ago nothing is remembered (digests.py).
"""

import json
import os
import time
from pathlib import Path

import pytest

from tests.kernel.test_build_commands import Commands

pytestmark = pytest.mark.kernel

BUILDER = "orchestra.engine.build.builder"
SETTLED = "orchestra.engine.build.settled"
CONTINUING = "orchestra.engine.build.continuing"
WORDS = ("image", "build", "-t", "test/one", "one")
MOMENT_NS = 200_000_000


@pytest.fixture
def commands(tmp_path):
    made = Commands(tmp_path)
    one = tmp_path / "one"
    (one / "Dockerfile").write_text("FROM scratch\nCOPY . /all\nENV some=$thing\n")
    (one / ".dockerignore").write_text("hidden*\n")
    (one / "below").mkdir()
    (one / "below/file").write_text("below")
    (one / "link").symlink_to("file")
    return made


def settle(root: Path) -> None:
    """Wait until nothing in a directory has changed a moment ago."""
    latest = max(os.lstat(path).st_ctime_ns for path in (root, *root.rglob("*")))
    while time.time_ns() < latest + MOMENT_NS:
        time.sleep(0.02)


def known(commands, words=WORDS):
    """Build until a glance is enough; return what it answers and says."""
    commands.run(*words)
    settle(commands.root)
    commands.run(*words)
    answer, said, modules = commands.run(*words)
    assert SETTLED not in modules
    return answer, said


def journals(commands):
    found = sorted((commands.root / "data/build-cache/history").iterdir())
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in found]


def timeless(journal):
    head, *told, end = journal
    del head["id"], head["began_ns"], end["end"]["milliseconds"]
    return head, [entry[1:] for entry in told], end


@pytest.mark.parametrize("words", [WORDS, ("build",), ("build", "two")], ids=" ".join)
def test_a_glance_answers_says_and_records_what_the_whole_way_does(commands, words):
    commands.run(*words)
    settle(commands.root)
    whole = commands.run(*words)
    for path in (commands.root / "data/build-cache/asked").iterdir():
        path.unlink()
    whole = commands.run(*words)
    glance = commands.run(*words)
    assert SETTLED in whole[2]
    assert not {SETTLED, "re", "json", "pathlib", "asyncio"} & glance[2]
    assert glance[:2] == whole[:2]
    count = 2 if words == ("build",) else 1
    told = [timeless(journal) for journal in journals(commands)]
    by_name = {str(each[0]["about"]["names"]): each for each in told[-2 * count : -count]}
    assert {str(each[0]["about"]["names"]): each for each in told[-count:]} == by_name


def change_mode(one):
    (one / "file").chmod(0o711)


def change_link(one):
    (one / "link").unlink()
    (one / "link").symlink_to("below")


def change_content_below(one):
    (one / "below/file").write_text("other")


def change_and_turn_back_the_time(one):
    status = (one / "file").stat()
    (one / "file").write_text("eno")
    os.utime(one / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


def change_what_is_ignored(one):
    (one / ".dockerignore").write_text("below\n")


def change_dockerfile(one):
    (one / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")


def ignore_for_this_file_alone(one):
    (one / "Dockerfile.dockerignore").write_text("below\n")


def add(one):
    (one / "more").write_text("")


def remove(one):
    (one / "below/file").unlink()


def change_mode_of_a_directory(one):
    (one / "below").chmod(0o700)


def remembered(commands, *names):
    return [
        path for name in names for path in (commands.root / "data/build-cache" / name).iterdir()
    ]


def forget(commands, *names):
    for path in remembered(commands, *names):
        path.unlink()


@pytest.mark.parametrize(
    "change",
    [
        change_mode,
        change_link,
        change_content_below,
        change_and_turn_back_the_time,
        add,
        remove,
        change_mode_of_a_directory,
    ],
    ids=lambda change: change.__name__,
)
def test_what_changes_the_image_is_noticed_and_gone_on_with(commands, change):
    answer, _ = known(commands)
    change(commands.root / "one")
    changed, _, modules = commands.run(*WORDS)
    assert CONTINUING in modules
    assert not {BUILDER, SETTLED, "asyncio"} & modules
    assert changed != answer
    forget(commands, "asked", "glances", "settled")
    again, told, modules = commands.run(*WORDS)
    assert BUILDER in modules
    assert again == changed
    assert "DONE" not in told


@pytest.mark.parametrize(
    "change",
    [change_what_is_ignored, change_dockerfile, ignore_for_this_file_alone],
    ids=lambda change: change.__name__,
)
def test_what_changes_how_it_is_built_is_noticed(commands, change):
    answer, _ = known(commands)
    change(commands.root / "one")
    changed, _, modules = commands.run(*WORDS)
    assert BUILDER in modules
    assert "asyncio" not in modules
    assert changed != answer


def touch(one):
    os.utime(one / "file")


def write_the_same(one):
    (one / "file").write_text("one")


def add_what_is_hidden(one):
    (one / "hidden-more").write_text("")


@pytest.mark.parametrize("change", [touch, write_the_same, add_what_is_hidden])
def test_what_changes_nothing_gives_the_same_image(commands, change):
    answer, said = known(commands)
    change(commands.root / "one")
    settle(commands.root)
    again, told, modules = commands.run(*WORDS)
    assert (again, told) == (answer, said)
    assert CONTINUING in modules
    assert not {BUILDER, SETTLED} & modules
    assert CONTINUING not in commands.run(*WORDS)[2]
    assert commands.run(*WORDS)[0] == answer


def test_what_comes_back_by_an_exception_is_noticed(commands):
    one = commands.root / "one"
    (one / ".dockerignore").write_text("below\n!below/kept*\n")
    answer, _ = known(commands)
    (one / "below/kept").write_text("")
    changed, _, _ = commands.run(*WORDS)
    assert changed != answer


def test_a_name_that_leads_elsewhere_is_noticed(commands):
    answer, _ = known(commands)
    commands.run("image", "build", "-t", "test/one", "two")
    assert commands.run(*WORDS)[0] == answer
    commands.run("image", "rm", "test/one")
    assert commands.run(*WORDS)[0] == answer
    assert "test/one" in commands.run("image", "ls")[0]


def test_records_and_blobs_that_are_gone_are_noticed(commands):
    answer, _ = known(commands)
    for path in (commands.root / "data/build-cache/records").glob("*/*.json"):
        path.unlink()
    assert BUILDER in commands.run(*WORDS)[2]
    answer, _ = known(commands)
    blob = commands.root / "data/images/blobs/sha256" / answer.strip().removeprefix("sha256:")
    blob.write_bytes(blob.read_bytes() + b" ")
    assert BUILDER in commands.run(*WORDS)[2]


def test_what_is_remembered_can_be_damaged(commands):
    answer, said = known(commands)
    for name in ("asked", "glances"):
        (path,) = (commands.root / "data/build-cache" / name).iterdir()
        whole = path.read_bytes()
        for end in (0, 10, 64, 65, len(whole) - 1):
            path.write_bytes(whole[:end])
            assert commands.run(*WORDS)[:2] == (answer, said)


def test_a_project_that_is_written_in_another_way_is_read_again(commands):
    known(commands, ("build",))
    file = commands.root / "compose.yaml"
    file.write_text(file.read_text().replace("./two", "{context: ./two, args: {thing: 1}}"))
    _, said, modules = commands.run("build")
    assert BUILDER in modules
    assert "UndefinedVar" in said  # of the other service
    (commands.root / "compose.override.yaml").write_text("services: {one: {labels: {a: b}}}\n")
    assert "yaml" in commands.run("build")[2]


def test_a_variable_of_the_environment_is_noticed(commands, monkeypatch):
    file = commands.root / "compose.yaml"
    file.write_text(file.read_text().replace("./two", "{context: ./two, args: {thing: $THING}}"))
    monkeypatch.setenv("THING", "1")
    known(commands, ("build",))
    monkeypatch.setenv("THING", "2")
    assert BUILDER in commands.run("build")[2]


def test_a_copy_is_done_without_an_event_loop_and_read_by_others(commands):
    commands.run("build")
    forget(commands, "glances")
    (commands.root / "one/file").write_text("changed")
    _, said, modules = commands.run("build")
    assert BUILDER in modules
    assert not {"asyncio", "anyio", "yaml", "ssl", "subprocess", "dataclasses"} & modules
    assert "Image test/one  Built" in said
    answer = commands.run(*WORDS)[0]
    assert answer in commands.run("image", "inspect", "-f", "{{.Id}}", "test/one")[0]


def test_an_attempt_without_an_event_loop_is_told_and_recorded_once(commands):
    text = (
        "FROM scratch AS files\nCOPY file /\n"
        'FROM scratch\nCOPY --from=files /file /\nRUN ["/nothing"]\n'
    )
    (commands.root / "two/Dockerfile").write_text(text)
    _, said, modules = commands.run("image", "build", "-t", "test/two", "two", code=5)
    assert "asyncio" in modules
    told = [line.split("  ", 1)[1] for line in said.splitlines() if line.startswith(" test/two  ")]
    assert "[files 2/2] COPY file / DONE" in told
    assert len(told) == len(set(told))
    (journal,) = journals(commands)
    assert journal[-1]["end"]["status"] == "error"


def test_what_goes_wrong_is_told_and_recorded_once(commands):
    commands.run("build")
    count = len(journals(commands))
    (commands.root / "two/file").unlink()
    _, said, _ = commands.run("build", "two", code=5)
    assert said.count("Image test/two  Building") == 1
    assert '"file" is not there' in said
    new = journals(commands)[count:]
    assert [journal[-1]["end"]["status"] for journal in new] == ["error"]
    _, said, modules = commands.run("image", "build", "-t", "test/two", "two", code=5)
    assert "asyncio" not in modules
    assert said.count("[2/2] COPY file /") == said.count("is not there") == 1
    new = journals(commands)[count + 1 :]
    assert [journal[-1]["end"]["status"] for journal in new] == ["error"]


STEPS = """\
FROM scratch
WORKDIR /work
COPY link same*/ ./
COPY --chmod=600 <<one <<two /written/
1
one
2
two
ENV some=thing
COPY --exclude=below/f* --chown=7:8 . below ./
ADD below /below
WORKDIR /work/deep
LABEL it=is
USER 9
"""


def evidence(commands):
    (glance,) = remembered(commands, "glances")
    (settled,) = remembered(commands, "settled")
    return [json.loads(path.read_bytes().partition(b"\n")[2]) for path in (glance, settled)]


@pytest.mark.parametrize("file", ["more", "file", "below/file", "below/other"])
def test_who_goes_on_leaves_and_tells_what_the_whole_way_does(commands, file):
    one = commands.root / "one"
    (one / "Dockerfile").write_text(STEPS)
    (one / "below/other").write_text("")
    (one / "same").mkdir()
    known(commands)
    (one / file).write_text("first")
    _, first, modules = commands.run(*WORDS)
    assert CONTINUING in modules
    assert "DONE" in first
    (one / file).write_text("second")
    forget(commands, "asked")
    _, second, modules = commands.run(*WORDS)
    assert BUILDER in modules
    (one / file).write_text("third")
    answer, third, modules = commands.run(*WORDS)
    assert CONTINUING in modules
    assert first == second == third
    ends = [timeless(journal) for journal in journals(commands)[-3:]]
    for _, _, end in ends:
        del end["end"]["image"], end["end"]["digest"]
    assert ends[0] == ends[1] == ends[2]
    settle(commands.root)
    assert commands.run(*WORDS)[0] == answer
    ours = evidence(commands)
    image = commands.run("image", "inspect", "test/one")[0]
    names = commands.run("image", "ls", "--no-trunc", "-q")[0]
    assert CONTINUING not in commands.run(*WORDS)[2]
    forget(commands, "asked", "glances")
    answers = commands.run(*WORDS)
    assert SETTLED in answers[2]
    assert BUILDER not in answers[2]
    assert answers[0] == answer
    forget(commands, "asked", "glances", "settled")
    answers = commands.run(*WORDS)
    assert BUILDER in answers[2]
    assert answers[0] == answer
    assert evidence(commands) == ours
    assert commands.run("image", "inspect", "test/one")[0] == image
    assert commands.run("image", "ls", "--no-trunc", "-q")[0] == names


def test_what_was_there_before_is_found_in_the_cache(commands):
    one = commands.root / "one"
    answer, said = known(commands)
    (one / "file").write_text("other")
    assert commands.run(*WORDS)[0] != answer
    (one / "file").write_text("one")
    again = commands.run(*WORDS)
    assert CONTINUING in again[2]
    assert again[:2] == (answer, said)


def test_a_copy_that_leaves_nothing_gives_no_layer(commands):
    one = commands.root / "one"
    (one / "Dockerfile").write_text("FROM scratch\nCOPY below /\nCOPY file /\n")
    known(commands)
    (one / "below/file").unlink()
    answer, _, modules = commands.run(*WORDS)
    assert CONTINUING in modules
    forget(commands, "asked", "glances", "settled")
    assert commands.run(*WORDS)[0] == answer
    (one / "below/file").write_text("again")
    answer, _, modules = commands.run(*WORDS)
    assert CONTINUING in modules
    forget(commands, "asked", "glances", "settled")
    assert commands.run(*WORDS)[0] == answer


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch AS a\nCOPY file /\nFROM scratch\nCOPY --from=a /file /\n",
        "FROM scratch\nCOPY file /\nCOPY --from=test/two /file /other\n",
    ],
    ids=["stages", "an image"],
)
def test_more_than_copies_of_contexts_is_the_whole_ways(commands, text):
    commands.run("build", "two")
    one = commands.root / "one"
    (one / "Dockerfile").write_text(text)
    known(commands)
    (one / "file").write_text("changed")
    assert BUILDER in commands.run(*WORDS)[2]


def test_a_project_of_which_a_file_changed_is_gone_on_with(commands):
    known(commands, ("build",))
    (commands.root / "one/file").write_text("changed")
    _, said, modules = commands.run("build")
    assert CONTINUING in modules
    assert not {BUILDER, SETTLED, "yaml", "signal", "asyncio"} & modules
    assert said.count("Built") == 2
    settle(commands.root)
    commands.run("build")
    answers = commands.run("build")
    assert CONTINUING not in answers[2]
    forget(commands, "asked")
    assert BUILDER not in commands.run("build")[2]  # its notes are there
    (commands.root / "one/file").write_text("again")
    (commands.root / "two/file").write_text("again")
    assert CONTINUING not in commands.run("build")[2]


def test_an_image_that_others_stand_on_is_the_whole_ways(commands):
    (commands.root / "two/Dockerfile").write_text("FROM test/one\nCOPY file /\n")
    commands.run("build", "one")
    known(commands, ("build",))
    (commands.root / "one/file").write_text("changed")
    assert CONTINUING not in commands.run("build")[2]


def test_what_is_remembered_of_a_walk_can_be_gone(commands):
    known(commands)
    forget(commands, "settled")
    (commands.root / "one/file").write_text("changed")
    answer, _, modules = commands.run(*WORDS)
    assert BUILDER in modules
    assert answer
