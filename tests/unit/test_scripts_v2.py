"""The pure parts of what `make test-v2` is made of."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.v2.__main__ import selection
from scripts.v2.errors import MachineError
from scripts.v2.initrd import archive, in_order
from scripts.v2.recipe import Recipe

DEPENDENCIES = """\
kernel/virtio.ko: kernel/ring.ko
kernel/ring.ko:
kernel/pci.ko.xz: kernel/modern.ko.xz kernel/virtio.ko kernel/ring.ko
kernel/modern.ko.xz:
kernel/blk.ko: kernel/virtio.ko kernel/ring.ko
"""


def test_modules_come_after_what_they_need() -> None:
    assert in_order(["pci", "blk"], DEPENDENCIES) == [
        "kernel/ring.ko", "kernel/virtio.ko", "kernel/modern.ko.xz", "kernel/pci.ko.xz",
        "kernel/blk.ko",
    ]  # fmt: skip
    with pytest.raises(MachineError, match="no module nosuch"):
        in_order(["nosuch"], DEPENDENCIES)


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_the_archive_is_one_that_cpio_reads(tmp_path: Path) -> None:
    data = archive(b"a program", [b"one", b"two"])
    unpacked = subprocess.run(
        ["busybox", "cpio", "-i", "-d"], input=data, cwd=tmp_path, capture_output=True, check=False
    )
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "bin/busybox").read_bytes() == b"a program"
    assert (tmp_path / "modules/01.ko").read_bytes() == b"two"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_options_alone_apply_to_the_default_tests() -> None:
    arguments = selection(["-x", "-k", "pause"], "apparmor")
    assert arguments[:3] == ["-x", "-k", "pause"]
    assert "tests/kernel/test_runtime_cgroup_v2.py" in arguments
    named = ["-x", "tests/kernel/test_runtime_exec.py::test_something"]
    assert selection(named, "apparmor") == named
    assert selection([], "selinux") == ["tests/kernel/test_container_selinux.py"]


def test_the_key_is_of_the_ingredients() -> None:
    recipe = Recipe(suite="one", debs=("crun",), requirements=("pytest>=8",))
    assert recipe.key() == dataclasses.replace(recipe).key()
    for changes in ({"suite": "two"}, {"debs": ()}, {"requirements": ("pytest>=9",)}):
        assert dataclasses.replace(recipe, **changes).key() != recipe.key()
