"""The machine's process 1: lay the machine out as systemd would, run pytest, say how it ended.

Standard library only. Pytest's output goes to the second serial port, the kernel's to the first.
Whatever happens, the machine is switched off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
import time
import traceback
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# What a plain boot of systemd hands down from the root; the rest is for who needs it.
HANDED_DOWN = "+cpu +io +memory +pids"
SERVICE = CGROUPS / "system.slice/tests.service"
# The tests are where a service is: in a leaf whose parent hands nothing down.
ENTER = ("sh", "-c", f'echo 0 >{SERVICE}/cgroup.procs && exec "$@"', "sh")
# An emulated processor is slow, and its host may be busy.
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=1200")
STANDINS = Path("/var/cache/orchestra-standins")
MOUNTS = (
    ("proc", "proc", "/proc", "nosuid,nodev,noexec"),
    ("sysfs", "sysfs", "/sys", "nosuid,nodev,noexec"),
    ("securityfs", "securityfs", "/sys/kernel/security", "nosuid,nodev,noexec"),
    ("devpts", "devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666"),
    ("tmpfs", "tmpfs", "/dev/shm", "nosuid,nodev"),
    ("mqueue", "mqueue", "/dev/mqueue", "nosuid,nodev,noexec"),
    ("tmpfs", "tmpfs", "/run", "nosuid,nodev,mode=755"),
    ("cgroup2", "cgroup2", str(CGROUPS), "nosuid,nodev,noexec,nsdelegate,memory_recursiveprot"),
)
SELINUX = Path("/sys/fs/selinux")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "COLUMNS": "100",
    "CI": "true",
    "ORCHESTRA_TEST_PATIENCE": "10",
    "ORCHESTRA_TEST_DISK": "/dev/vdd",
    "PYTHONUNBUFFERED": "1",
}


def call(*argv: str) -> None:
    """Run a tool that must succeed."""
    subprocess.run(argv, check=True, env=ENVIRONMENT)


def lay_out() -> None:
    """Mount what a system has, and give it a network of its own and some swap."""
    for kind, source, target, options in MOUNTS:
        Path(target).mkdir(exist_ok=True)
        call("mount", "-t", kind, "-o", options, source, target)
    call("mount", "--make-rshared", "/")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        Path("/dev", name).symlink_to(f"/proc/self/fd/{number}")
    Path("/dev/fd").symlink_to("/proc/self/fd")
    for name in ("src", "var/checkout/upper", "var/checkout/work"):
        Path("/", name).mkdir(parents=True)
    layers = "lowerdir=/checkout,upperdir=/var/checkout/upper,workdir=/var/checkout/work"
    call("mount", "-t", "overlay", "-o", layers, "overlay", "/src")
    Path("/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    call("ip", "link", "set", "lo", "up")
    call("mkswap", "--quiet", "/dev/vdc")
    call("swapon", "/dev/vdc")
    Path("/proc/sys/vm/nr_hugepages").write_text("8")
    for name in ("init.scope", "system.slice/tests.service"):
        (CGROUPS / name).mkdir(parents=True)
    (CGROUPS / "init.scope/cgroup.procs").write_text("0")
    (CGROUPS / "cgroup.subtree_control").write_text(HANDED_DOWN)


def load_policy() -> None:
    """Load the policy that lies beside this file, where the kernel confines by SELinux."""
    if not SELINUX.exists():
        return
    call("mount", "-t", "selinuxfs", "selinuxfs", str(SELINUX))
    policy = Path("/run/policy")
    source = Path(__file__).with_name("policy.py")
    text = subprocess.run([sys.executable, source], check=True, stdout=subprocess.PIPE).stdout
    policy.with_suffix(".conf").write_bytes(text)
    call("checkpolicy", "-M", "-U", "allow", "-c", "33", "-o", f"{policy}", f"{policy}.conf")
    (SELINUX / "load").write_bytes(policy.read_bytes())
    contexts = Path("/usr/share/containers/selinux/contexts")
    contexts.parent.mkdir(parents=True, exist_ok=True)
    contexts.write_text(
        '# what a container gets\nprocess = "system_u:system_r:container_t:s0"\n'
        'file = "system_u:object_r:container_file_t:s0"\n'
    )


def registry() -> dict[str, str]:
    """Start the registry with its images, and return what tests need to know of it."""
    program = "from scripts.standins.__main__ import setting; from pathlib import Path; "
    program += "from scripts.standins.server import Server; "
    program += f"print(setting(Server(Path('{STANDINS}')).start()))"
    done = subprocess.run(
        [*ENTER, sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd="/src",
        env=ENVIRONMENT,
    )
    name, _, value = done.stdout.strip().partition("=")
    return {name: value}


def run_tests(arguments: list[str]) -> int:
    """Run pytest to its end and return its exit code; meanwhile collect what is orphaned."""
    wanted = registry() if any("e2e" in each for each in arguments) else {}
    tests = subprocess.Popen(
        [*ENTER, *PYTEST, *arguments],
        cwd="/src",
        env={**ENVIRONMENT, **wanted},
        stdin=subprocess.DEVNULL,
    )
    while True:
        pid, status = os.wait()
        if pid == tests.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def connect() -> None:
    """Make the second serial port, raw, this process's output."""
    port = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(port)
    settings[1] &= ~termios.OPOST
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(port, termios.TCSANOW, settings)
    os.dup2(port, 1)
    os.dup2(port, 2)
    os.close(port)


def main() -> None:
    connect()
    try:
        lay_out()
        load_policy()
        release = os.uname().release
        print(f"orchestra-v2: booted Linux {release}", flush=True)
        code = run_tests(json.loads(Path("/checkout/.arguments.json").read_text()))
        print(f"\norchestra-v2: pytest exited {code}", flush=True)
    except BaseException:  # noqa: BLE001 - whatever it is, it is to be seen, and this is process 1
        traceback.print_exc()
    finally:
        termios.tcdrain(1)
        Path("/proc/sysrq-trigger").write_text("o")
        time.sleep(60)


if __name__ == "__main__":
    main()
