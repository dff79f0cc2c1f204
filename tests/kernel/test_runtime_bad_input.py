"""Bundles that are no bundles, or ask for what cannot be: one line that names it, nothing left.

As runc: exit code 1 (2 for a command line that cannot be read), docker's 126 and 127 for programs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bundles import Bundle
from support.verbs import NAME, call

pytestmark = pytest.mark.runtime
Change = Callable[[Bundle], object]


def text(content: str) -> Change:
    """Return a change of the whole document."""
    return lambda bundle: (bundle.path / "config.json").write_text(content)


def without(*keys: str) -> Change:
    def change(bundle: Bundle) -> None:
        place = bundle.config
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]
        bundle.write()

    return change


def with_(value: object, *keys: str) -> Change:
    def change(bundle: Bundle) -> None:
        place = bundle.config
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        bundle.write()

    return change


def remove_root(bundle: Bundle) -> None:
    bundle.config["root"]["path"] = "absent"
    bundle.write()


DEVICE = {"path": "/dev/x", "type": "q", "major": 1, "minor": 1}
TABLE: dict[str, tuple[Change, int, str]] = {
    "no document": (lambda _: None, 1, "config.json"),
    "no JSON": (text("{"), 1, "config.json"),
    "a list": (text("[]"), 1, "config.json"),
    "no version": (without("ociVersion"), 1, "ociVersion"),
    "another version": (with_("9.0.0", "ociVersion"), 1, "ociVersion is not 1.x"),
    "no root": (without("root"), 1, "root"),
    "a root that is not there": (remove_root, 1, "absent"),
    "no process": (without("process"), 1, "process"),
    "no arguments": (with_([], "process", "args"), 1, "arguments"),
    "a relative directory": (with_("tmp", "process", "cwd"), 1, '"tmp" is not absolute'),
    "a directory that is a file": (
        with_("/etc/passwd", "process", "cwd"),
        1,
        'the working directory "/etc/passwd"',
    ),
    "a missing program": (with_(["nosuch"], "process", "args"), 127, 'exec: "nosuch"'),
    "no program": (with_(["/etc/passwd"], "process", "args"), 126, 'exec: "/etc/passwd"'),
    "a directory as program": (with_(["/etc"], "process", "args"), 126, "is a directory"),
    "an unknown capability": (
        with_({"bounding": ["CAP_NOPE"]}, "process", "capabilities"),
        1,
        "CAP_NOPE",
    ),
    "an unknown limit": (
        with_([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}], "process", "rlimits"),
        1,
        "RLIMIT_NOPE",
    ),
    "a limit beyond the kernel's": (
        with_([{"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 40}], "process", "rlimits"),
        1,
        "RLIMIT_NOFILE",
    ),
    "an unknown namespace": (with_([{"type": "nope"}], "linux", "namespaces"), 1, "nope"),
    "a namespace that is not there": (
        with_([{"type": "mount"}, {"type": "ipc", "path": "/no/ns"}], "linux", "namespaces"),
        1,
        "/no/ns",
    ),
    "processors that are not there": (
        with_({"cpus": "9999"}, "linux", "resources", "cpu"),
        1,
        "9999",
    ),
    "an unknown device": (with_([DEVICE], "linux", "devices"), 1, "/dev/x"),
    "an unknown action": (with_({"defaultAction": "NOPE"}, "linux", "seccomp"), 1, "NOPE"),
    "a sysctl of the host": (with_({"kernel.panic": "1"}, "linux", "sysctl"), 1, "kernel.panic"),
    "a mount that cannot be": (
        with_([{"destination": "/x", "type": "nosuchfs", "source": "x"}], "mounts"),
        1,
        "nosuchfs",
    ),
    "a source that is not there": (
        with_([{"destination": "/x", "source": "/no/x", "options": ["bind"]}], "mounts"),
        1,
        "/no/x",
    ),
    "a hook that is not there": (
        with_({"createRuntime": [{"path": "/no/hook"}]}, "hooks"),
        1,
        "/no/hook",
    ),
    "a hook that fails": (
        with_({"prestart": [{"path": "/bin/false", "args": ["false"]}]}, "hooks"),
        1,
        "/bin/false",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_it_is_named_and_nothing_is_left(bundle: Bundle, name: str) -> None:
    change, code, says = TABLE[name]
    change(bundle)
    done = call(bundle, "run", "--bundle", str(bundle.path), NAME)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not bundle.state_root.exists() or not any(bundle.state_root.iterdir())


def test_a_log_in_runcs_form_says_it_too(bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["args"] = ["nosuch"]
    bundle.write()
    log = tmp_path / "log"
    flags = ["--log", str(log), "--log-format", "json"]
    done = call(bundle, *flags, "run", "--bundle", str(bundle.path), NAME)
    assert done.returncode == 127
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["level"] == "error"
    assert 'exec: "nosuch"' in json.loads(line)["msg"]


@pytest.mark.parametrize("verb", [["state"], ["start"], ["kill"], ["exec", "--process", "x"]])
def test_verbs_of_a_container_that_is_not_there(bundle: Bundle, verb: list[str]) -> None:
    bundle.write()
    done = call(bundle, *verb, "no-such-id", *(["true"] if verb == ["exec"] else []))
    assert done.returncode == 1
    assert "no-such-id" in done.stderr or "does not exist" in done.stderr


@pytest.mark.parametrize("identity", ["", "a/b", "..", "x" * 5000])
def test_ids_that_are_none(bundle: Bundle, identity: str) -> None:
    bundle.write()
    done = call(bundle, "run", "--bundle", str(bundle.path), "--", identity)
    assert done.returncode in {1, 2}
    assert done.stderr
    assert not bundle.state_root.exists() or not any(bundle.state_root.iterdir())
