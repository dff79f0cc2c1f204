"""Images go out to podman, docker and skopeo and come back: same config, same files.

A file is the same when type, mode, owner, time, content, attributes and hard links are.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from conformance.test_conformance_podman import Podman, podman, reap  # noqa: F401
from support.images import AMD64
from support.registry import Registry, serve_registry

from orchestra.engine.image.layer import Limits
from orchestra.engine.image.layers import open_snapshotter
from orchestra.engine.image.loading import load
from orchestra.engine.image.packing import packed
from orchestra.engine.image.save import archive_of, saved_of
from orchestra.engine.local.library import ImageLibrary
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.engine.state.store import Store
from scripts.differential import docker as peers
from scripts.differential.bases import Base, bases
from scripts.differential.case import Case
from scripts.differential.compare import compare
from scripts.differential.ground import laid_out
from scripts.differential.ours import Orchestra
from scripts.differential.record import Record, read_archive, record

NAME = "corpus.test/result:latest"
CAPABILITY = "0100000200040000000000000000000000000000"
TEXT = """FROM corpus.test/rich
USER root
RUN rm /srv/one && rm -r /srv/deep && mkdir /srv/deep && echo new > /srv/deep/new
ADD a.tar /given/
RUN ln /srv/hard1 /srv/hard3 && chown 7:8 /srv/hard1 && mkfifo -m 640 /pipe && ln -s none /dangling
USER bob
ENV A="x y" B=
LABEL "a b"=c
HEALTHCHECK --interval=7s CMD ["ok"]
ONBUILD RUN x
STOPSIGNAL SIGINT
CMD ["stat -c '%n %u:%g %a' /srv/* /given/* && stat -c %h /given/other && cat /srv/deep/new && echo $A"]
"""
SAID = """/srv/absolute 0:0 777
/srv/dangling 0:0 777
/srv/deep 0:0 755
/srv/hard1 7:8 644
/srv/hard2 0:0 644
/srv/hard3 7:8 644
/srv/pipe 0:0 644
/srv/there 0:0 777
/srv/two 0:0 4755
/given/capable 0:0 755
/given/dir 3:4 1770
/given/noted 5:6 4711
/given/other 5:6 4711
2
new
x y
"""


@pytest.fixture(scope="module")
def images() -> dict[str, Base]:
    return bases()


@pytest.fixture(scope="module")
def ours(images: dict[str, Base], tmp_path_factory: pytest.TempPathFactory) -> Orchestra:
    root = tmp_path_factory.mktemp("images")
    for directory in (root, *root.parents[:2]):
        directory.chmod(0o755)
    made = Orchestra(root, images)
    noted = {"text": "n", "mode": "0o4711", "owner": [5, 6], "xattrs": {"user.note": "6869"}}
    archive = {
        "capable": {"text": "c", "mode": 0o755, "xattrs": {"security.capability": CAPABILITY}},
        "noted": noted,
        "other": {"hardlink": "noted"},
        "dir/": {"mode": 0o1770, "owner": [3, 4]},
    }
    case = Case(name="result", text=TEXT, place=root, files={"a.tar": {"archive": archive}})
    with laid_out(case, "") as ground:
        made.build(ground)
    return made


def saved(ours: Orchestra, path: Path) -> Path:
    with path.open("wb") as file:
        file.writelines(archive_of(ours.store, saved_of(ours.store, [NAME])))
    return path


def told(path: Path, images: dict[str, Base]) -> Record:
    plain = {name: base.plain for name, base in images.items()}
    return record(read_archive(path), plain, now=2.0**40, epoch=None)


def call(*words: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(ours: Orchestra, path: Path) -> Path:
    """Load an archive into an empty store, and save it again."""
    other = Orchestra(path.parent / "other", {})
    with path.open("rb") as file:
        read = file.read

        async def put() -> None:
            snapshotter = open_snapshotter(other.paths, other.store)
            await load(
                read,
                store=other.store,
                snapshotter=snapshotter,
                limits=Limits(),
                platform=AMD64,
            )

        anyio.run(put)
    return saved(other, path.parent / "again.tar")


def sizes(ours: Orchestra) -> tuple[int, ...]:
    """Return how large the layers are, as `image ls` tells."""
    library = ImageLibrary(
        ours.paths, Store(ours.paths), ours.store, lambda: snapshots(ours), tuple
    )
    image = ours.store.get(NAME)
    assert image is not None
    return library.layer_sizes(image)


def snapshots(ours: Orchestra) -> Snapshotter:
    return open_snapshotter(ours.paths, ours.store)


def check_round_trip(ours: Orchestra, images: dict[str, Base], returned: Path) -> None:
    wanted = told(saved(ours, returned.parent / "wanted.tar"), images)
    assert wanted["base"] == "corpus.test/rich"
    assert compare("there and back", told(returned, images), wanted) == []
    assert compare("and here again", told(loaded(ours, returned), images), wanted) == []


@pytest.mark.runtime
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_runs_and_saves_what_was_built(
    ours: Orchestra,
    images: dict[str, Base],
    podman: Podman,  # noqa: F811
    tmp_path: Path,
    form: str,
) -> None:
    out = podman("load", "--input", str(saved(ours, tmp_path / "out.tar")))
    assert out.returncode == 0, out.stderr
    flags = ["--rm", "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000", "--net", "none"]
    done = podman("run", *flags, "--cgroup-parent=/orchestra-podman", "--user=0", NAME)
    assert (done.returncode, done.stdout) == (0, SAID), done.stderr
    back = tmp_path / "back.tar"
    assert podman("save", f"--format={form}", "--output", str(back), NAME).returncode == 0
    check_round_trip(ours, images, back)


@pytest.mark.runtime
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_copies_archives_both_ways(
    ours: Orchestra, images: dict[str, Base], tmp_path: Path, form: str
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    out = saved(ours, tmp_path / "out.tar")
    back = tmp_path / "back.tar"
    call(
        *("skopeo", "--insecure-policy", "copy", f"{form}:{out}"),
        f"{form}:{back}:{NAME}",
    )
    check_round_trip(ours, images, back)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as registry:
        yield registry


@pytest.mark.runtime
def test_what_skopeo_pushes_has_the_digests_that_are_here(
    ours: Orchestra, registry: Registry, tmp_path: Path
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    found = ours.store.get(NAME)
    assert found is not None
    image = anyio.run(packed, ours.store, found, NAME)
    out = saved(ours, tmp_path / "out.tar")
    target = f"docker://{registry.address}/result:latest"
    call(
        *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"),
        *(f"oci-archive:{out}", target),
    )
    digest = call("skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", target)
    assert digest.strip() == image.manifest
    assert registry.manifests["result", "latest"][1] == ours.store.read_blob(image.manifest)
    for layer in image.layers:
        assert layer.descriptor.digest in registry.blobs


@pytest.mark.runtime
def test_docker_loads_runs_and_saves_what_was_built(
    ours: Orchestra, images: dict[str, Base], tmp_path: Path
) -> None:
    if shutil.which("dockerd") is None or not Path(peers.CLIENT).exists():
        pytest.skip("docker.io is not installed")
    out = saved(ours, tmp_path / "out.tar")
    with peers.docker() as docker:
        done = docker.call("load", stdin=out.read_bytes())
        assert done.returncode == 0, done.stderr
        done = docker.call("run", "--rm", "--network=none", "--user=0", NAME)
        assert (done.returncode, done.stdout.decode()) == (0, SAID), done.stderr
        size = docker.call("image", "inspect", "--format={{.Size}}", NAME).stdout
        assert int(size) == sum(sizes(ours)), "and takes it to be as large as we do"
        back = tmp_path / "back.tar"
        assert docker.call("save", "-o", str(back), NAME).returncode == 0
    reap("containerd-shim")
    check_round_trip(ours, images, back)
