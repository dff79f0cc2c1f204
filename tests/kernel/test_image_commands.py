"""The image commands on a real store and a registry on loopback, through the command line."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from support import images
from support.gitserver import git_server
from support.machine import Run
from support.registry import Handler, Registry
from support.storecheck import check_store, leftovers

from orchestra.engine.events import Event, Progress
from orchestra.engine.image.document import encode_manifest
from orchestra.engine.image.store import ImageStore
from orchestra.engine.local.library import ImageLibrary
from orchestra.engine.paths import Paths
from orchestra.engine.state.store import Store
from orchestra.engine.wiring import Machine
from orchestra.oci.digest import digest_of
from orchestra.oci.image import LAYER_TAR, Descriptor, History, Layer
from orchestra.planner.building import BuildSpec
from orchestra.planner.observed import ObservedContainer, Phase

pytestmark = pytest.mark.kernel


def made(text: str, **fields: object) -> images.MadeImage:
    return images.image([images.layer([images.file("f", text.encode())])], **fields)


@pytest.fixture
def three(store: ImageStore) -> ImageStore:
    """old and new, labelled, and one without a name."""
    images.store_image(
        store, "old:1", made("o", created="2020-01-01T00:00:00Z", labels={"stage": "prod"})
    )
    images.store_image(store, "team/new:2", made("n", created="2024-01-01T00:00:00.123456789Z"))
    images.store_image(store, "gone:1", made("g", created="2022-01-01T00:00:00Z"))
    images.store_image(store, "gone:1", made("h", created="2023-01-01T00:00:00Z"))
    return store


def names(output: str) -> list[str]:
    return output.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["team/new:2", "gone:1", "<none>:<none>", "old:1"]),
        (("-a",), ["team/new:2", "gone:1", "<none>:<none>", "old:1"]),
        (("old",), ["old:1"]),
        (("o*",), ["old:1"]),
        (("*:1",), ["gone:1", "old:1"]),
        (("team/*",), ["team/new:2"]),
        (("--filter", "dangling=true"), ["<none>:<none>"]),
        (("--filter", "dangling=false"), ["team/new:2", "gone:1", "old:1"]),
        (("--filter", "label=stage"), ["old:1"]),
        (("--filter", "label=stage=dev"), []),
        (("--filter", "before=gone:1"), ["<none>:<none>", "old:1"]),
        (("-f", "since=gone:1"), ["team/new:2"]),
        (("-f", "reference=*w"), []),
        (("ol?",), ["old:1"]),
        (("[a-p]l[^x]:[12]",), ["old:1"]),
        (("[",), []),
        (("-f", "reference=*/*w"), ["team/new:2"]),
        (("-f", "until=2022-06-01T00:00:00Z"), ["<none>:<none>", "old:1"]),
    ],
    ids=" ".join,
)
def test_images_are_listed_newest_first_and_filtered(
    three: ImageStore, run: Run, words: tuple[str, ...], expected: list[str]
) -> None:
    code, out, err = run("image", "ls", *words, "--format", "{{.Repository}}:{{.Tag}}")
    assert (code, names(out), err) == (0, expected, "")


def test_table_has_dockers_columns(three: ImageStore, run: Run) -> None:
    image = three.get("old:1")
    assert image is not None
    lines = run("image", "ls", "old")[1].splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert lines[1].split()[:3] == ["old", "1", image.id[7:19]]
    assert run("image", "ls", "-q", "old")[1] == f"{image.id[7:19]}\n"
    assert run("image", "list", "-q", "--no-trunc", "old")[1] == f"{image.id}\n"
    assert "DIGEST" in run("image", "ls", "--digests")[1]
    row = json.loads(run("image", "ls", "--format", "json", "old")[1])
    assert (row["Repository"], row["Tag"], row["Digest"]) == ("old", "1", "<none>")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("image", "ls", "--filter", "colour=red"), 'invalid filter "colour=red"'),
        (("image", "ls", "--filter", "dangling=perhaps"), 'invalid filter "dangling=perhaps"'),
        (("image", "ls", "--filter", "before=nope"), 'no image "nope" here'),
        (("image", "prune", "-f", "--filter", "before=x"), 'invalid filter "before=x"'),
        (("image", "frobnicate"), 'unknown command "image frobnicate"'),
        (("image", "ls", "[z-a]"), '"[z-a]" is no pattern'),
        (("tag", "nope", "x"), 'no image "nope" here'),
        (("tag", "old:1", "X:1"), '"X:1" is not an image reference'),
        (("tag", "old:1", "x@sha256:" + "0" * 64), "that is a digest"),
        (("rmi", "nope"), 'no image "nope" here'),
        (("history", "nope"), 'no image "nope" here'),
        (("save", "nope", "-o", "x.tar"), 'no image "nope" here'),
        (("load", "-i", "nope.tar"), 'cannot read "nope.tar": no such file'),
        (("import", "https://x/y.tar"), "from a file or stdin only"),
        (("image", "push", "nope:1"), "it is not in the store"),
        (("image", "push", "-a", "old:1"), 'cannot use all tags of "old:1": it names one of them'),
        (("image", "push", "-a", "nope"), 'no image "nope" here'),
    ],
    ids=lambda value: "_".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_told_in_one_line(
    three: ImageStore, run: Run, words: tuple[str, ...], message: str
) -> None:
    code, out, err = run(*words)
    assert code != 0
    assert message in err.splitlines()[0]
    assert out == ""
    assert "Traceback" not in err


def test_a_group_without_a_command_shows_its_help(run: Run) -> None:
    for group in ("image", "system"):
        code, out, _ = run(group)
        assert code == 0
        assert out.startswith(f"Usage: orchestra {group} ")


def test_history_is_newest_first(store: ImageStore, run: Run) -> None:
    low, high = images.layer([images.file("a")]), images.layer([images.file("b")])
    history = (
        History(created_by="ADD a", created="2020-01-01T00:00:00Z"),
        History(created_by="ENV x=1", empty_layer=True),
        History(created_by="ADD " + "b" * 80, comment="said"),
    )
    image = images.store_image(store, "x:1", images.image([low, high], history=history))
    rows = [json.loads(line) for line in run("history", "x:1", "--format", "json")[1].splitlines()]
    assert [row["ID"] for row in rows] == [image.id[7:19], "<missing>", "<missing>"]
    assert rows[0]["Comment"] == "said"
    assert len(rows[0]["CreatedBy"]) == 45
    assert [row["Size"] == "0B" for row in rows] == [False, True, False]
    whole = run("history", "--no-trunc", "--human=false", "x:1", "--format", "{{.CreatedBy}}")[1]
    assert "b" * 80 in whole


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("2020-01-01T00:00:00.123456789Z", 2020),
        ("2020-01-01T00:00:00", 2020),
        ("yesterday", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
    ],
    ids=["nanoseconds", "no zone", "malformed", "none in Go", "too early", "too late"],
)
def test_a_strange_creation_time_stops_no_command(
    store: ImageStore, paths: Paths, run: Run, text: str, year: int | None
) -> None:
    history = (History(created_by="ADD a", created=text),)
    image = images.store_image(store, "x:1", made("a", created=text, history=history))
    for words in (("image", "ls"), ("image", "history", "x:1")):
        code, out, err = run(*words, "--format", "{{.CreatedSince}}")
        assert (code, err) == (0, "")
        assert out.endswith(" ago\n") if year else out == "N/A\n", words
    container = observed(image_id=image.id, image="x:1")
    library = ImageLibrary(paths, Store(paths), store, NotImplemented, lambda: ())
    created = library.image_of(container).created
    assert (created.year if created else None) == year


def observed(**fields: str) -> ObservedContainer:
    return ObservedContainer(
        id="ab" * 32,
        name="shop-web-1",
        service="web",
        number=1,
        config_hash="v1:",
        phase=Phase.EXITED,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        **fields,  # type: ignore[arg-type]
    )


def test_inspect_gives_dockers_document(three: ImageStore, run: Run) -> None:
    image = three.get("old:1")
    assert image is not None
    [document] = json.loads(run("image", "inspect", image.id[7:19])[1])
    assert document["Id"] == image.id
    assert document["RepoTags"] == ["old:1"]
    assert document["Config"]["Labels"] == {"stage": "prod"}
    assert document["RootFS"]["Layers"] == list(image.config.diff_ids)
    code, out, err = run("image", "inspect", "old:1", "nope", "-f", "{{.Os}}/{{.Architecture}}")
    assert (code, out) == (5, "linux/amd64\n")
    assert 'no image "nope" here' in err


def test_what_an_image_says_of_itself_does_not_drive_the_terminal(
    store: ImageStore, run: Run
) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\u202egpj"
    images.store_image(store, "hostile:1", made("x", labels={"a": hostile}))
    for words in ((), ("-f", "json"), ("-f", "{{.Config.Labels}}"), ("-f", "{{json .Config}}")):
        code, out, _ = run("image", "inspect", *words, "hostile:1")
        assert code == 0
        assert "owned" in out
        assert not set("\x1b\x07\x9b\u202e") & set(out), words


def test_a_tag_is_one_more_name(three: ImageStore, run: Run) -> None:
    assert run("image", "tag", "old:1", "registry.example:5000/old")[0] == 0
    assert three.get("registry.example:5000/old:latest") == three.get("old:1")
    code, out, _ = run("rmi", "old:1")
    assert (code, out) == (0, "Untagged: old:1\n")
    assert three.get("registry.example:5000/old") is not None


def test_a_name_that_moves_leaves_its_digest_behind(
    store: ImageStore, run: Run, registry: Registry
) -> None:
    for tag in ("1", "2"):
        images.publish(registry, "x", tag, made(tag))
        assert run("image", "pull", "-q", f"{registry.address}/x:{tag}")[0] == 0
    one, two = (f"{registry.address}/x:{tag}" for tag in ("1", "2"))
    run("tag", one, two)
    run("tag", one, "elsewhere:1")
    rows = run("image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}")[1].splitlines()
    digest = made("1").digest
    assert set(rows) == {
        f"{one} {digest}",
        f"{two} {digest}",
        "elsewhere:1 <none>",
        "<none>:<none> <none>",
    }


def test_prune_clears_away_what_is_damaged(three: ImageStore, run: Run, paths: Paths) -> None:
    image = three.get("old:1")
    assert image is not None
    three.blob_path(image.id).write_bytes(b"{}")
    code, _, err = run("image", "inspect", "old:1")
    assert code == 5
    assert "pull or build the image again" in err
    assert run("image", "prune", "-f")[0] == 0
    assert check_store(paths) == []
    assert {line.reference for line in three.list()} == {
        "docker.io/library/gone:1",
        "docker.io/team/new:2",
    }


def test_the_last_name_takes_the_image_with_it(three: ImageStore, run: Run) -> None:
    image = three.get("old:1")
    assert image is not None
    code, out, _ = run("rmi", "old:1")
    assert code == 0
    assert out.splitlines()[:2] == ["Untagged: old:1", f"Deleted: {image.id}"]
    assert not three.has_blob(image.id)
    assert not three.has_blob(image.layers[0].descriptor.digest)
    assert three.get("gone:1") is not None
    assert len(names(run("image", "ls", "-q")[1])) == 3, "others, also the nameless, stay"


def test_an_id_with_names_in_several_repositories_asks_for_force(
    three: ImageStore, run: Run
) -> None:
    run("tag", "old:1", "other:1")
    image = three.get("old:1")
    assert image is not None
    code, _, err = run("rmi", image.id[7:19])
    assert code == 5
    assert "names in several repositories" in err
    assert run("rmi", "-f", image.id[7:19])[0] == 0
    assert three.get("old:1") is three.get("other:1") is None


def test_what_cannot_go_does_not_keep_the_others(three: ImageStore, run: Run) -> None:
    code, out, err = run("rmi", "nope:1", "old:1", "nope:2")
    assert code == 5
    assert "Untagged: old:1" in out
    assert err.count("no image") == 2


def test_prune_takes_the_nameless_and_with_all_everything(three: ImageStore, run: Run) -> None:
    code, _, err = run("image", "prune")
    assert code == 2
    assert "--force" in err, "there is no terminal to ask at"
    assert len(three.list()) == 4
    _, out, _ = run("image", "prune", "-f")
    assert out.startswith("Deleted Images:\ndeleted: sha256:")
    assert "Total reclaimed space: " in out
    assert sorted(line.reference for line in three.list() if line.reference) != []
    assert len(three.list()) == 3
    run("image", "prune", "-af", "--filter", "label!=stage")
    assert [line.reference for line in three.list()] == ["docker.io/library/old:1"]
    run("image", "prune", "-af", "--filter", "until=2019-01-01T00:00:00Z")
    assert len(three.list()) == 1
    run("image", "prune", "-af")
    assert (three.list(), three.blobs()) == ((), ())


def test_disk_usage_counts_shared_layers_once(store: ImageStore, run: Run) -> None:
    shared = images.layer([images.file("big", bytes(range(256)) * 4000)])
    for name in ("a:1", "b:1"):
        own = images.layer([images.file(name)])
        images.store_image(store, name, images.image([shared, own]))
    rows = {
        row["Type"]: row
        for row in map(json.loads, run("system", "df", "--format", "json")[1].splitlines())
    }
    assert rows["Images"]["TotalCount"] == "2"
    assert rows["Images"]["Active"] == "0"
    assert set(rows) == {"Images", "Containers", "Local Volumes", "Build Cache"}
    assert "a:1" in run("system", "df", "-v")[1]


def test_pull_and_push_through_the_command_line(
    store: ImageStore, run: Run, registry: Registry
) -> None:
    registry.page = 1
    for tag in ("1", "2"):
        images.publish(registry, "x", tag, made(tag))
    name = f"{registry.address}/x"
    assert run("image", "pull", "-q", f"{name}:1")[1] == f"{name}:1\n"
    assert run("image", "pull", "-q", "-a", name)[1] == f"{name}:1\n{name}:2\n"
    code, _, err = run("image", "pull", "-a", f"{name}:1")
    assert code == 5
    assert "names one of them" in err
    run("tag", f"{name}:1", f"{registry.address}/y:1")
    code, out, err = run("image", "push", f"{registry.address}/y:1")
    digest = registry.manifests["y", "1"]
    assert code == 0
    assert out.startswith("1: digest: sha256:")
    assert digest[1] == registry.manifests["x", "1"][1]
    run("tag", f"{name}:2", f"{registry.address}/y:2")
    assert run("image", "push", "-aq", f"{registry.address}/y")[1].split() == [
        f"{registry.address}/y:1",
        f"{registry.address}/y:2",
    ]
    assert run("search", f"{registry.address}/x")[0] != 0, "this registry has no catalog"


def plain_image(text: str) -> images.MadeImage:
    """Make an image whose one layer is not packed."""
    tar = images.tar([images.file("f", text.encode())])
    descriptor = Descriptor(media_type=LAYER_TAR, digest=digest_of(tar), size=len(tar))
    return images.image([images.Blob(Layer(diff_id=digest_of(tar), descriptor=descriptor), tar)])


def test_a_push_that_packs_an_image_leaves_no_twin(
    store: ImageStore, run: Run, registry: Registry
) -> None:
    name, other = f"{registry.address}/x:1", f"{registry.address}/y:1"
    old = images.store_image(store, name, plain_image("p"))
    assert run("image", "push", name)[0] == 0
    new = store.get(name)
    assert new is not None
    assert (new.id, new.manifest == old.manifest) == (old.id, False)
    assert [line.reference for line in store.list()] == [name]
    images.store_image(store, name, plain_image("p"))
    run("tag", name, other)
    assert run("image", "push", name)[0] == 0
    kept = store.get(other)
    assert kept is not None
    assert kept.manifest == old.manifest, "another name keeps what it named"


def test_prune_says_nothing_of_an_image_that_stays(
    store: ImageStore, run: Run, registry: Registry
) -> None:
    """Two manifests of one image, one of them without a name."""
    images.store_image(store, "x:1", plain_image("p"))
    made = plain_image("p")
    packed = images.layer([images.file("f", b"p")])
    again = images.MadeImage(made.config, encode_manifest(made.config, [packed.layer]), (packed,))
    image = images.store_image(store, "x:1", again)
    assert len(store.list()) == 2
    code, out, _ = run("image", "prune", "-f")
    assert (code, "untagged" in out, "deleted" in out) == (0, False, False), out
    assert store.get("x:1") == image
    assert run("image", "prune", "-af")[1].splitlines()[1:3] == [
        "untagged: x:1",
        f"deleted: {image.id}",
    ]


def test_pull_tells_whether_there_was_something_new(
    store: ImageStore, run: Run, registry: Registry
) -> None:
    images.publish(registry, "x", "1", made("1"))
    name = f"{registry.address}/x:1"
    digest = f"Digest: {made('1').digest}"
    fresh = [digest, f"Status: Downloaded newer image for {name}", name]
    assert run("image", "pull", name)[1].splitlines() == fresh
    known = [digest, f"Status: Image is up to date for {name}", name]
    assert run("image", "pull", name)[1].splitlines() == known
    images.publish(registry, "x", "1", made("2"))
    assert "Downloaded newer image" in run("image", "pull", name)[1]
    assert len(store.list()) == 2, "the old one has lost its name"


def test_search_asks_a_registry_for_its_list(run: Run, registry: Registry) -> None:
    def catalog(handler: Handler) -> bool:
        if "last=" in handler.path:
            handler.answer(200, b'{"repositories": ["team/web-x"]}')
        else:
            link = '</v2/_catalog?last=b>; rel="next"'
            handler.answer(200, b'{"repositories": ["db", "web"]}', Link=link)
        return True

    registry.faults["/v2/_catalog"] = catalog
    code, out, _ = run("search", f"{registry.address}/web", "--format", "{{.Name}}")
    assert (code, out.split()) == (0, [f"{registry.address}/{n}" for n in ("team/web-x", "web")])

    def search(handler: Handler) -> bool:
        results = [
            {"name": "a/web", "description": "d " * 60, "star_count": 7, "is_official": True},
            {"name": "b/web", "description": "", "star_count": 1},
            {"name": 3},
        ]
        handler.answer(200, json.dumps({"results": results}).encode())
        return True

    registry.faults["/v1/search"] = search
    rows = run("search", f"{registry.address}/web", "-f", "stars=2")[1].splitlines()
    assert rows[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert len(rows) == 2
    assert rows[1].endswith("7       [OK]")
    assert run("search", "x", "--limit", "0")[0] == 2
    assert run("search", "x", "-f", "colour=red")[0] == 2


def test_archives_go_through_pipes_and_never_to_a_terminal(
    store: ImageStore, tmp_path: Path
) -> None:
    image = images.store_image(store, "x:1", made("x"))
    program = [sys.executable, "-m", "orchestra"]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    archive = subprocess.run(
        [*program, "save", "x:1"], env=environment, capture_output=True, check=True
    ).stdout
    store.untag("x:1")
    said = subprocess.run(
        [*program, "load"], env=environment, input=archive, capture_output=True, check=True
    ).stdout
    assert said == b"Loaded image: x:1\n"
    assert store.get("x:1") == image
    leader, follower = os.openpty()
    try:
        for words in (["save", "x:1"], ["load"], ["import", "-"]):
            done = subprocess.run(
                [*program, *words],
                env=environment,
                stdin=follower,
                stdout=follower,
                stderr=subprocess.PIPE,
                check=False,
            )
            assert done.returncode == 2
            assert b"terminal" in done.stderr
    finally:
        os.close(leader)
        os.close(follower)
    assert (
        subprocess.run(
            [*program, "save", "x:1", "-o", str(tmp_path / "no/such/place")],
            env=environment,
            capture_output=True,
            check=False,
        ).returncode
        == 2
    )


def test_layers_of_the_build_cache_outlive_their_images(
    store: ImageStore, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    (tmp_path / "f").write_text("x")
    built = run("image", "build", "-q", "-t", "x:1", ".")[1]
    image = store.get("x:1")
    assert image is not None
    run("rmi", "x:1")
    run("image", "prune", "-af")
    layer = image.layers[0].descriptor
    assert store.blobs() == (layer.digest,), "the layer is the cache's, the documents are not"
    cache = json.loads(run("system", "df", "--format", "json")[1].splitlines()[-1])
    assert cache["Type"] == "Build Cache"
    assert cache["Reclaimable"] != "0B"
    assert run("image", "build", "-q", "-t", "x:1", ".")[1] == built, "out of the cache"
    run("rmi", "x:1")
    assert run("system", "prune", "-af")[0] == 0
    assert store.blobs() == ()


def test_compose_push_is_for_services_that_are_built(
    store: ImageStore, run: Run, registry: Registry, tmp_path: Path
) -> None:
    address = registry.address
    (tmp_path / "compose.yaml").write_text(
        f"""
