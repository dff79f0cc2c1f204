"""A container of the native runtime, seen from inside: namespaces, files, identity, exit."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
from pathlib import Path

import pytest
from support.bundles import Bundle

from orchestra.engine.linux import calls, syscalls
from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.failure import RuntimeFailure

pytestmark = pytest.mark.kernel


def test_every_namespace_but_the_inherited_network_is_new(bundle: Bundle) -> None:
    kinds = ("mnt", "uts", "pid", "ipc", "cgroup", "net", "user")
    bundle.shell("for k in mnt uts pid ipc cgroup net user; do readlink /proc/self/ns/$k; done")
    inside = bundle.run().lines
    outside = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds]
    same = {
        kind for kind, ours, theirs in zip(kinds, outside, inside, strict=True) if ours == theirs
    }
    assert same == {"net", "user"}


def test_a_network_namespace_of_its_own_has_loopback_up(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "network"})
    result = bundle.shell("cat /sys/class/net/*/operstate; ls /sys/class/net").run()
    assert result.lines == ["unknown", "lo"]


def test_a_time_namespace_is_entered(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    inside = bundle.shell("readlink /proc/self/ns/time").run().output.strip()
    assert inside.startswith("time:")
    assert inside != str(Path("/proc/self/ns/time").readlink())


def test_it_is_pid_one_and_sees_only_its_own(bundle: Bundle) -> None:
    assert bundle.shell("echo $$; ls /proc | grep -c '^[0-9]'").run().lines[0] == "1"


def test_the_mounts_are_those_of_the_bundle(bundle: Bundle) -> None:
    rows = [line.split() for line in bundle.shell("cat /proc/mounts").run().lines]
    seen = {row[1]: (row[2], row[3].split(",")) for row in rows}
    assert seen["/proc"][0] == "proc"
    assert {"nosuid", "nodev", "noexec"} <= set(seen["/proc"][1])
    assert seen["/sys"][0] == "sysfs"
    assert "ro" in seen["/sys"][1]
    assert seen["/dev"][0] == "tmpfs"
    assert "mode=755" in seen["/dev"][1]
    assert seen["/dev/shm"] == ("tmpfs", [*seen["/dev/shm"][1]])
    assert "size=65536k" in seen["/dev/shm"][1]
    assert not any("/oldroot" in target or "pyenv" in target for target in seen)


def test_hostname_and_domainname(bundle: Bundle) -> None:
    bundle.config["domainname"] = "example"
    bundle.shell("hostname; cat /proc/sys/kernel/domainname")
    assert bundle.run().lines == ["box", "example"]


def test_the_environment_is_exact(bundle: Bundle) -> None:
    bundle.process["env"] = ["PATH=/bin", "HOME=/x", "A=1", "A=2", "EMPTY="]
    bundle.process["args"] = ["env"]
    assert sorted(bundle.run().lines) == ["A=2", "EMPTY=", "HOME=/x", "PATH=/bin"]


def test_home_comes_from_the_passwd_of_the_image(bundle: Bundle) -> None:
    bundle.process.update(
        {"env": ["PATH=/bin"], "args": ["env"], "user": {"uid": 1000, "gid": 1000}}
    )
    assert "HOME=/home/app" in bundle.run().lines


def test_user_groups_and_umask(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 7, "additionalGids": [9, 5], "umask": 0o027}
    result = bundle.shell("id -u; id -g; grep Groups /proc/self/status; umask").run()
    assert result.lines[:2] == ["1000", "7"]
    assert sorted(result.lines[2].split()[1:]) == ["5", "9"]
    assert result.lines[3] == "0027"


def test_a_missing_working_directory_is_made(bundle: Bundle) -> None:
    bundle.process["cwd"] = "/srv/app"
    assert bundle.shell("pwd").run().output == "/srv/app\n"


def test_no_descriptor_but_stdio(bundle: Bundle) -> None:
    extra = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(extra, True)
    bundle.process["args"] = ["ls", "/proc/self/fd"]
    try:
        # ls itself holds one more, the directory it reads.
        assert bundle.run().lines == ["0", "1", "2", "3"]
    finally:
        os.close(extra)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM 0x", 1)])
def test_exit_codes(bundle: Bundle, script: str, code: int) -> None:
    assert bundle.shell(script).run().code == code


def test_death_by_signal_is_128_and_the_signal(bundle: Bundle) -> None:
    init = bundle.shell("sleep 100").create((0, 1, 2))
    try:
        init.start()
        os.kill(init.pid, signal.SIGKILL)
        assert wait_exit(init.pid) == {"code": 137, "signal": 9}
    finally:
        bundle.delete()


def _ignore(number: int) -> None:
    """Ignore a signal behind libc's back, as a parent of ours may have done."""
    action = (1).to_bytes(8, "little") + bytes(24)
    assert ctypes.CDLL(None).syscall(calls.NUMBERS["rt_sigaction"], number, action, None, 8) == 0


