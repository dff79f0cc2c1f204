"""Commands that people wait for at each keystroke, where all is as usual: without the session.

What is not as usual is left to the session, errors included; nothing has been done by then.
"""

from __future__ import annotations

import os

from orchestra.cli.declare import Exit
from orchestra.errors import ContainerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestra.cli.options import GlobalOptions


def plain_project(options: GlobalOptions, environment: Mapping[str, str]) -> str | None:
    """Return the project's name where it is plain to see, else None."""
    from orchestra.spec.plain_name import NotPlainError
    from orchestra.spec.plain_project import plain_project_name

    if options.project_directory or options.env_files:
        return None
    try:
        return plain_project_name(
            environment,
            os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import
            files=options.files,
            asked=options.project_name,
        )
    except (NotPlainError, OSError):
        return None


def plain_exec(
    options: GlobalOptions,
    service: str,
    arguments: Sequence[str],
    *,
    environment: Iterable[str],
    index: int,
    cwd: str | None,
    tty: bool,
    privileged: bool,
    stdin: bool,
    detach: bool,
) -> None:
    """Run the command in the service's container, and exit with its code.

    Returns when it was not run, for the session to do so or to say what is wrong.

    :raises Exit: with the code, also when the command did not start, which has been said.
    """
    known = os.environ
    project = plain_project(options, known)
    if project is None:
        return
    from orchestra.engine.plainly import NotPlainError, PlainExec, exec_plainly

    wanted = PlainExec(
        service=service,
        arguments=arguments,
        index=index,
        environment=variables(environment, known),
        cwd=cwd,
        tty=tty,
        privileged=privileged,
        stdin=stdin,
        detach=detach,
    )
    try:
        code = exec_plainly(known, os.getuid(), project, wanted)
    except NotPlainError:
        return
    except ContainerError:
        from orchestra.cli.render.errors import EXEC_UNSTARTED, docker_codes

        with docker_codes(debug=options.debug, unstarted=EXEC_UNSTARTED):
            raise
    raise Exit(code)


def variables(options: Iterable[str], environment: Mapping[str, str]) -> Mapping[str, str]:
    """Parse ``--env KEY[=VALUE]``; a key alone takes the environment's value, if it has one."""
    found: dict[str, str] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if equals:
            found[key] = value
        elif key in environment:
            found[key] = environment[key]
    return found
