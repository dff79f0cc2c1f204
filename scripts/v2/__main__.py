"""``python -m scripts.v2 [--security MODULE] [-- PYTEST OPTIONS]``: tests on a cgroup v2 kernel.

Debian's kernel in an emulated machine without a network; the exit code is pytest's. What is given
to pytest without naming a test applies to the default selection, which is run on a kernel with
AppArmor, and then what is about SELinux on one with that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.v2 import machine
from scripts.v2.errors import MachineError
from scripts.v2.image import make_pieces, write_checkout
from scripts.v2.recipe import CHECKOUT, read_recipe

APPARMOR, SELINUX = "apparmor", "selinux"
DEFAULT = {
    APPARMOR: (
        "tests/kernel/test_runtime_*.py",
        "tests/kernel/test_shim_*.py",
        "tests/kernel/test_container_*.py",
        "tests/conformance/test_conformance_runtimes.py",
        "tests/e2e/scenarios/limits",
        "tests/e2e/scenarios/names",
        "tests/e2e/scenarios/restarts",
        "tests/e2e/scenarios/health_gate",
        "tests/e2e/scenarios/isolation",
        "tests/e2e/scenarios/walls",
    ),
    SELINUX: ("tests/kernel/test_container_selinux.py",),
}
SWAP_BYTES = 256 << 20
SPARE_BYTES = 512 << 20
STARTED = time.monotonic()


def say(message: str) -> None:
    """Tell of progress on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {message}", file=sys.stderr, flush=True)


def cache_directory() -> Path:
    """Return the place that XDG gives."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base, "orchestra-v2").absolute()


def names_tests(arguments: Sequence[str]) -> bool:
    """Tell whether pytest's arguments say which tests to run."""
    return any((CHECKOUT / each.partition("::")[0]).exists() for each in arguments)


def selection(arguments: Sequence[str], module: str) -> list[str]:
    """Return the arguments, with the default tests where they name none."""
    if names_tests(arguments):
        return list(arguments)
    found = [sorted(CHECKOUT.glob(pattern)) for pattern in DEFAULT[module]]
    return [*arguments, *(str(path.relative_to(CHECKOUT)) for paths in found for path in paths)]


def boot(arguments: Sequence[str], seconds: float, module: str) -> int:
    """Make what is missing, boot, and return pytest's exit code.

    :raises MachineError: when there is no result.
    """
    pieces = make_pieces(cache_directory(), read_recipe(), say)
    with tempfile.TemporaryDirectory(prefix="orchestra-v2-") as name:
        place = Path(name)
        names = ("checkout.img", "swap.img", "spare.img", "console")
        disks = machine.Disks(*(place / each for each in names))
        checkout = place / "checkout"
        checkout.mkdir()
        write_checkout(checkout, disks.checkout, json.dumps(selection(arguments, module)))
        for disk, size in ((disks.swap, SWAP_BYTES), (disks.spare, SPARE_BYTES)):
            with disk.open("wb") as file:
                file.truncate(size)
        say(f"booting, with {module}")
        code = machine.run(pieces, disks, seconds, module)
    say(f"pytest exited {code}")
    return code


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.v2", description=__doc__)
    parser.add_argument("--seconds", type=float, default=7200.0, help="how long it may take")
    parser.add_argument("pytest", nargs="*", metavar="PYTEST OPTION", help="after --")
    parser.add_argument("--security", choices=list(DEFAULT), help="the kernel's, for one run")
    options = parser.parse_args(argv)
    modules = [options.security or APPARMOR]
    if options.security is None and not names_tests(options.pytest):
        modules.append(SELINUX)
    try:
        return max(boot(options.pytest, options.seconds, module) for module in modules)
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        for line in error.tail:
            print(f"  | {line}", file=sys.stderr)
        return 70
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
