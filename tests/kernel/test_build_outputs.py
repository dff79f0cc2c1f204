"""What becomes of a build: directories, archives, images, pushes; through the command line."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import images
from support.builds import Builder
from support.debian_registry import PASSWORD, USER, DebianRegistry, serve_debian_registry
from support.machine import Run
from support.storecheck import check_store
from support.webserver import web_server

from orchestra.engine.build.local_output import place_files
from orchestra.engine.build.tar_output import write_archive
from orchestra.engine.build.tree import Tree
from orchestra.engine.image.document import encode_descriptor
from orchestra.engine.image.layout_writing import write_layout
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tar import HARD_LINK, Member
from orchestra.engine.linux import host
from orchestra.engine.paths import Paths
from orchestra.errors import BuildError
from orchestra.oci.image import REF_NAME
from orchestra.planner.limits import Resources

pytestmark = pytest.mark.kernel

SECONDS = 1_600_000_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with serve_debian_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def address(run: Run, registry: DebianRegistry, tmp_path: Path) -> str:
    """A registry that we are logged in at."""
    (tmp_path / "config.toml").write_text(
        f'[registry."{registry.address}"]\nca = "{registry.certificate}"\n'
    )
    assert run("login", "-u", USER, "-p", PASSWORD, registry.address)[0] == 0
    return registry.address


@pytest.fixture
def context(tmp_path: Path, store: ImageStore) -> Path:
    """A context whose result has a file that was replaced, one that is gone, links and a mode."""
    layers = [
        images.layer(
            [
                images.file("a/gone", b"1"),
                images.file("a/kept", b"2", mode=0o4755, uid=1000, gid=1001),
                images.file("a/own", b"3", mode=0o4755),
                images.link("link", "a/kept"),
                images.Entry(Member(name="a/again", kind=HARD_LINK, link="a/kept")),
            ]
        ),
        images.layer([images.file("a/.wh.gone", b""), images.file("z", b"z")]),
    ]
    images.store_image(store, "ground:1", images.image(layers))
    (tmp_path / "f").write_text("hello")
    (tmp_path / "Dockerfile").write_text("FROM ground:1\nCOPY f /new/f\n")
    return tmp_path


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


def test_files_come_to_a_directory(
    context: Path, store: ImageStore, paths: Paths, run: Run
) -> None:
    there = context / "out"
    there.mkdir()
    (there / "stays").write_text("mine")
    code, out, err = run("image", "build", "-o", "out", ".")
    assert (code, out) == (0, ""), err
    found = sorted(str(path.relative_to(there)) for path in there.rglob("*"))
    assert found == ["a", "a/again", "a/kept", "a/own", "link", "new", "new/f", "stays", "z"]
    assert (there / "new/f").read_text() == "hello"
    assert str((there / "link").readlink()) == "a/kept"
    assert (there / "a/kept").stat().st_ino == (there / "a/again").stat().st_ino
    assert {owner(path) for path in there.rglob("*")} == {(0, 0)}
    assert stat.S_IMODE((there / "a/kept").stat().st_mode) == 0o755, "the bit was somebody else's"
    assert stat.S_IMODE((there / "a/own").stat().st_mode) == 0o4755
    assert [line.reference for line in store.list()] == ["docker.io/library/ground:1"]
    assert check_store(paths) == []


def test_nothing_is_written_through_a_link(context: Path, run: Run) -> None:
    outside, there = context / "outside", context / "out"
    for directory in (outside, there, there / "z"):
        directory.mkdir()
    (outside / "f").write_text("untouched")
    (there / "new").symlink_to(outside)
    (there / "a").symlink_to("/nowhere")
    (there / "z/full").write_text("replaced with its directory")
    assert run("image", "build", "--output", "type=local,dest=out", ".")[0] == 0
    assert (outside / "f").read_text() == "untouched"
    assert (there / "new/f").read_text() == "hello"
    assert not (there / "new").is_symlink()
    assert (there / "z").read_text() == "z"


def test_files_come_as_an_archive(context: Path, run: Run) -> None:
    code, _, err = run("image", "build", "-q", "-o", "type=tar,dest=out.tar", ".")
    assert (code, err) == (0, "")
    with tarfile.open(context / "out.tar") as archive:
        members = {member.name: member for member in archive}
        assert list(members) == ["a", "a/again", "a/kept", "a/own", "link", "new", "new/f", "z"]
        assert (members["a/again"].uid, members["a/again"].mode) == (1000, 0o4755)
        assert (members["a/kept"].type, members["a/kept"].linkname) == (tarfile.LNKTYPE, "a/again")
        assert members["link"].linkname == "a/kept"
    words = [sys.executable, "-m", "orchestra", "image", "build", "-q", "-o", "-", "."]
    piped = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
    assert piped == (context / "out.tar").read_bytes()


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_times_are_those_of_source_date_epoch(
    context: Path, run: Run, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(SECONDS))
    assert run("image", "build", "-o", f"type={kind},dest=out", ".")[0] == 0
    if kind == "tar":
        with tarfile.open(context / "out") as archive:
            assert {member.mtime for member in archive} == {SECONDS}
    else:
        assert {path.lstat().st_mtime for path in (context / "out").rglob("*")} == {SECONDS}


def skopeo(*words: str) -> dict[str, object]:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ("type=oci,dest=out.tar", "oci-archive:out.tar:1"),
        ("type=docker,dest=out.tar", "docker-archive:out.tar:docker.io/library/x:1"),
        ("type=oci,tar=false,dest=out", "oci:out:1"),
        ("type=oci,dest=out.tar,compression=zstd", "oci-archive:out.tar:1"),
        ("type=oci,tar=false,dest=out,compression=uncompressed", "oci:out:1"),
    ],
)
def test_images_come_as_files_that_skopeo_reads(
    context: Path, store: ImageStore, run: Run, output: str, place: str
) -> None:
    code, _, err = run(
        *("image", "build", "-t", "x:1", "-o", output, "--annotation", "a.b=c"),
        *("--iidfile", "id", "--label", "l=m", "."),
    )
    assert code == 0, err
    found = skopeo("inspect", "--config", place)
    config = found["config"]
    assert isinstance(config, dict)
    assert config["Labels"] == {"l": "m"}
    assert store.get("x:1") is None
    raw = skopeo("inspect", "--raw", place)
    if place.startswith("oci"):
        assert raw["annotations"] == {"a.b": "c"}
        assert raw["config"]["digest"] == (context / "id").read_text()  # type: ignore[index]
        packing = output.partition("compression=")[2]
        ending = {"zstd": "+zstd", "uncompressed": ".tar"}.get(packing, "+gzip")
        layers = raw["layers"]
        assert isinstance(layers, list)
        assert all(layer["mediaType"].endswith(ending) for layer in layers)
    subprocess.run(["skopeo", "copy", "-q", place, "dir:copied"], check=True)


def test_a_layout_keeps_what_other_builds_put_there(context: Path, run: Run) -> None:
    for tag in ("1", "2", "1"):
        words = ("-t", f"x:{tag}", "--label", f"n={tag}")
        assert run("image", "build", *words, "-o", "type=oci,tar=false,dest=out", ".")[0] == 0
    assert len(json.loads((context / "out/index.json").read_bytes())["manifests"]) == 2
    for tag in ("1", "2"):
        found = skopeo("inspect", "--config", f"oci:out:{tag}")
        assert found["config"]["Labels"] == {"n": tag}  # type: ignore[index]


@pytest.mark.registry
def test_several_results_of_one_build(
    context: Path, store: ImageStore, paths: Paths, run: Run, address: str
) -> None:
    name = f"{address}/team/app:1"
    words = ("image", "build", "-t", name, "--push", "--metadata-file", "meta.json")
    code, out, err = run(*words, "-o", "out", "-o", "type=cacheonly", ".")
    assert code == 0, err
    assert (context / "out/new/f").exists()
    login = f"--creds={USER}:{PASSWORD}"
    raw = skopeo("inspect", "--tls-verify=false", login, "--raw", f"docker://{name}")
    told = json.loads((context / "meta.json").read_bytes())
    assert raw["config"]["digest"] == told["containerimage.config.digest"] == out.strip()  # type: ignore[index]
    assert told["image.name"] == name
    assert told["containerimage.descriptor"]["digest"] == told["containerimage.digest"]
    assert store.get(name) is not None
    packed = f"type=registry,name={address}/team/app:zstd,compression=zstd"
    assert run("image", "build", "-o", packed, "-o", "type=image,name=other:2", ".")[0] == 0
    other = skopeo("inspect", "--tls-verify=false", login, "--raw", f"docker://{name[:-1]}zstd")
    assert other["config"] == raw["config"]
    assert str(other["layers"]).count("+zstd") == len(raw["layers"])  # type: ignore[arg-type]
    assert store.get("other:2") is not None
    assert check_store(paths) == []


def test_a_result_that_is_not_kept_leaves_nothing(
    context: Path, store: ImageStore, run: Run
) -> None:
    before = store.list()
    assert run("image", "build", "-t", "x:1", "-o", "type=cacheonly", ".")[0] == 0
    assert store.list() == before
    code, _, err = run("image", "build", "-t", "x:1", "--progress", "plain", "--load", ".")
    assert code == 0
    assert "COPY f /new/f CACHED" in err
    assert store.get("x:1") is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "type=nope"), 'type "nope" is not supported'),
        (("-o", "type=local"), "a directory is wanted"),
        (("-o", "type=local,dest=out,mode=delete"), '"mode" of type=local is not supported'),
        (("-o", "type=image,push-by-digest=true"), '"push-by-digest" of type=image'),
        (("-o", "type=oci,dest=a/b"), "there is no directory"),
        (("-o", "Dockerfile"), "it is no directory"),
        (("-o", "-", "-o", "type=oci"), "two outputs cannot both go to stdout"),
        (("--push",), "a result without a name cannot be pushed"),
        (("--cache-to", "type=gha"), 'type "gha" is not supported'),
        (("--cache-from", "type=s3,bucket=b"), 'type "s3" is not supported'),
        (("--cache-to", "type=azblob"), 'type "azblob" is not supported'),
        (("--allow", "devices"), '--allow "devices" is not supported'),
        (("--annotation", "index:a=b"), '"index" is not supported'),
        (("--annotation", "layer:a=b"), '"layer" is not supported'),
        (("--builder", "x"), "no builders to choose from"),
        (("--attest", "type=other"), '--attest "type=other" is not supported'),
        (("--squash",), "layers stay as they are made"),
        (("-D",), "use `orchestra --debug image build`"),
        (("-m", "1g"), "use --resource memory="),
        (("--ulimit", "nofile"), "is no value of --ulimit"),
        (("--shm-size", "big"), "is no value of --shm-size"),
        (("--cgroup-parent", "a/../b"), "leads up"),
        (("--resource", "gpus=1"), "is not supported"),
        (("--call", "nope"), "is no value of --call"),
        (("--progress", "fancy"), '"fancy" is no value of --progress'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_not_offered_is_refused_by_name(
    context: Path, store: ImageStore, run: Run, words: tuple[str, ...], message: str
) -> None:
    before = store.list()
    code, out, err = run("image", "build", *words, ".")
    assert (code, out) == (2, "")
    assert message in err
    assert store.list() == before


def test_a_broken_archive_leaves_no_file(context: Path, run: Run) -> None:
    (context / "Dockerfile").write_text("FROM ground:1\nCOPY nope /\n")
    (context / "out.tar").write_text("before")
    assert run("image", "build", "-o", "type=tar,dest=out.tar", ".")[0] == 5
    assert (context / "out.tar").read_text() == "before"
    assert not [path for path in context.iterdir() if path.name.startswith(".out")]


def test_devices_and_sockets_are_left_out_of_a_directory(tmp_path: Path) -> None:
    layer, out = tmp_path / "layer", tmp_path / "out"
    layer.mkdir()
    os.mknod(layer / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(layer / "fifo", 0o640)
    (layer / "f").write_bytes(b"x")
    os.setxattr(layer / "f", "user.note", b"kept")
    told: list[str] = []
    place_files(Tree((str(layer),)), str(out), None, told.append)
    assert sorted(path.name for path in out.iterdir()) == ["f", "fifo"]
    assert told == ['"/null" is left out: it is a device']
    assert stat.S_ISFIFO((out / "fifo").stat().st_mode)
    assert os.getxattr(out / "f", "user.note") == b"kept"
    data = io.BytesIO()
    write_archive([("", Tree((str(layer),)))], None, data.write)
    data.seek(0)
    with tarfile.open(fileobj=data) as archive:
        assert archive.getmember("null").ischr()
        assert archive.getmember("f").pax_headers["SCHILY.xattr.user.note"] == "kept"


def test_a_tree_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.mkdir("layer", dir_fd=fd)
    for name in ["layer", *["d"] * 300]:
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
        os.mkdir("d", dir_fd=fd)
    os.close(fd)
    tree = Tree((str(tmp_path / "layer"),))
    with pytest.raises(BuildError, match="more than 256 directories deep"):
        place_files(tree, str(tmp_path / "out"), None, print)
    with pytest.raises(BuildError, match="more than 256 directories deep"):
        write_archive([("", tree)], None, io.BytesIO().write)


def test_a_layout_is_written_by_many_at_once(context: Path, store: ImageStore) -> None:
    image = store.get("ground:1")
    assert image is not None
    blobs = (image.manifest, image.id, *(layer.descriptor.digest for layer in image.layers))

    def write(number: int) -> None:
        entry = {
            **encode_descriptor(store.describe(image.manifest)),
            "annotations": {REF_NAME: f"t{number}"},
        }
        write_layout(store, context / "out", blobs, [entry])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    index = json.loads((context / "out/index.json").read_bytes())
    names = {entry["annotations"][REF_NAME] for entry in index["manifests"]}
    assert names == {f"t{number}" for number in range(24)}
    assert not list((context / "out").rglob(".*"))


@pytest.fixture
def parent(token: str) -> Iterator[str]:
    """A cgroup of no more than ten processes, in every hierarchy."""
    cgroups = host.cgroups()
    found = [*cgroups.v1, *([cgroups.unified] if cgroups.unified else [])]
    places = [Path(hierarchy.base()) / token for hierarchy in found]
    pids = cgroups.controller("pids")
    assert pids is not None
    (Path(pids.base()) / token).mkdir()
    (Path(pids.base()) / token / "pids.max").write_text("10")
    yield token
    for place in places:
        if place.exists():
            place.rmdir()


def test_steps_have_the_limits_they_are_given(builder: Builder, parent: str) -> None:
    builder.build(
        "FROM test/box\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes "
        "/sys/fs/cgroup/memory.max 2>/dev/null; cat /proc/self/cgroup; "
        "(for i in $(seq 1 10); do sleep 1 & done) || true",
        cgroup_parent=parent,
        resources=Resources(memory_bytes=64 << 20),
        no_cache=True,
    )
    assert str(64 << 20) in builder.said.split()
    assert "can't fork" in builder.said
    assert parent not in builder.said


PLATFORMS = """\
FROM scratch AS stage-amd64
COPY f foramd
FROM scratch AS stage-arm
COPY f forarm
FROM stage-$TARGETARCH
"""


def test_results_for_several_platforms(context: Path, store: ImageStore, run: Run) -> None:
    (context / "Dockerfile").write_text(PLATFORMS)
    words = ("image", "build", "--platform", "linux/amd64,linux/arm/v7", "-o")
    assert run(*words, "out", ".")[0] == 0
    found = sorted(str(path.relative_to(context / "out")) for path in (context / "out").rglob("*"))
    assert found == ["linux_amd64", "linux_amd64/foramd", "linux_arm_v7", "linux_arm_v7/forarm"]
    assert run(*words, "type=tar,dest=out.tar", ".")[0] == 0
    with tarfile.open(context / "out.tar") as archive:
        assert archive.getnames() == found
    output = "type=oci,dest=image.tar,compression=zstd"
    notes = ("a=b", "index,manifest-descriptor[linux/arm/v7]:c=d", "manifest[linux/amd64]:e=f")
    told = [word for note in notes for word in ("--annotation", note)]
    assert run(*words, output, *told, "-t", "x:1", ".")[0] == 0
    with tarfile.open(context / "image.tar") as archive:

        def read(digest: str) -> dict[str, Any]:
            file = archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert file is not None
            found = json.loads(file.read())
            assert isinstance(found, dict)
            return found

        outer = archive.extractfile("index.json")
        assert outer is not None
        [entry] = json.loads(outer.read())["manifests"]
        index = read(entry["digest"])
        assert index["annotations"] == {"c": "d"}
        assert [entry.get("annotations") for entry in index["manifests"]] == [None, {"c": "d"}]
        for entry in index["manifests"]:
            manifest = read(entry["digest"])
            own = {"e": "f"} if entry["platform"]["architecture"] == "amd64" else {}
            assert manifest["annotations"] == {"a": "b", **own}
            assert manifest["layers"][0]["mediaType"].endswith("+zstd")
    assert store.get("x:1") is None
    assert run("load", "-q", "-i", "image.tar")[0] == 0
    assert store.get("x:1") is not None


def test_platforms_have_directories_of_their_own_or_not(context: Path, run: Run) -> None:
    (context / "Dockerfile").write_text(PLATFORMS)
    words = ("image", "build", "--provenance=mode=min", "-o")
    assert run(*words, "type=local,dest=one,platform-split=true", ".")[0] == 0
    found = sorted(path.name for path in (context / "one/linux_amd64").iterdir())
    assert found == ["foramd", "provenance.json"]
    attest = ("--attest", "type=sbom", "--attest", "type=provenance,mode=max")
    assert run("image", "build", *attest, "-o", "three", ".")[0] == 0
    found = sorted(path.name for path in (context / "three").iterdir())
    assert found == ["foramd", "provenance.json", "sbom.spdx.json"]
    both = ("--platform", "linux/amd64,linux/arm/v7")
    names = {"foramd", "forarm", "provenance.linux_amd64.json", "provenance.linux_arm_v7.json"}
    assert run(*words, "type=local,dest=two,platform-split=false", *both, ".")[0] == 0
    assert {path.name for path in (context / "two").iterdir()} == names
    assert run(*words, "type=tar,dest=two.tar,platform-split=false", *both, ".")[0] == 0
    with tarfile.open(context / "two.tar") as archive:
        assert set(archive.getnames()) == names


@pytest.mark.parametrize("output", ["type=oci,tar=false,dest=out", "type=oci,dest=out.tar"])
def test_an_image_as_files_has_every_name(context: Path, run: Run, output: str) -> None:
    assert run("image", "build", "-o", f'{output},"name=org/repo:tag1,org/repo:tag2"', ".")[0] == 0
    if "tar=false" in output:
        index = json.loads((context / "out/index.json").read_bytes())
    else:
        with tarfile.open(context / "out.tar") as archive:
            file = archive.extractfile("index.json")
            assert file is not None
            index = json.loads(file.read())
    first, second = index["manifests"]
    assert first["digest"] == second["digest"]
    names = [entry["annotations"]["io.containerd.image.name"] for entry in (first, second)]
    assert names == ["docker.io/org/repo:tag1", "docker.io/org/repo:tag2"]
    tags = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in (first, second)]
    assert tags == ["tag1", "tag2"]


def test_results_without_any_file(context: Path, run: Run) -> None:
    (context / "Dockerfile").write_text("FROM scratch\n")
    both = ("--platform", "linux/arm64,linux/amd64")
    code, _, err = run("image", "build", *both, "-o", "type=oci,dest=out.tar", "-o", "out", ".")
    assert code == 0, err
    assert [path.name for path in (context / "out").iterdir()] == ["linux_arm64", "linux_amd64"]
    assert run("image", "build", "-o", "type=tar,dest=empty.tar", ".")[0] == 0
    assert (context / "empty.tar").read_bytes() == bytes(1024)


def test_a_dockerfile_from_elsewhere(context: Path, run: Run, tmp_path: Path) -> None:
    text = b"FROM ground:1\nCOPY Dockerfile /seen\n"
    with web_server({"/df": text, "/own": b"FROM scratch\nCOPY <<f /f\nhello\nf\n"}) as address:
        assert run("image", "build", "-f", f"{address}/df", "-o", "out", ".")[0] == 0
        words = ("-f", "mydockerfile", "-o", "other", f"{address}/own")
        assert run("image", "build", *words)[0] == 0
    assert (tmp_path / "out/seen").read_text() == (tmp_path / "Dockerfile").read_text()
    assert (tmp_path / "other/f").read_text() == "hello\n"
    program = [sys.executable, "-m", "orchestra", "image", "build", "-f", "-"]
    subprocess.run([*program, "-o", "third", "."], check=True, input=text, capture_output=True)
    assert (tmp_path / "third/seen").exists()
    done = subprocess.run([*program, "-"], check=False, input=text, capture_output=True)
    assert (done.returncode, b"cannot both come in on stdin" in done.stderr) == (2, True)


CHECKED = "FROM scratch AS one\nFROM scratch AS One\n"


def test_what_a_dockerfile_says_of_itself(context: Path, store: ImageStore, run: Run) -> None:
    before = store.list()
    (context / "Dockerfile").write_text(
        "# VERSION is what is built\nARG VERSION=1\nFROM scratch AS base\n"
        "# last is all that is needed\nFROM base AS last\nARG VERSION\n"
    )
    code, out, err = run("image", "build", "--call=targets", ".")
    assert (code, err) == (0, "")
    assert (
        out == "TARGET         DESCRIPTION\nbase           \nlast (default) is all that is needed\n"
    )
    code, out, err = run("image", "build", "--call", "outline", ".")
    assert (code, err) == (0, "")
    assert out == (
        "TARGET:      last\nDESCRIPTION: is all that is needed\n\n"
        "BUILD ARG   VALUE   DESCRIPTION\nVERSION     1       is what is built\n\n"
    )
    code, out, _ = run("image", "build", "--call", "outline,format=json", "--target", "base", ".")
    assert json.loads(out)["name"] == "base"
    (context / "Dockerfile").write_text(CHECKED)
    code, out, _ = run("image", "build", "--check", ".")
    assert code == 1
    assert "DuplicateStageName" in out
    code, out, _ = run("image", "build", "--call=check,format=json", ".")
    assert code == 1
    assert json.loads(out)["warnings"][0]["ruleName"] == "DuplicateStageName"
    assert store.list() == before


def test_events_are_told_as_buildkit_does(context: Path, run: Run) -> None:
    code, _, err = run("image", "build", "--progress=rawjson", "-t", "x:1", ".")
    assert code == 0
    lines = [json.loads(line) for line in err.splitlines()]
    ended = [
        vertex
        for line in lines
        for vertex in line.get("vertexes", ())
        if vertex["name"].endswith("COPY f /new/f") and "completed" in vertex
    ]
    assert len(ended) == 1
    assert ended[0]["started"] <= ended[0]["completed"]
    quiet = run("image", "build", "--progress=quiet", "-t", "x:1", ".")
    assert quiet[2] == ""
