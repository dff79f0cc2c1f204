"""The walls of a container: each test fails when its wall is taken away."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import pytest
from support.bundles import MASKED, READONLY, Bundle

from orchestra.engine.container.capabilities import DEFAULT_CAPABILITIES
from orchestra.engine.container.plain_process import capability_sets
from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CAPABILITIES, CloneFlag, MountFlag
from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime.devices import open_null
from orchestra.engine.runtime.failure import RuntimeFailure

pytestmark = pytest.mark.kernel

DEFAULT_MASK = sum(1 << CAPABILITIES.index(name) for name in DEFAULT_CAPABILITIES)


def status(bundle: Bundle) -> dict[str, str]:
    bundle.process["args"] = ["cat", "/proc/self/status"]
    return dict(line.split(":\t", 1) for line in bundle.run().lines if ":\t" in line)


def test_capabilities_are_dockers_fourteen(bundle: Bundle) -> None:
    seen = status(bundle)
    sets = {
        name: int(seen[name], 16) for name in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")
    }
    assert sets == {
        "CapBnd": DEFAULT_MASK,
        "CapEff": DEFAULT_MASK,
        "CapPrm": DEFAULT_MASK,
        "CapInh": 0,
        "CapAmb": 0,
    }


def test_a_user_has_no_capability_in_effect(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    seen = status(bundle)
    assert {int(seen[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    assert int(seen["CapBnd"], 16) == DEFAULT_MASK


def test_ambient_capabilities_reach_a_user(bundle: Bundle) -> None:
    names = ["CAP_NET_BIND_SERVICE"]
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["capabilities"] = dict.fromkeys(
        ("bounding", "effective", "permitted", "inheritable", "ambient"), names
    )
    assert int(status(bundle)["CapEff"], 16) == 1 << CAPABILITIES.index(names[0])


def test_without_capabilities_there_are_none(bundle: Bundle) -> None:
    bundle.process["capabilities"] = capability_sets((), uid=0)
    seen = status(bundle)
    assert {int(seen[name], 16) for name in ("CapBnd", "CapEff", "CapPrm")} == {0}


def test_no_new_privileges_only_when_asked(bundle: Bundle) -> None:
    assert status(bundle)["NoNewPrivs"] == "0"
    bundle.process["noNewPrivileges"] = True
    assert status(bundle)["NoNewPrivs"] == "1"


def test_seccomp_filters_and_blocks(bundle: Bundle) -> None:
    assert status(bundle)["Seccomp"] == "2"
    script = "unshare -U true || echo unshare; unshare -m true || echo mount-ns"
    assert bundle.shell(script).run().lines == ["unshare", "mount-ns"]
    del bundle.linux["seccomp"]
    assert bundle.shell("unshare -U true || echo unshare").run().lines == []


def test_errno_of_a_profile_reaches_the_program(bundle: Bundle) -> None:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    assert "No space left" in bundle.shell("mkdir /x").run().error


@pytest.mark.parametrize("path", [p for p in MASKED if Path(p).exists()])
def test_masked_paths_are_empty(bundle: Bundle, path: str) -> None:
    bundle.shell(f"test -d {path} && ls -A {path} | wc -l || wc -c < {path}")
    assert bundle.run().lines == ["0"]


@pytest.mark.parametrize("path", [p for p in READONLY if Path(p).exists()])
def test_readonly_paths_are_read_only(bundle: Bundle, path: str) -> None:
    bundle.process["args"] = ["cat", "/proc/self/mountinfo"]
    options = [line.split()[5] for line in bundle.run().lines if line.split()[4] == path]
    assert [option.split(",")[0] for option in options] == ["ro"]


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_a_wall_that_would_not_stand_on_procfs_is_refused(bundle: Bundle, key: str) -> None:
    """CVE-2025-52881: something else lies where /proc should be, and the wall would hide that."""
    (bundle.rootfs / "proc/sys").mkdir()
    (proc,) = (mount for mount in bundle.config["mounts"] if mount["type"] == "proc")
    proc["destination"] = "/elsewhere"
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux[key] = ["/proc/sys"]
    assert bundle.fail().message == 'cannot protect "/proc/sys": it does not lie on /proc'


def test_what_masks_files_is_the_null_device(tmp_path: Path) -> None:
    """CVE-2025-31133: another file in the place of /dev/null would be given to the container."""
    forged = tmp_path / "null"
    forged.touch()
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            syscalls.unshare(CloneFlag.NEWNS)
            syscalls.mount(None, "/", None, MountFlag.REC | MountFlag.PRIVATE)
            syscalls.mount(str(forged), "/dev/null", None, MountFlag.BIND)
            os.close(open_null())
            code = 1
        except RuntimeFailure as failure:
            code = 0 if "is not the null device" in failure.message else 3
        finally:
            os._exit(code)
    assert wait_exit(pid)["code"] == 0


def test_nothing_in_sys_or_cgroup_is_writable(bundle: Bundle) -> None:
    bundle.shell(
        "for f in /sys/kernel/mm/ksm/run /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; "
        "do [ -e $f ] && (echo 1 > $f) 2>/dev/null && echo wrote $f; done; "
        "find /sys/fs/cgroup -name release_agent; echo end"
    )
    assert bundle.run().lines == ["end"]


def test_devices_are_dockers(bundle: Bundle) -> None:
    names = bundle.shell("ls /dev").run().lines
    expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert sorted(names) == expected.split()


def test_a_foreign_device_can_be_made_but_not_used(bundle: Bundle) -> None:
    result = bundle.shell("mknod /dev/kmsg c 1 11 && cat /dev/kmsg || echo refused").run()
    assert result.lines == ["refused"]
    assert "Operation not permitted" in result.error


def test_an_allowed_device_can_be_used(bundle: Bundle) -> None:
    bundle.linux["devices"] = [{"type": "c", "path": "/dev/tun", "major": 10, "minor": 200}]
    rule = {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "r"}
    bundle.linux["resources"]["devices"].append(rule)
    result = bundle.shell("cat /dev/tun; echo x > /dev/tun").run()
    # Opened, then refused by the driver as nothing is attached; not opened at all for writing.
    assert "bad state" in result.error
    assert "Operation not permitted" in result.error


@pytest.mark.parametrize("cwd", ["/proc/self/fd/7", "/proc/self/fd/9/..", "/proc/self/cwd"])
def test_a_working_directory_through_a_magic_link_is_refused(bundle: Bundle, cwd: str) -> None:
    leaked = [os.open("/", os.O_PATH) for _ in range(8)]
    bundle.process["cwd"] = cwd
    try:
        assert bundle.fail().exit_code == 125
    finally:
        for fd in leaked:
            os.close(fd)


def test_the_interpreter_cannot_be_the_program(bundle: Bundle) -> None:
    (bundle.rootfs / "bin/link").symlink_to("/proc/self/exe")
    for name in ("/proc/self/exe", "/bin/link", "link"):
        bundle.process["args"] = [name, "-c", "print('host')"]
        failure = bundle.fail()
        assert (failure.exit_code, "link of procfs" in failure.message) == (126, True)


def test_the_init_of_ours_cannot_be_read_or_traced(bundle: Bundle) -> None:
    bundle.config["annotations"] = {"org.orchestra.init": "true"}
    script = "for f in exe cwd fd/0; do readlink /proc/1/$f || echo no $f; done; cat /proc/1/environ || echo no"
    lines = bundle.shell(f"({script}; ls -1 /proc/1/fd) 2>/dev/null").run().lines
    # That there are three descriptors may be seen, but not what they lead to.
    assert " ".join(lines) == "no exe no cwd no fd/0 no 0 1 2"


@pytest.mark.parametrize("target", ["/evil", "/evil/deep/file"])
def test_a_symlink_in_the_image_leads_no_mount_out(
    bundle: Bundle, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "evil").symlink_to("../../../../../../../.." + str(outside))
    bundle.config["mounts"].append(
        {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": []}
    )
    # Refusing is as good as staying inside.
    with contextlib.suppress(RuntimeFailure):
        bundle.shell("true").run()
    assert list(outside.iterdir()) == []


def test_proc_is_never_mounted_through_a_symlink(bundle: Bundle) -> None:
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("tmp")
    assert bundle.fail().message.startswith('cannot mount proc at "/proc"')


def test_nothing_is_mounted_over_procfs(bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["mounts"].append(
        {"destination": "/proc/sys", "type": "bind", "source": str(tmp_path), "options": ["rbind"]}
    )
    assert bundle.fail().message == 'cannot mount at "/proc/sys": it lies on procfs'


def test_a_bind_of_a_shared_mount_does_not_propagate(bundle: Bundle, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    syscalls.mount("tmpfs", str(shared), "tmpfs", 0)
    try:
        syscalls.mount(None, str(shared), None, MountFlag.SHARED)
        row = {"destination": "/shared", "type": "bind", "source": str(shared)}
        bundle.config["mounts"].append(row | {"options": ["rbind"]})
        bundle.process["args"] = ["cat", "/proc/self/mountinfo"]
        # The optional fields name peer groups and masters: there are none.
        tags = [line.split(" - ")[0].split()[6:] for line in bundle.run().lines]
        assert tags == [[]] * len(tags)
    finally:
        syscalls.umount2(str(shared))


def test_sysv_and_posix_shared_memory_of_the_host_are_out_of_sight(bundle: Bundle) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o600)
    memory = Path(f"/dev/shm/{bundle.name}")
    memory.touch()
    try:
        assert str(segment) in Path("/proc/sysvipc/shm").read_text()
        bundle.shell("cat /proc/sysvipc/shm | wc -l; ls /dev/shm /dev/mqueue | grep -v : | wc -w")
        assert bundle.run().lines == ["1", "0"]
    finally:
        memory.unlink()
        libc.shmctl(segment, 0, None)


def test_the_keyring_is_its_own(bundle: Bundle) -> None:
    keys = [item for item in bundle.linux["maskedPaths"] if item != "/proc/keys"]
    bundle.linux["maskedPaths"] = keys
    output = bundle.shell("cat /proc/keys").run().output
    assert f"_ses.{bundle.name}" in output


def test_a_fifo_as_passwd_does_not_hang_us(bundle: Bundle) -> None:
    (bundle.rootfs / "etc/passwd").unlink()
    os.mkfifo(bundle.rootfs / "etc/passwd")
    bundle.process["env"] = ["PATH=/bin"]
    bundle.process["args"] = ["env"]
    assert "HOME=/" in bundle.run().lines


def test_zero_bytes_and_unknown_names_are_refused_early(bundle: Bundle) -> None:
    bundle.process["args"] = ["a\0b"]
    assert "zero byte" in bundle.fail().message
    bundle.process["args"] = ["true"]
    bundle.process["capabilities"]["bounding"] = ["CAP_NOSUCH"]
    assert bundle.fail().message == 'unknown capability "CAP_NOSUCH"'
