"""AppArmor: the profile of a container that names none, as docker-default is Docker's.

Loaded by the host's own apparmor_parser when a container needs it, for a profile does not outlive
a reboot, and package upgrades unload what is not theirs. Nothing is written below /etc.
"""

from __future__ import annotations

import json
from pathlib import Path

from orchestra.engine.container.security_options import DEFAULT_PROFILE, parse_security
from orchestra.engine.linux import host
from orchestra.engine.linux.files import read_bytes
from orchestra.engine.shim.identity import write_json
from orchestra.errors import ContainerError
from orchestra.planner.desired import ContainerSpec

_PROFILES = Path("/sys/kernel/security/apparmor/profiles")
_CURRENT = Path("/proc/self/attr/current")
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_RULES = """\
  # What capabilities, filter, namespaces and read-only mounts allow is allowed here too, but for
  # what follows: this is the wall behind those walls.
  file,
  capability,
  network,
  umount,
  signal (receive) peer=unconfined,
  signal (receive) peer={runc,crun},
  signal (send, receive) peer=@{profile_name},
  ptrace (trace, tracedby, read, readby) peer=@{profile_name},

  deny mount,
  deny network alg,

  # Of /proc, the processes' own files and the kernel.shm* settings are written to, and no more.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys[^/]*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/{kcore,sysrq-trigger} rwklx,

  # Of /sys, the cgroups are.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/{firmware,devices/virtual/powercap,kernel/security}/** rwklx,
"""


def profile_text(*, own: str, abi: bool) -> str:
    """Return the default profile. ``own``: what this process is confined by, "" for nothing.

    ``abi``: whether the host has the rules of AppArmor 3.0, by which ``network`` is every socket.
    """
    head = "abi <abi/3.0>,\n" if abi else ""
    signals = f'  signal (receive) peer="{own}",\n' if own else ""
    flags = "attach_disconnected, mediate_deleted"
    return f"{head}profile {DEFAULT_PROFILE} flags=({flags}) {{\n{_RULES}{signals}}}\n"


def default_profile() -> str:
    """Return the profile of a container that names none, which is loaded by then.

    "" where there is none to be had: a host without AppArmor or without apparmor_parser, or no
    right to look. So does Docker.

    :raises ContainerError: when the host refuses to load it.
    """
    if not host.has_apparmor():
        return ""
    try:
        lines = _PROFILES.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    if any(line.rpartition(" (")[0] == DEFAULT_PROFILE for line in lines):
        return DEFAULT_PROFILE
    import shutil  # noqa: PLC0415 - takes longer than most of what is done here

    program = shutil.which("apparmor_parser") or shutil.which("apparmor_parser", path=_SYSTEM_PATH)
    if program is None:
        return ""
    _load(program)
    return DEFAULT_PROFILE


def _load(program: str) -> None:
    import subprocess  # noqa: PLC0415 - once after a boot

    own = _CURRENT.read_text(encoding="utf-8").strip().rpartition(" (")[0]
    text = profile_text(own=own, abi=Path("/etc/apparmor.d/abi/3.0").exists())
    # Its cache is not ours to write to; "replace" is no error where another was faster.
    done = subprocess.run(
        [program, "--replace", "--skip-cache", "--skip-read-cache"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ContainerError(
            f'cannot load the AppArmor profile "{DEFAULT_PROFILE}": {said[-1]}',
            hint="set security_opt to apparmor=unconfined, or to a profile of this host",
        )


def refresh(spec: ContainerSpec, config: Path) -> None:
    """Before a start, let config.json name the default profile where it is to be had.

    That may have changed since the container was made: by a boot, or by an installation.

    :raises ContainerError: when the host refuses to load it.
    """
    named = parse_security(spec.security_opt).apparmor
    if named not in {None, DEFAULT_PROFILE} or (named is None and spec.privileged):
        return
    profile = default_profile()
    text = read_bytes(str(config))
    if not profile and b'"apparmorProfile"' not in text:
        return
    document = json.loads(text)
    before = document["process"].pop("apparmorProfile", "")
    if profile:
        document["process"]["apparmorProfile"] = profile
    if before != profile:
        write_json(str(config), document)
