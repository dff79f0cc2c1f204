"""What a container uses, read from directories that look like its cgroup's."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from orchestra.engine.container.stats import _usage_v1, _usage_v2

RAM_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def fill(directory: Path, files: dict[str, str]) -> Path:
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def test_v1_reads_each_hierarchy(tmp_path: Path) -> None:
    trees = {
        "memory": fill(
            tmp_path / "memory",
            {
                "memory.usage_in_bytes": "5000\n",
                "memory.stat": "cache 1\ntotal_inactive_file 2000\n",
                "memory.limit_in_bytes": "9223372036854771712\n",
            },
        ),
        "cpuacct": fill(tmp_path / "cpuacct", {"cpuacct.usage": "1500000000\n"}),
        "blkio": fill(
            tmp_path / "blkio",
            {"blkio.throttle.io_service_bytes": "8:0 Read 7\n8:0 Write 8\n8:16 Read 1\nTotal 16\n"},
        ),
        "pids": fill(tmp_path / "pids", {"pids.current": "4\n"}),
    }
    usage = _usage_v1(trees, 1, 2)
    assert usage.cpu_time == timedelta(seconds=1.5)
    assert (usage.memory_bytes, usage.memory_limit_bytes) == (3000, RAM_BYTES)
    assert (usage.read_bytes, usage.written_bytes) == (8, 8)
    assert (usage.received_bytes, usage.sent_bytes, usage.pids) == (1, 2, 4)


def test_v2_reads_one_directory(tmp_path: Path) -> None:
    directory = fill(
        tmp_path / "box",
        {
            "memory.current": "5000\n",
            "memory.stat": "anon 1\ninactive_file 6000\n",
            "memory.max": "65536\n",
            "cpu.stat": "usage_usec 2000000\nuser_usec 1\n",
            "io.stat": "8:0 rbytes=7 wbytes=8 rios=1\n8:16 rbytes=1 wbytes=0\n",
            "pids.current": "4\n",
        },
    )
    usage = _usage_v2(directory, 1, 2)
    assert usage.cpu_time == timedelta(seconds=2)
    assert (usage.memory_bytes, usage.memory_limit_bytes) == (0, 65536)
    assert (usage.read_bytes, usage.written_bytes, usage.pids) == (8, 8, 4)
    (directory / "memory.max").write_text("max\n")
    assert _usage_v2(directory, 1, 2).memory_limit_bytes == RAM_BYTES


def test_controllers_that_are_missing_count_as_nothing(tmp_path: Path) -> None:
    assert _usage_v1({}, 0, 0).memory_bytes == 0
    assert _usage_v2(tmp_path, 0, 0).pids == 0
