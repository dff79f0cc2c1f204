"""What a container cannot be made or started with: named, with docker's code, and nothing is left."""

from __future__ import annotations

import pytest
from support.scenario import PEER, Scenario

ENGINE = 5
COMMAND = 'command: ["sleep", "1000"]'
# Lines of the service -> what `run` exits with, and what is said.
TABLE = {
    'command: ["no-such-program"]': (127, 'exec: "no-such-program": executable file not found'),
    'command: ["/no/such"]': (127, "/no/such: no such file or directory"),
    'command: ["/etc/passwd"]': (126, 'exec: "/etc/passwd": permission denied'),
    'command: ["/etc"]': (126, "is a directory"),
    "user: nobody-here": (125, 'cannot find the user "nobody-here"'),
    "group_add: [nogroup-here]": (125, 'cannot find the group "nogroup-here"'),
    "mem_limit: 1m": (125, "mem_limit cannot be set: the least is 6 MiB"),
    "cpus: 100000": (125, "cpus cannot be set: the range is 0.01 to"),
    'cpuset: "9000"': (125, 'cpuset cannot be set: "9000" is not available'),
    "shm_size: -5": (125, "shm_size cannot be set"),
    'devices: ["/dev/no-such-device"]': (125, '"/dev/no-such-device"'),
    'device_cgroup_rules: ["nonsense"]': (125, '"nonsense" is not a device cgroup rule'),
    "ulimits: {nofile: 2000000000}": (125, "cannot set RLIMIT_NOFILE to 2000000000"),
    "ulimits: {nosuch: 5}": (125, 'unknown ulimit "nosuch"'),
    "cap_add: [NOPE]": (125, 'unknown capability "NOPE"'),
    "security_opt: [seccomp=/no/such]": (
        125,
        'cannot read the seccomp profile "/no/such": No such file or directory',
    ),
    "security_opt: [nonsense=1]": (125, '"nonsense=1" is not supported'),
    "sysctls: {kernel.panic: 1}": (125, 'sysctl "kernel.panic" is not in a namespace'),
    "working_dir: /etc/passwd": (125, "/etc/passwd: not a directory"),
    'volumes: [".:/etc/passwd"]': (125, "/etc/passwd: not a directory"),
    'pid: "container:no-such"': (125, '"no-such"'),
    "runtime: no-such-runtime": (125, 'cannot find the runtime "no-such-runtime"'),
    "storage_opt: {size: 10M}": (125, "without project quotas"),
}


@pytest.mark.parametrize("line", TABLE)
def test_it_is_named_and_leaves_nothing(scenario: Scenario, line: str) -> None:
    code, says = TABLE[line]
    own = line.startswith("command")
    scenario.edit(COMMAND, line if own else f"{COMMAND}\n    {line}")
    done = scenario.run("run", "--rm", "-T", "web", *(() if own else ("true",)), code=None)
    assert done.out == ""
    assert "Traceback" not in done.err
    if not PEER:
        assert says in done.err
        assert done.code == code
    assert done.code != 0
    assert scenario.containers() == ()
    up = scenario.up(code=None)
    assert up.code == (up.code if PEER else ENGINE)
    assert PEER or says in up.err
    assert scenario.services() == []


EXECS = {
    ("web", "no-such-program"): (127, 'exec: "no-such-program": executable file not found'),
    ("web", "/etc/passwd"): (126, 'exec: "/etc/passwd": permission denied'),
    ("web", "/etc"): (126, 'exec: "/etc": '),
    ("-w", "/no/such", "web", "true"): (126, '"/no/such"'),
    ("-w", "/etc/passwd", "web", "true"): (126, "not a directory"),
    ("-u", "nobody-here", "web", "true"): (126, 'the user "nobody-here"'),
    ("-u", "0:nobody-here", "web", "true"): (126, 'the group "nobody-here"'),
    ("-u", "99999999999", "web", "true"): (126, "the user id 99999999999 is out of range"),
    ("-d", "-w", "/no/such", "web", "true"): (126, '"/no/such"'),
    ("--index", "7", "web", "true"): (1, "container 7 of service"),
}


def test_execs_that_cannot_be(scenario: Scenario) -> None:
    scenario.up()
    for words, (code, says) in EXECS.items():
        done = scenario.run("exec", "-T", *words, code=None)
        assert PEER or (done.code == code and says in done.err), (words, done)
        assert done.code != 0
        assert done.out == ""
    assert scenario.exec("web", "pidof", "sleep").out == "1\n"