def test_signals_have_their_defaults(bundle: Bundle) -> None:
    bundle.process["args"] = ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]
    ignored = [signal.SIGUSR1, 32, 33]
    for number in ignored:
        _ignore(number)
    try:
        lines = bundle.run().lines
    finally:
        for number in ignored:
            syscalls.default_action(number)
    assert [int(line.split()[1], 16) for line in lines] == [0, 0]


@pytest.mark.parametrize(
    ("args", "message", "code"),
    [
        (["nosuch"], 'exec: "nosuch": executable file not found in $PATH', 127),
        (["/nosuch"], 'exec: "/nosuch": stat /nosuch: no such file or directory', 127),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied', 126),
        (["/etc"], 'exec: "/etc": is a directory', 126),
    ],
    ids=["name", "path", "not-executable", "directory"],
)
def test_what_cannot_be_executed(bundle: Bundle, args: list[str], message: str, code: int) -> None:
    bundle.process["args"] = args
    failure = bundle.fail()
    assert (failure.message, failure.exit_code) == (message, code)


def test_a_text_file_is_no_program(bundle: Bundle) -> None:
    (bundle.rootfs / "bin/text").write_text("hello")
    (bundle.rootfs / "bin/text").chmod(0o755)
    bundle.process["args"] = ["/bin/text"]
    assert bundle.fail().exit_code == 126


def test_a_failed_mount_names_itself_and_leaves_nothing(bundle: Bundle) -> None:
    bundle.config["mounts"].append(
        {"destination": "/data", "type": "bind", "source": "/nosuch", "options": ["rbind"]}
    )
    failure = bundle.fail()
    assert failure.message == 'cannot bind "/nosuch" at "/data": /nosuch: no such file or directory'


def test_what_fails_meanwhile_ends_it_and_leaves_nothing(bundle: Bundle) -> None:
    children: list[int] = []

    def fail() -> None:
        children.extend(
            map(
                int,
                Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split(),
            )
        )
        raise ValueError("no network")

    null = os.open("/dev/null", os.O_RDWR)
    try:
        with pytest.raises(ValueError, match="no network"):
            bundle.create((null, null, null), meanwhile=fail)
    finally:
        os.close(null)
    assert children, "it is done while the init is there"
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not list(bundle.state_root.glob("*"))


