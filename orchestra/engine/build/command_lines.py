"""The command of a RUN as its container gets it, and the paths and variables around it.

Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from orchestra.engine.build.dockerfile import parse_heredoc_word
from orchestra.engine.build.instructions import Command
from orchestra.engine.build.vertices import Script
from orchestra.errors import BuildError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
SCRIPT_DIRECTORY = "/dev/pipes"


def command_line(
    command: Command, shell: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> tuple[tuple[str, ...], Script | None]:
    """Return the arguments to execute, and the script to show beside them.

    A document alone is the shell's text, or a program of its own when it begins with ``#!``;
    documents beside other words are the shell's to read.

    :raises BuildError: when there is no command.
    """
    words = command.words
    script = None
    if command.heredocs and command.shell:
        first = command.heredocs[0]
        if parse_heredoc_word(words[0]) is None:
            bodies = "".join(f"\n{doc.content}{doc.name}" for doc in command.heredocs)
            words = (words[0] + bodies,)
        elif first.text.startswith("#!"):
            script = Script(name=first.name, text=first.text)
            words = (f"{SCRIPT_DIRECTORY}/{first.name}",)
        else:
            words = (first.text,)
    if not words:
        raise BuildError("a command is missing")
    return (shell(words) if command.shell else words), script


def proxies(arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the proxy arguments as variables of a RUN, in upper and lower case."""
    found: dict[str, str] = {}
    for name in sorted(arguments):
        if name.upper() in PROXIES:
            found[name.upper()] = found[name.lower()] = arguments[name]
    return tuple(f"{name}={value}" for name, value in found.items())


def absolute(path: str, cwd: str) -> str:
    """Resolve a destination from the working directory, keeping a trailing slash."""
    directory = path in ("", ".") or path.endswith(("/", "/."))
    path = posixpath.normpath(posixpath.join("/", cwd, path))
    path = "/" + path.lstrip("/")
    return path + "/" if directory and path != "/" else path
