"""What is not to be had: ports, subnets, images. One clear error, and the next command goes on."""

from __future__ import annotations

import os
import socket

from support.faults import Compose
from support.scenario import eventually

WEB = """\
services:
  web:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    ports: ["${PORT}:80"]
  other:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
"""


def test_a_taken_port_is_told_with_its_holder_and_free_later(compose: Compose) -> None:
    scenario = compose(WEB)
    port = int(scenario.environment["PORT"])
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("0.0.0.0", port))
        holder.listen()
        done = scenario.up(code=5)
        assert f"port {port}" in done.err
        assert f"pid {os.getpid()}" in done.err
        assert "hint:" in done.err
        assert "web" not in scenario.services()
    scenario.up()
    assert scenario.services() == ["other", "web"]


def test_a_port_of_another_project_is_told_by_its_name(compose: Compose) -> None:
    scenario = compose(WEB)
    other = scenario.sibling()
    other.environment["PORT"] = scenario.environment["PORT"]
    scenario.up()
    done = other.up(code=5)
    assert scenario.project in done.err, done.err
    scenario.run("down")
    other.up()
    assert other.services() == ["other", "web"]


def test_a_subnet_of_another_project_is_refused(compose: Compose) -> None:
    text = WEB + "networks: {default: {ipam: {config: [{subnet: 10.231.9.0/24}]}}}\n"
    scenario = compose(text)
    other = scenario.sibling()
    scenario.up()
    done = other.up(code=5)
    assert "10.231.9.0/24" in done.err, done.err
    assert other.containers() == ()
    scenario.run("down")
    other.up()
    assert other.services() == ["other", "web"]


def test_a_full_subnet_is_told(compose: Compose) -> None:
    scenario = compose(WEB + "networks: {default: {ipam: {config: [{subnet: 10.231.7.0/30}]}}}\n")
    done = scenario.up(code=5)
    assert "10.231.7.0/30" in done.err, done.err
    scenario.edit("10.231.7.0/30", "10.231.7.0/29")
    scenario.up()
    assert scenario.services() == ["other", "web"]


def test_a_missing_image_is_told_by_its_name(compose: Compose) -> None:
    scenario = compose(WEB.replace("image: busybox", "image: no-such-image:1", 1))
    done = scenario.up(code=5)
    assert "no-such-image:1" in done.err
    assert "Traceback" not in done.err
    scenario.edit("no-such-image:1", "busybox")
    scenario.up()
    eventually(lambda: scenario.services() == ["other", "web"], "both run")
