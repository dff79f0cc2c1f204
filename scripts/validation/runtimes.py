"""The runtimes that are put to the suite, each as one program: it knows no arguments of its own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestra.engine.linux import host

NATIVE = "native"
_CRUN = """#!/bin/sh
# crun knows the specification up to 1.0: the suite's configurations use nothing newer.
if [ "$1" = create ]; then
  bundle=. last=
  for word; do [ "$last" = --bundle ] && bundle=$word; last=$word; done
  sed -i 's/"ociVersion": *"1[^"]*"/"ociVersion":"1.0.2"/' "$bundle/config.json"
fi
"""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime under test; ``version`` is its own word."""

    name: str
    version: str
    program: Path
    prepare: str
    """A shell command for the mount namespace of each scenario."""

    def call(self, *arguments: str) -> str:
        """Run a verb; return what it printed, whatever came of it."""
        shell = ["unshare", "-m", "sh", "-c", f'{self.prepare} exec "$@"', "sh"]
        argv = [*shell, str(self.program), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        return done.stdout

    def clean_up(self) -> list[str]:
        """Delete the containers that a scenario left; return their ids."""
        left = self.call("list", "-q").split()
        for name in left:
            self.call("delete", "--force", name)
        return left


def installed(name: str) -> bool:
    """Tell whether a runtime can be put to the suite."""
    return name == NATIVE or shutil.which(name) is not None


def make(name: str, directory: Path) -> Runtime:
    """Write the program of a runtime into a directory; its state will be below it."""
    program, root = directory / name, directory / f"{name}-containers"
    head, prepare = "#!/bin/sh\n", ""
    command = f"{sys.executable} -m orchestra.engine.runtime" if name == NATIVE else name
    if name == "crun":
        head = _CRUN
        cgroups = host.cgroups()
        if cgroups.mode == "hybrid" and cgroups.unified is not None:
            # It refuses hybrid hosts; without the v2 part this one is a v1 host.
            prepare = f"umount {shlex.quote(cgroups.unified.mountpoint)};"
    program.write_text(f'{head}exec {command} --root {root} "$@"\n')
    program.chmod(0o755)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    words = said.splitlines()[0].split()
    return Runtime(name, words[-1] if name != NATIVE else "", program, prepare)
