"""Builds of which nothing has changed are found without a step; whatever changes is seen."""

import os
from pathlib import Path

import anyio
import pytest
from support.builds import AMD64, join_workers

from orchestra.engine.build.settled import SettledBuilds
from orchestra.planner.building import BuildSpec
from orchestra.planner.exchange import CachePlace

pytestmark = pytest.mark.kernel

TEXT = """\
FROM test/box AS tools
COPY tool /tool
FROM test/box
ARG GREETING=hello
COPY *.txt /texts/
RUN --mount=type=bind,source=shown,target=/shown cat /shown/* > /seen
COPY --from=tools /tool /tool
LABEL greeting=$GREETING
"""


@pytest.fixture
def project(builder):
    """A context whose build takes files by name, by pattern, and by a mount."""
    builder.write(tool="tool", one_txt="one", two_txt="two", shown__inner="shown", other="other")
    (builder.context / ".dockerignore").write_text("hidden*\n")
    builder.build(TEXT)
    return builder


def settled(builder, text=TEXT, names=("test/result",), **spec):
    """Return what is known of a build without doing it."""
    dockerfile = builder.root / "Dockerfile"
    dockerfile.write_text(text)
    known = SettledBuilds(
        builder.store,
        builder.paths,
        platform=AMD64,
        variables=builder.variables,
        scope=builder.scope,
    )
    full = {"context": str(builder.context), "dockerfile": str(dockerfile), "network": "none"}
    look = known.look(BuildSpec(**{**full, **spec}), names)
    return None if look is None else known.find(look)


def test_a_build_is_settled_until_something_changes(project):
    image = project.store.get("test/result")
    found = settled(project)
    assert found is not None
    assert (found.image, found.named) == (image, True)
    assert project.build(TEXT) == image
    assert project.done() == []
    assert project.actions == [*found.actions, "built"]
    assert [action for action in found.actions if "DONE" in action] == []
    assert "[stage-1 4/4] COPY --from=tools /tool /tool CACHED" in found.actions


@pytest.mark.parametrize(
    "change",
    [
        lambda context: (context / "one.txt").write_text("ONE"),
        lambda context: (context / "three.txt").write_text("three"),
        lambda context: (context / "two.txt").unlink(),
        lambda context: (context / "one.txt").rename(context / "1.txt"),
        lambda context: (context / "tool").chmod(0o755),
        lambda context: (context / "shown/inner").write_text("SHOWN"),
        lambda context: (context / "shown/more").write_text("more"),
        lambda context: (context / "tool").unlink(),
        lambda context: (context / ".dockerignore").write_text("two*\n"),
    ],
    ids=["content", "new", "gone", "name", "mode", "mounted", "added", "missing", "ignored"],
)
def test_a_changed_context_unsettles(project, change):
    change(project.context)
    assert settled(project) is None


def test_what_is_not_taken_changes_nothing(project):
    (project.context / "other").write_text("OTHER")
    (project.context / "hidden.txt").write_text("hidden")
    os.utime(project.context / "tool")
    assert settled(project) is not None


