"""Where a command writes an archive: standard output, or a file, whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestra.errors import UsageError


def target_of(output: str) -> Path | None:
    """Return the file that ``--output`` names, None for standard output.

    :raises UsageError: when no archive can become of it, or standard output is a terminal.
    """
    if not output:
        if sys.stdout.isatty():
            raise UsageError(
                "refusing to write an archive to a terminal", hint="name a file with -o"
            )
        return None
    path = Path(output)
    if not path.absolute().parent.is_dir():
        raise UsageError(f'cannot write "{path}": there is no directory "{path.parent}"')
    if path.exists() and not path.is_file():
        raise UsageError(f'cannot write "{path}": it is no regular file')
    return path


@contextmanager
def written_whole(target: Path | None) -> Iterator[int]:
    """Give a descriptor to write to; a file gets its name once the block has ended well.

    :raises UsageError: when the file cannot be written.
    """
    if target is None:
        sys.stdout.flush()
        yield sys.stdout.fileno()
        return
    from tempfile import mkstemp

    with _told(target):
        fd, name = mkstemp(dir=target.parent, prefix=f".{target.name[:100]}-")
    try:
        yield fd
        with _told(target):
            os.fsync(fd)
            Path(name).replace(target)
    finally:
        os.close(fd)
        Path(name).unlink(missing_ok=True)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise UsageError(f'cannot write "{target}": {(err.strerror or "").lower()}') from err