services:
  web: {{image: {address}/web:1, build: {{context: ., tags: ["{address}/web:extra"]}},
        depends_on: [api]}}
  api: {{image: {address}/api:1, build: .}}
  db: {{image: {address}/db:1}}
  nameless: {{build: .}}
"""
    )
    for name in ("web:1", "web:extra", "api:1", "db:1"):
        images.store_image(store, f"{address}/{name}", made(name))
    assert run("push", "-q", "web")[0] == 0
    assert set(registry.manifests) >= {("web", "1"), ("web", "extra")}
    assert ("api", "1") not in registry.manifests
    assert run("push", "-q", "--include-deps", "web")[0] == 0
    assert ("api", "1") in registry.manifests
    code, _, err = run("push", "-q")
    assert code == 0
    assert ("db", "1") not in registry.manifests
    assert "nameless  Skipped" in err
    store.untag(f"{address}/api:1")
    assert run("push", "-q", "api")[0] == 5
    assert run("push", "-q", "--ignore-push-failures", "api")[0] == 0
    assert 'no service "nope"' in run("push", "nope")[2]


def test_build_without_a_tag_leaves_a_nameless_image(
    store: ImageStore, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    (tmp_path / "f").write_text("x")
    code, out, err = run("image", "build", "-q", "--label", "a=b", ".")
    assert (code, err) == (0, "")
    [line] = store.list()
    assert (line.reference, line.image.id) == ("", out.strip())
    assert line.image.config.labels["a"] == "b"
    assert run("image", "build", "-q", "-t", "x:1", "-t", "x:2", ".")[0] == 0
    assert store.get("x:1") is not None
    assert store.get("x:2") is not None
    code, _, err = run("image", "build", "-q", "--build-arg", "A=1", "nowhere")
    assert code == 5
    assert "Traceback" not in err


@contextmanager
def stdin_of(data: bytes) -> Iterator[None]:
    """Let some bytes come in on the descriptor of stdin."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        kept = os.dup(0)
        try:
            os.dup2(file.fileno(), 0)
            yield
        finally:
            os.dup2(kept, 0)
            os.close(kept)