def test_bind_mounts_and_their_options(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("from outside")
    bundle.config["mounts"] += [
        {
            "destination": "/rw",
            "type": "bind",
            "source": str(tmp_path / "data"),
            "options": ["rbind"],
        },
        {
            "destination": "/ro",
            "type": "bind",
            "source": str(tmp_path / "data"),
            "options": ["rbind", "ro"],
        },
        {
            "destination": "/etc/one",
            "type": "bind",
            "source": str(tmp_path / "data/file"),
            "options": ["bind"],
        },
    ]
    result = bundle.shell(
        "cat /etc/one; echo new > /rw/new; echo no > /ro/no || echo refused"
    ).run()
    assert result.output == "from outsiderefused\n"
    assert (tmp_path / "data/new").read_text() == "new\n"


def test_recursive_readonly_covers_submounts(bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["mounts"] += [
        {"destination": "/tree", "type": "bind", "source": "/dev", "options": ["rbind", "rro"]}
    ]
    result = bundle.shell("touch /tree/x || echo top; touch /tree/shm/x || echo below").run()
    assert result.lines == ["top", "below"]


def test_a_read_only_root(bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = True
    result = bundle.shell("touch /x || echo refused; touch /dev/shm/x && echo shm").run()
    assert result.lines == ["refused", "shm"]


def test_tmpfs_takes_the_mode_of_what_it_covers(bundle: Bundle) -> None:
    (bundle.rootfs / "tmp").chmod(0o1777)
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    assert bundle.shell("stat -c %a /tmp").run().output == "1777\n"


def test_limits_of_the_cgroup(bundle: Bundle) -> None:
    bundle.linux["resources"] |= {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "pids": {"limit": 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    }
    bundle.shell(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes "
        "pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null || "
        "cat memory.max memory.low pids.max cpu.weight cpu.max"
    )
    lines = bundle.run().lines
    assert lines[:3] == [str(64 << 20), str(32 << 20), "20"]
    assert lines[3:] in (["512", "50000", "100000"], ["59", "50000 100000"])


def test_a_limit_on_processes_holds(bundle: Bundle) -> None:
    bundle.linux["resources"]["pids"] = {"limit": 3}
    result = bundle.shell("for i in 1 2 3 4 5; do sleep 1 & done; echo done").run()
    assert "can't fork" in result.error


def test_the_oom_killer_is_seen(bundle: Bundle) -> None:
    bundle.linux["resources"]["memory"] = {"limit": 8 << 20, "swap": 8 << 20}
    init = bundle.shell("dd if=/dev/zero of=/dev/shm/x bs=1M count=32").create((0, 1, 1))
    try:
        init.start()
        wait_exit(init.pid)
        assert Cgroup.at(bundle.linux["cgroupsPath"]).oom_kills() > 0
    finally:
        bundle.delete()


def test_rlimits(bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    assert bundle.shell("ulimit -Sn; ulimit -Hn").run().lines == ["100", "200"]


def test_a_limit_that_cannot_be_had_is_an_error_unless_optional(bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 40}]
    assert bundle.fail().message.startswith("cannot set RLIMIT_NOFILE to ")
    bundle.config["annotations"] = {"org.orchestra.rlimits.optional": "RLIMIT_NOFILE"}
    assert bundle.run().code == 0


def test_sysctls_of_its_own_namespaces_only(bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {"kernel.msgmax": "4096"}
    assert bundle.shell("cat /proc/sys/kernel/msgmax").run().output == "4096\n"
    bundle.linux["sysctl"] = {"kernel.panic": "1"}
    assert bundle.fail().message == 'sysctl "kernel.panic" is not in a namespace of the container'


def test_a_pipe_on_stdout_can_be_opened_by_the_user(bundle: Bundle) -> None:
    reader, writer = os.pipe()
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    init = bundle.shell("echo again > /dev/stdout").create((0, writer, 2))
    try:
        init.start()
        assert wait_exit(init.pid)["code"] == 0
        assert os.read(reader, 100) == b"again\n"
    finally:
        bundle.delete()
        os.close(reader)
        os.close(writer)


def test_init_reaps_forwards_and_passes_the_exit_code_on(bundle: Bundle) -> None:
    bundle.config["annotations"] = {"org.orchestra.init": "true"}
    result = bundle.shell("echo $$; (sleep 0.1 &) ; cat /proc/1/comm; exit 7").run()
    assert result.lines == ["2", "init"]
    assert result.code == 7


def test_init_forwards_signals(bundle: Bundle) -> None:
    reader, writer = os.pipe()
    bundle.config["annotations"] = {"org.orchestra.init": "true"}
    bundle.shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")
    init = bundle.create((0, writer, 2))
    try:
        init.start()
        assert os.read(reader, 10) == b"up\n"
        os.kill(init.pid, signal.SIGTERM)
        assert wait_exit(init.pid)["code"] == 9
    finally:
        bundle.delete()
        os.close(reader)
        os.close(writer)


def test_a_user_namespace_maps_root(token: str) -> None:
    with tempfile.TemporaryDirectory(prefix=token) as directory:
        # The mapped root must be able to reach the root file system.
        Path(directory).chmod(0o755)
        bundle = Bundle(Path(directory) / "bundle", token)
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
        bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 65536}]
        # sysfs belongs to the network namespace, which is inherited here.
        mounts = bundle.config["mounts"]
        bundle.config["mounts"] = [m for m in mounts if "/sys" not in m["destination"]]
        result = bundle.shell("id -u; awk '{print $2}' /proc/self/uid_map; echo x >/dev/null").run()
        assert (result.lines, result.code) == (["0", "200000"], 0)


def test_an_id_that_lives_is_refused(bundle: Bundle) -> None:
    init = bundle.shell("sleep 100").create((0, 1, 2))
    try:
        with pytest.raises(RuntimeFailure, match="already exists"):
            bundle.create((0, 1, 2))
    finally:
        os.kill(init.pid, signal.SIGKILL)
        wait_exit(init.pid)
        init.channel.close()
        bundle.delete()


def test_a_container_never_started_dies_with_its_maker(bundle: Bundle) -> None:
    reader, writer = os.pipe()
    maker = os.fork()
    if maker == 0:
        os.write(writer, str(bundle.create((0, 1, 2)).pid).encode())
        os._exit(0)
    os.waitpid(maker, 0)
    init = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    # Orphaned, it is ours to collect: it must end by itself.
    assert wait_exit(init)["code"] in {1, 137}
    bundle.delete()