@pytest.mark.parametrize(
    "spec",
    [
        {"args": {"GREETING": "hi"}},
        {"labels": {"some": "label"}},
        {"target": "tools"},
        {"network": "host"},
        {"extra_hosts": (("host", "192.0.2.1"),)},
        {"no_cache": True},
        {"pull": True},
        {"no_cache_filter": ("tools",)},
        {"ssh": {"default": ""}},
        {"sbom": True},
        {"platforms": ("linux/amd64", "linux/arm64")},
        {"cache_from": (CachePlace(kind="local", directory="/nowhere"),)},
        {"cache_to": (CachePlace(kind="inline"),)},
        {"text": TEXT + "ENV more=1\n"},
        {"names": ("test/another",)},
        {"names": ()},
        {"context": "https://example.com/context.tar"},
        {"additional_contexts": {"more": "https://example.com/context.tar"}},
        {"dockerfile_inline": "FROM test/box\n"},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_another_question_is_not_settled(project, spec):
    assert settled(project, **spec) is None


def test_variables_that_count_unsettle(project):
    project.variables = {"UNRELATED": "1"}
    assert settled(project) is not None
    project.variables = {"SOURCE_DATE_EPOCH": "1"}
    assert settled(project) is None
    project.variables = {"GREETING": "hi"}
    project.build(TEXT, args={"GREETING": None})
    assert settled(project, args={"GREETING": None}) is not None
    project.variables = {"GREETING": "hello"}
    assert settled(project, args={"GREETING": None}) is None


def test_another_scope_is_not_settled(project):
    project.scope = "another"
    assert settled(project) is None


def test_another_base_unsettles(project):
    base = project.store.get("test/box")
    try:
        project.build("FROM test/box\nLABEL other=base", "test/other")
        project.store.tag(project.store.get("test/other").manifest, "test/box")
        assert settled(project) is None
    finally:
        project.store.tag(base.manifest, "test/box")
    assert settled(project) is not None


def test_a_lost_step_layer_or_image_unsettles(project):
    image = project.store.get("test/result")
    records = sorted(Path(project.paths.build_cache, "records").rglob("*.json"))
    kept = [(record, record.read_bytes()) for record in records]
    for record in records:
        record.unlink()
    assert settled(project) is None
    for record, content in kept:
        record.write_bytes(content)
    assert settled(project) is not None
    project.store.drop_blob(image.layers[-1].descriptor.digest)
    assert settled(project) is None
    rebuilt = project.build(TEXT)
    assert settled(project) is not None
    project.store.drop_blob(rebuilt.id)
    assert settled(project) is None


def test_a_build_without_cache_is_the_one_that_counts(builder):
    text = "FROM test/box\nRUN cat /proc/sys/kernel/random/uuid > /random"
    first = builder.build(text)
    second = builder.build(text, no_cache=True)
    assert first.id != second.id
    assert settled(builder, text).image == second
    assert builder.build(text).id == second.id
    assert builder.done() == []


def test_a_lost_name_is_given_again(project):
    image = project.store.get("test/result")
    project.store.untag("test/result")
    found = settled(project)
    assert found is not None
    assert not found.named
    assert project.build(TEXT) == image
    assert project.done() == []
    assert project.store.get("test/result") == image


def test_warnings_are_told_again(builder):
    text = "FROM test/box\nLABEL some=$missing"
    builder.build(text)
    said = builder.said
    assert "UndefinedVar" in said
    builder.build(text)
    assert builder.said == said


def test_what_comes_from_elsewhere_is_never_settled(builder):
    text = "FROM test/box\nADD http://127.0.0.1:9/none /none\n"
    with pytest.raises(Exception, match="cannot"):
        builder.build(text)
    assert settled(builder, text) is None


def test_additional_contexts_count(builder, tmp_path):
    (tmp_path / "file").write_text("one")
    text = "FROM test/box\nCOPY --from=more file /\n"
    more = {"additional_contexts": {"more": str(tmp_path)}}
    builder.build(text, **more)
    assert settled(builder, text, **more) is not None
    (tmp_path / "file").write_text("two")
    assert settled(builder, text, **more) is None
    builder.build(text, **more)
    assert settled(builder, text, **more) is not None


def test_copies_with_parents_and_excludes_count(builder):
    builder.write(a__b__c_txt="c", a__b__d_md="d")
    text = "FROM test/box\nCOPY --parents a/b/*.txt /p/\nCOPY --exclude=**/*.md a /e/\n"
    builder.build(text)
    (builder.context / "a/b/d.md").write_text("D")
    assert settled(builder, text) is not None
    (builder.context / "a/b/c.txt").write_text("C")
    assert settled(builder, text) is None


def test_a_damaged_record_is_none(project):
    for record in Path(project.paths.build_cache, "settled").iterdir():
        record.write_bytes(record.read_bytes()[:-1])
    assert settled(project) is None
    project.build(TEXT)
    assert project.done() == []
    assert settled(project) is not None


def test_builds_at_once_settle(project):
    async def both():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(project.start, TEXT)
            tasks.start_soon(project.start, TEXT)

    anyio.run(both)
    join_workers()
    assert settled(project) is not None
