"""Entry of the runtime as a program: ``python -m orchestra.engine.runtime VERB``."""

from __future__ import annotations

import sys

from orchestra.engine.runtime import cli, interpreter
from orchestra.engine.runtime.failure import RuntimeFailure

_STARTING_VERBS = frozenset({"create", "run", "exec"})


def main() -> int:
    """Protect the interpreter where a container will see us, then run the verb."""
    try:
        if _STARTING_VERBS & set(sys.argv[1:]):
            interpreter.protect()
    except RuntimeFailure as failure:
        sys.stderr.write(f"{failure.message}\n")
        return 1
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
