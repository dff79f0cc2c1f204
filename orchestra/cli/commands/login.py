"""``orchestra login``: a registry's name and password, tried and kept as docker keeps them."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session, note
from orchestra.errors import UsageError

_BYTES_MAX = 1 << 16


def command(
    ctx: Context,
    server: Annotated[str, Argument(metavar="[SERVER]")] = "",
    password: Annotated[
        str, Option("--password", "-p", help="Password or Personal Access Token (PAT)")
    ] = "",
    password_stdin: Annotated[
        bool, Option("--password-stdin", help="Take the Password or PAT from stdin")
    ] = False,
    username: Annotated[str, Option("--username", "-u", help="Username")] = "",
) -> None:
    """Log in; without a name, with what is known already, or by asking on the terminal."""
    session = Session.of(ctx)
    if password and password_stdin:
        raise UsageError("--password and --password-stdin are mutually exclusive")
    if password_stdin and not username:
        raise UsageError("--password-stdin needs --username")
    if password:
        note("warning: a password on the command line is seen by others; use --password-stdin")
    if password_stdin:
        password = sys.stdin.read(_BYTES_MAX).rstrip("\r\n")
        if not password:
            raise UsageError("no password came on stdin")

    async def main() -> None:
        accounts = session.registries
        helper = await accounts.log_in(
            server, username, password, ask=lambda known: _ask(server, known, username, password)
        )
        if not helper:
            note(
                f"warning: the login is kept unencrypted in {accounts.path}; "
                "a credential helper (credsStore) would keep it safer"
            )
        print("Login Succeeded")

    session.run(main)


def _ask(server: str, known: str, username: str, password: str) -> tuple[str, str]:
    """Ask for what was not given.

    :raises UsageError: when there is no terminal to ask at.
    """
    import getpass

    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for a name and a password at",
            hint=f"orchestra login -u NAME --password-stdin {server}".rstrip(),
        )
    if not username:
        sys.stderr.write(f"Username ({known}): " if known else "Username: ")
        sys.stderr.flush()
        username = sys.stdin.readline().strip() or known
    password = password or getpass.getpass("Password: ")
    if not username or not password:
        raise UsageError("a name and a password are needed")
    return username, password
