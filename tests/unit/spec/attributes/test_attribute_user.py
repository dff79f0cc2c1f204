"""services.*.user and other attributes that are any text to the loader (05-services.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.user"
COVERS = (
    "services.*.mac_address",
    "services.*.platform",
    "services.*.runtime",
    "services.*.stop_signal",
    "services.*.userns_mode",
    "services.*.working_dir",
)

OTHERS = ("mac_address", "platform", "runtime", "stop_signal", "userns_mode", "working_dir")

CASES = (
    Case("name", "user: root", "root"),
    Case("ids", "user: '1000:1000'", "1000:1000"),
    Case("unquoted-ids", "user: 1000:1000", "1000:1000"),
    Case("quoted-id", "user: '1000'", "1000"),
    Case("tagged", "user: !!str 1000", "1000"),
    Case("empty", "user: ''", ABSENT),
    Case("unset", "user: '${UID_}'", ABSENT),
    Case("null", "user:", ABSENT, ours=NULL),
    Case("variable", "user: '${UID_}:${GID_:-5}'", "7:5", env={"UID_": "7"}),
    Case("variable-number", "user: ${UID_}", "7", env={"UID_": "7"}),
    Case("dollar", "user: a$$b", "a$$b"),
    Case("over", "user: a", "b", over="user: b"),
    Case("over-null", "user: a", "a", over="user:"),
    Case("over-empty", "user: a", ABSENT, over="user: ''"),
    Case("reset", "user: a", ABSENT, over="user: !reset null"),
    Case(
        "mac", "mac_address: '02:42:ac:11:65:43'", "02:42:ac:11:65:43", key="services.*.mac_address"
    ),
    Case("mac-any", "mac_address: nonsense", "nonsense", key="services.*.mac_address"),
    Case("platform", "platform: linux/arm64/v8", "linux/arm64/v8", key="services.*.platform"),
    Case("runtime", "runtime: runc", "runc", key="services.*.runtime"),
    Case("signal", "stop_signal: SIGUSR1", "SIGUSR1", key="services.*.stop_signal"),
    Case("signal-number", "stop_signal: '9'", "9", key="services.*.stop_signal"),
    Case("userns", "userns_mode: host", "host", key="services.*.userns_mode"),
    Case("directory", "working_dir: /app", "/app", key="services.*.working_dir"),
    Case("directory-as-written", "working_dir: ./app/", "./app/", key="services.*.working_dir"),
    *(
        Case(f"{name}-variable", f"{name}: '${{X}}'", "x", env={"X": "x"}, key=f"services.*.{name}")
        for name in OTHERS
    ),
    *(
        Case(f"{name}-over", f"{name}: a", "b", over=f"{name}: b", key=f"services.*.{name}")
        for name in OTHERS
    ),
    *(Case(f"{name}-empty", f"{name}: ''", ABSENT, key=f"services.*.{name}") for name in OTHERS),
    *(
        Case(f"{name}-0", f"{name}:", ABSENT, key=f"services.*.{name}", ours=NULL)
        for name in OTHERS
    ),
)

WRONG = (
    Wrong("number", "user: 1000", "expected text, not a number", place="4:5", hint="quotes"),
    Wrong("bool", "user: true", "expected text, not true or false"),
    Wrong("list", "user: [root]", "expected text, not a list"),
    Wrong("mapping", "user: {name: root}", "expected text, not a mapping"),
    *(Wrong(f"{name}-number", f"{name}: 9", "expected text, not a number") for name in OTHERS),
    *(Wrong(f"{name}-list", f"{name}: [a]", "expected text, not a list") for name in OTHERS),
    Wrong(
        "platform-of-build",
        """
        build: {context: ., platforms: [linux/amd64]}
        platform: linux/arm64
        """,
        "build.platforms does not hold this platform",
        hint="add it there",
    ),
    Wrong("near", "usr: root", 'unknown key "usr"', place="4:5", hint='"user"'),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_user(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_user_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
