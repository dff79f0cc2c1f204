from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import images

from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.engine.paths import Paths, paths_of
from orchestra.errors import ImageError, StateError
from orchestra.oci.digest import digest_of
from orchestra.oci.platform import parse_platform


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return paths_of({"ORCHESTRA_DATA": str(tmp_path / "data")}, uid=0)


@pytest.fixture
def store(paths: Paths) -> ImageStore:
    return ImageStore(paths)


def made(text: str) -> images.MadeImage:
    return images.image([images.layer([images.file("x", text.encode())])], labels={"x": text})


def test_image_is_found_by_any_spelling_of_its_name(store: ImageStore) -> None:
    image = images.store_image(store, "nginx:1", made("a"))
    for spelling in ("nginx:1", "docker.io/nginx:1", "docker.io/library/nginx:1"):
        assert store.get(spelling) == image
    assert store.get("nginx:2") is None
    assert store.by_id(image.id) == image
    assert image.config.labels == {"x": "a"}


def test_image_pulled_by_tag_is_found_by_its_digests(store: ImageStore) -> None:
    image = images.store_image(store, "nginx:1", made("a"))
    index = digest_of(b"the index it came from")
    store.tag(image.manifest, "nginx:1", annotations={SOURCE_DIGEST: index})
    assert store.get(f"nginx@{image.manifest}") == image
    assert store.get(f"nginx@{index}") == image
    assert store.get(f"other@{index}") is None


def test_name_moves_and_the_old_image_stays_nameless(store: ImageStore) -> None:
    old = images.store_image(store, "x", made("old"))
    new = images.store_image(store, "x", made("new"))
    assert store.get("x") == new
    assert store.by_id(old.id) == old
    assert [line.reference for line in store.list()] == ["", "docker.io/library/x:latest"]
    store.tag(old.manifest, "y")
    assert [line.reference for line in store.list()] == [
        "docker.io/library/x:latest",
        "docker.io/library/y:latest",
    ]


def test_untag_forgets_one_name(store: ImageStore) -> None:
    image = images.store_image(store, "x", made("a"))
    store.tag(image.manifest, "y")
    assert store.untag("x")
    assert not store.untag("x")
    assert store.get("x") is None
    assert store.get("y") == image


def test_annotations_belong_to_a_name(store: ImageStore) -> None:
    image = images.store_image(store, "x", made("a"))
    store.tag(image.manifest, "x", annotations={"build": "hash"})
    assert store.annotations("x") == {"build": "hash"}
    assert store.annotations("y") == {}


def test_image_without_all_blobs_gets_no_name(store: ImageStore) -> None:
    image = made("a")
    store.put_blob(image.config)
    with pytest.raises(ImageError, match="not in the store"):
        store.add_image(image.manifest, reference="x")
    assert store.list() == ()


def test_damaged_config_is_refused_and_dropped(store: ImageStore, paths: Paths) -> None:
    image = images.store_image(store, "x", made("a"))
    blob = Path(paths.images) / "blobs/sha256" / image.id.removeprefix("sha256:")
    blob.write_bytes(blob.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(ImageError, match="damaged"):
        ImageStore(paths).get("x")
    assert not blob.exists()
    assert ImageStore(paths).list() == ()


def test_config_that_tells_of_other_layers_is_refused(store: ImageStore) -> None:
    one, two = images.layer([]), images.layer([images.file("x")])
    config = images.image([one, two]).config
    manifest = images.encode_manifest(config, [one.layer])
    store.put_blob(config)
    store.put_blob(one.data)
    with pytest.raises(ImageError, match="1 layers, its config 2"):
        store.add_image(manifest, reference="x")


def test_damaged_index_is_told_with_its_place(store: ImageStore, paths: Paths) -> None:
    images.store_image(store, "x", made("a"))
    (Path(paths.images) / "index.json").write_text("{")
    with pytest.raises(StateError, match=r"index\.json"):
        store.get("x")


def test_nobody_else_may_enter(store: ImageStore, paths: Paths) -> None:
    images.store_image(store, "x", made("a"))
    for path in [Path(paths.images), *Path(paths.images).rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_layout_is_one_that_others_read(store: ImageStore, paths: Paths) -> None:
    images.store_image(store, "x", made("a"))
    text = (Path(paths.images) / "oci-layout").read_text()
    assert text == '{"imageLayoutVersion":"1.0.0"}'


def test_names_given_at_the_same_time_are_all_kept(store: ImageStore, paths: Paths) -> None:
    image = images.store_image(store, "x", made("a"))
    names = [f"x:{number}" for number in range(24)]
    threads = [
        threading.Thread(target=ImageStore(paths).tag, args=(image.manifest, name))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.get(name) == image for name in names)


_KILLED = """
import os, signal, sys
from pathlib import Path
from orchestra.engine.image import index
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import paths_of
store = ImageStore(paths_of({"ORCHESTRA_DATA": sys.argv[1]}, uid=0))
manifest = store.get("x").manifest
os.replace = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)
store.tag(manifest, "y")
"""


def test_killed_writer_leaves_the_store_as_it_was(store: ImageStore, paths: Paths) -> None:
    image = images.store_image(store, "x", made("a"))
    result = subprocess.run(
        [sys.executable, "-c", _KILLED, str(paths.data)], check=False, env=os.environ
    )
    assert result.returncode == -signal.SIGKILL
    assert store.get("x") == image
    assert store.get("y") is None
    store.tag(image.manifest, "y")
    assert store.get("y") == image


def test_sweep_keeps_off_while_somebody_writes(store: ImageStore) -> None:
    with store.writing(), store.writing(), store.writing(exclusive=True) as alone:
        assert not alone
    with store.writing(exclusive=True) as alone:
        assert alone


def test_looking_at_the_store_imports_nothing_dear() -> None:
    code = (
        "import sys; import orchestra.engine.image.store, orchestra.engine.image.pull;"
        "print([m for m in ('httpx2','pydantic','rich','networkx') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_what_goes_from_an_index_is_seen_by_who_has_read_it(store: ImageStore) -> None:
    amd, arm = made("a"), made("b")
    for one in (amd, arm):
        images.store_image(store, "", one)
    platforms = (images.AMD64, parse_platform("linux/arm64"))
    image = store.add_index(images.index(*zip(platforms, (amd, arm), strict=True)), reference="x")
    target = store.target("x")
    assert target is not None
    both = (store.image_of(amd.digest), store.image_of(arm.digest))
    assert [store.images_of(target) for _ in range(2)] == [both, both]
    store.drop_blob(arm.digest)
    assert store.images_of(target) == (store.image_of(amd.digest),)
    store.drop_blob(target.digest)
    with pytest.raises(ImageError, match="not in the store"):
        store.get("x")
    assert image.manifest == amd.digest
