"""services.*.blkio_config (compose-spec 05-services.md, blkio_config)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.blkio_config"

GO = "its JSON has the names of Go's fields, which no file may hold"
TEXT = "its schema takes text here, its model does not"

CASES = (
    Case("weight", "blkio_config: {weight: 300}", {"weight": 300}),
    Case("weight-text", "blkio_config: {weight: '300'}", {"weight": 300}, ours=TEXT),
    Case("weight-zero", "blkio_config: {weight: 0}", {}),
    Case(
        "weight-device",
        "blkio_config: {weight_device: [{path: /dev/sda, weight: 400}, {path: /dev/sdb, weight: '10'}]}",
        {
            "weight_device": [
                {"path": "/dev/sda", "weight": 400},
                {"path": "/dev/sdb", "weight": 10},
            ]
        },
        ours=TEXT,
    ),
    Case(
        "read-bps",
        "blkio_config: {device_read_bps: [{path: /dev/sdb, rate: 12mb}]}",
        {"device_read_bps": [{"path": "/dev/sdb", "rate": "12582912"}]},
        ours=GO,
    ),
    Case(
        "read-iops",
        "blkio_config: {device_read_iops: [{path: /dev/sdb, rate: 120}]}",
        {"device_read_iops": [{"path": "/dev/sdb", "rate": "120"}]},
        ours=GO,
    ),
    Case(
        "write-bps",
        "blkio_config: {device_write_bps: [{path: /dev/sdb, rate: '1024k'}]}",
        {"device_write_bps": [{"path": "/dev/sdb", "rate": "1048576"}]},
        ours=GO,
    ),
    Case(
        "write-iops",
        "blkio_config: {device_write_iops: [{path: /dev/sdb, rate: '30'}]}",
        {"device_write_iops": [{"path": "/dev/sdb", "rate": "30"}]},
        ours=GO,
    ),
    Case(
        "rate-bytes",
        "blkio_config: {device_read_bps: [{path: /dev/sdb, rate: 1048576}]}",
        {"device_read_bps": [{"path": "/dev/sdb", "rate": "1048576"}]},
        ours=GO,
    ),
    Case(
        "rate-fraction",
        "blkio_config: {device_read_bps: [{path: /dev/sdb, rate: 1.5g}]}",
        {"device_read_bps": [{"path": "/dev/sdb", "rate": "1610612736"}]},
        ours=GO,
    ),
    Case(
        "rate-variable",
        "blkio_config: {device_read_bps: [{path: '${D}', rate: '${R}'}]}",
        {"device_read_bps": [{"path": "/dev/sdb", "rate": "1024"}]},
        env={"D": "/dev/sdb", "R": "1k"},
        ours=GO,
    ),
    Case(
        "relative-path-stays",
        "blkio_config: {device_read_bps: [{path: ./sdb, rate: 1}]}",
        {"device_read_bps": [{"path": "./sdb", "rate": "1"}]},
        ours=GO,
    ),
    Case("empty", "blkio_config: {}", {}),
    Case("empty-lists", "blkio_config: {weight: 10, device_read_bps: []}", {"weight": 10}),
    Case(
        "merged",
        "blkio_config: {weight: 10}",
        {"weight": 20, "weight_device": [{"path": "/dev/sda", "weight": 30}]},
        over="blkio_config: {weight: 20, weight_device: [{path: /dev/sda, weight: 30}]}",
        ours=GO,
    ),
    Case(
        "appended",
        "blkio_config: {device_read_bps: [{path: /dev/sda, rate: 1}]}",
        {"device_read_bps": [{"path": "/dev/sda", "rate": "1"}, {"path": "/dev/sdb", "rate": "2"}]},
        over="blkio_config: {device_read_bps: [{path: /dev/sdb, rate: 2}]}",
        ours=GO,
    ),
    Case(
        "same-path-twice",
        "blkio_config: {device_read_bps: [{path: /dev/sda, rate: 1}]}",
        {"device_read_bps": [{"path": "/dev/sda", "rate": "1"}, {"path": "/dev/sda", "rate": "2"}]},
        over="blkio_config: {device_read_bps: [{path: /dev/sda, rate: 2}]}",
        ours=GO,
    ),
    Case("reset", "blkio_config: {weight: 10}", ABSENT, over="blkio_config: !reset null"),
    Case(
        "reset-one",
        "blkio_config: {weight: 10, weight_device: [{path: /dev/sda, weight: 1}]}",
        {"weight": 10},
        over="blkio_config: {weight_device: !reset []}",
    ),
)

WRONG = (
    Wrong(
        "list",
        "blkio_config: [300]",
        "expected a mapping, not a list",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "unknown",
        "blkio_config:\n  wieght: 300",
        'unknown key "wieght"',
        place="5:7",
        hint='did you mean "weight"?',
    ),
    Wrong("extension", "blkio_config: {x-a: 1}", 'unknown key "x-a"', place="4:20"),
    Wrong(
        "unknown-in-device",
        "blkio_config:\n  device_read_bps:\n    - path: /dev/sda\n      rates: 5",
        'unknown key "rates"',
        place="7:11",
        hint='did you mean "rate"?',
    ),
    Wrong(
        "weight-above",
        "blkio_config: {weight: 1001}",
        "expected at most 1000",
        place="4:20",
        hint="choose a smaller number",
        ours="its engine refuses the weight later",
    ),
    Wrong("weight-word", "blkio_config: {weight: heavy}", "expected a whole number, not text"),
    Wrong(
        "device-weight-above",
        "blkio_config: {weight_device: [{path: /dev/sda, weight: 2000}]}",
        "expected at most 1000",
        ours="its engine refuses the weight later",
    ),
    Wrong(
        "rate-word",
        "blkio_config: {device_write_iops: [{path: /dev/sda, rate: fast}]}",
        "expected a size",
        place="4:57",
        hint='write bytes, or a unit as in "512m"',
    ),
    Wrong(
        "rate-flag",
        "blkio_config: {device_write_bps: [{path: /dev/sda, rate: true}]}",
        "expected a size, not true or false",
    ),
    Wrong(
        "no-path",
        "blkio_config: {device_write_bps: [{rate: 1}]}",
        '"path" is missing',
        place="4:39",
        hint="write path here",
        ours="a limit of no device means nothing",
    ),
    Wrong(
        "text-item", "blkio_config: {device_read_iops: [/dev/sda]}", "expected a mapping, not text"
    ),
    Wrong(
        "not-a-list",
        "blkio_config: {weight_device: {path: /dev/sda}}",
        "expected a list, not a mapping",
        place="4:20",
        hint="begin each item with a dash, or put them in brackets",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_blkio_config(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_blkio_config_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