def archive_of(files: dict[str, bytes]) -> bytes:
    return gzip.compress(images.tar([images.file(name, files[name]) for name in files]))


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ((), b"FROM scratch\nLABEL from=stdin\n"),
        ((), archive_of({"Dockerfile": b"FROM scratch\nLABEL from=stdin\nCOPY f /", "f": b"\xff"})),
        (("-f", "d/File"), archive_of({"d/File": b"FROM scratch\nLABEL from=stdin\n"})),
    ],
    ids=["Dockerfile", "tarball", "tarball with a Dockerfile elsewhere"],
)
def test_a_build_takes_its_context_from_stdin(
    store: ImageStore, run: Run, words: tuple[str, ...], data: bytes
) -> None:
    with stdin_of(data):
        code, _, err = run("image", "build", "-q", "-t", "x:1", *words, "-")
    assert (code, err) == (0, "")
    image = store.get("x:1")
    assert image is not None
    assert image.config.labels["from"] == "stdin"


def test_a_build_takes_its_contexts_from_git(store: ImageStore, run: Run, tmp_path: Path) -> None:
    with git_server(tmp_path) as repositories:
        repositories.make("r", Dockerfile="FROM scratch\nCOPY --from=other a /b\n", a="1")
        url = f"{repositories.url}/r.git"
        words = ("--build-context", f"other={url}", url)
        code, _, err = run("image", "build", "-q", "-t", "x:1", *words)
    assert (code, err) == (0, "")
    assert store.get("x:1") is not None


