"""Looking into an image without mounting it: passwd and group are read before anything is up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.engine.container.layers import exists_in_layers, read_in_layers, remove_empty


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/passwd").write_text("of the host")
    (tmp_path / "layer/etc").mkdir(parents=True)
    return tmp_path / "layer"


@pytest.mark.parametrize(
    "link", ["{host}/passwd", "../../host/passwd", "/proc/self/root{host}/passwd"]
)
def test_a_link_in_an_image_leads_to_no_file_of_the_host(layer: Path, link: str) -> None:
    (layer / "etc/passwd").symlink_to(link.format(host=layer.parent / "host"))
    assert read_in_layers([str(layer)], "etc/passwd") == ""
    assert not exists_in_layers([str(layer)], "/etc/passwd")


def test_nor_does_a_directory(layer: Path) -> None:
    (layer / "etc").rmdir()
    (layer / "etc").symlink_to(layer.parent / "host")
    assert read_in_layers([str(layer)], "etc/passwd") == ""
    (layer.parent / "host/empty").touch()
    remove_empty(str(layer), "/etc/empty")
    assert (layer.parent / "host/empty").exists()


def test_links_inside_an_image_are_followed(layer: Path) -> None:
    (layer / "usr").mkdir()
    (layer / "usr/passwd").write_text("of the image")
    (layer / "etc/passwd").symlink_to("/usr/passwd")
    assert read_in_layers([str(layer)], "etc/passwd") == "of the image"


def test_a_fifo_is_not_waited_for(layer: Path) -> None:
    os.mkfifo(layer / "etc/passwd")
    assert read_in_layers([str(layer)], "etc/passwd") == ""
