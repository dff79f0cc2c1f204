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
    from orchestra.engine.container.exec_plain import PlainExec


_SILENT = ("auto", "plain", "quiet")
CONFIG = "/etc/orchestra/config.toml"
"""root's of engine/paths.py, which a test compares."""


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
    from orchestra.engine.plainly import NotPlainError, exec_plainly

    def wanted(make: type[PlainExec]) -> PlainExec:
        return make(
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


def run_identity(
    options: GlobalOptions, environment: Mapping[str, str], service: str
) -> tuple[str, str, str] | None:
    """Return a project's name, the key of its state for a service's `run`, the code's digest.

    None where that is not plain to see.
    """
    from orchestra.spec.plain_identity import plain_identity
    from orchestra.spec.plain_name import NotPlainError

    settings = environment.get("ORCHESTRA_CONFIG", CONFIG)
    if options.project_directory or options.env_files or options.runtime:
        return None
    if os.path.lexists(settings) or options.ansi != "auto" or options.progress not in _SILENT:
        return None
    try:
        return plain_identity(
            f"run {service}",
            environment,
            os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import
            files=options.files,
            asked=options.project_name,
            profiles=options.profiles,
        )
    except (NotPlainError, OSError):
        return None


def plain_run(
    options: GlobalOptions, run: Mapping[str, object], *, no_deps: bool, remove: bool
) -> None:
    """Run a service's one-off container to its end, and exit with its code.

    ``run``: planner.oneoff.Run as a document. Returns when nothing was done, for the session to do
    it or to say what is wrong.

    :raises Exit: with the code, also when nobody can tell how it ended, which has been said.
    """
    known = os.environ
    found = run_identity(options, known, str(run["service"]))
    if found is None:
        return
    project, key, code = found
    from orchestra.engine.plainly import NotPlainError, run_plainly

    request = {"code": code, "key": key, "run": run, "no_deps": no_deps, "remove": remove}
    try:
        ended = run_plainly(
            known,
            os.getuid(),
            project,
            request,
            stdin=0 if run["stdin"] else None,
            tty=bool(run["tty"]),
            lost=lambda: _remove(options, project, str(run["slug"])),
        )
    except NotPlainError:
        return
    except ContainerError:
        from orchestra.cli.render.errors import docker_codes

        with docker_codes(debug=options.debug, otherwise=125):
            raise
    raise Exit(ended)


def _remove(options: GlobalOptions, project: str, slug: str) -> bool:
    """Remove the container of a run, whatever it is doing; tell whether there was one."""
    from orchestra.cli.session import Session
    from orchestra.planner.oneoff import SLUG_LABEL

    session = Session(options)
    containers = session.machine.containers(project).containers
    found = [one.id for one in containers if one.labels.get(SLUG_LABEL) == slug]
    for container in found:
        session.run(lambda: session.machine.remove(project, container))  # noqa: B023 - at once
    return bool(found)


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