def test_a_context_of_ssh_is_no_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for words in (("--build-context", "x=git@127.0.0.1:nope.git", "."), ("git@127.0.0.1:x.git",)):
        code, _, err = run("image", "build", "-q", *words)
        assert code == 5
        assert "git@127.0.0.1" in err
        assert str(tmp_path) not in err


@pytest.mark.parametrize(
    ("place", "why"),
    [("nowhere/id", 'there is no directory "nowhere"'), (".", "it is a directory")],
)
def test_a_file_for_the_id_that_cannot_be_is_told_before_the_build(
    store: ImageStore, run: Run, tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    code, out, err = run("image", "build", "--iidfile", place, ".")
    assert (code, out) == (2, "")
    assert err == f'cannot write "{place}": {why}\n'
    assert store.list() == ()
    assert run("image", "build", "-q", "--iidfile", "id", ".")[0] == 0
    assert (tmp_path / "id").read_text() == store.list()[0].image.id


def test_a_build_without_a_tag_has_no_name_at_any_moment(
    store: ImageStore, paths: Paths, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    code, out, err = run("image", "build", ".")
    assert code == 0
    assert "orchestra.invalid" not in err
    assert " image  built" in err.splitlines()
    assert run("rmi", out.strip())[0] == 0

    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.action == "built":
            raise InterruptedError

    spec = BuildSpec(context=str(tmp_path), dockerfile=str(tmp_path / "Dockerfile"))
    with pytest.raises(InterruptedError):
        anyio.run(Machine(paths, {}).builds("").build, spec, None, stop)
    assert [(line.reference, line.image.id) for line in store.list()] == [("", out.strip())]


def test_import_makes_an_image_of_a_root(
    store: ImageStore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("etc/hostname"), io.BytesIO())
    code, out, _ = run(
        "import", "-c", 'CMD ["sh"]', "-c", "ENV A=1", "-m", "mine", "root.tar", "root:1"
    )
    assert code == 0
    image = store.get("root:1")
    assert image is not None
    assert out.strip() == image.id
    assert (image.config.cmd, image.config.env[-1]) == (("sh",), "A=1")
    assert [line.comment for line in image.config.history] == ["mine"]
    with io.TextIOWrapper((tmp_path / "root.tar").open("rb")) as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        assert run("import", "-")[0] == 0
    assert len(store.list()) == 2
    assert "RUN is no change" in run("import", "-c", "RUN x", "root.tar")[2]


def test_hostile_root_is_refused(
    store: ImageStore, run: Run, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, entries in {
        "climbs": [images.file("../../../evil")],
        "link": [images.link("d", str(tmp_path)), images.file("d/evil", b"x")],
        "bomb": [images.file("big", bytes(2 << 20))],
    }.items():
        (tmp_path / "root.tar").write_bytes(images.tar(entries))
        monkeypatch.setenv("ORCHESTRA_LAYER_BYTES_MAX", str(1 << 20))
        code, _, err = run("import", "root.tar", "x:1")
        assert (code == 0) is (name == "link"), err
        assert "Traceback" not in err
        assert not (tmp_path / "evil").exists()
        assert (store.get("x:1") is not None) is (name == "link")
        run("image", "prune", "-af")
        assert check_store(paths) == []
        assert leftovers(paths) == []
    assert not Path("/evil").exists()
