"""What a process in a running container is to be, as a request to the launcher."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.engine.container.bundle import user_of
from orchestra.engine.container.places import Places
from orchestra.engine.container.plain_process import exec_process
from orchestra.engine.container.runtime import runtime_prefix
from orchestra.engine.container.security_options import DEFAULT_PROFILE
from orchestra.engine.container.users import read_user_files, resolve_user
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ExecRequest
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.values import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOptions:
    """What to run; None takes the container's own. ``environment`` is added to the container's."""

    args: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    tty: bool = False
    privileged: bool = False
    rows: int = 0
    columns: int = 0
    detach: bool = False


def exec_request(paths: Paths, record: ContainerRecord, options: ExecOptions) -> ExecRequest:
    """Return what to ask the launcher for.

    :raises ContainerError: when the container does not run, or has no such user.
    """
    places = Places.of(paths, record)
    init = places.init()
    if init is None:
        raise ContainerError(
            f'cannot run a process in container "{record.spec.name}": it does not run',
            hint=f"start it: orchestra start {record.spec.service}",
        )
    user = None
    if options.user is not None:
        files = read_user_files((str(places.upper), *record.layers))
        user = resolve_user(options.user, files, record.spec.group_add)
    config = places.read_config()
    if config.get("process", {}).get("apparmorProfile") == DEFAULT_PROFILE:
        from orchestra.engine.container.apparmor import default_profile  # noqa: PLC0415 - where AppArmor is

        default_profile()  # package upgrades unload what is not theirs
    process = exec_process(
        config,
        options.args,
        environment=options.environment,
        cwd=options.cwd,
        user=None if user is None else user_of(user),
        home="/" if user is None else user.home,
        tty=options.tty,
        privileged=options.privileged,
    )
    return {
        "op": "exec",
        "id": record.id,
        "init": init,
        "bundle": str(places.bundle),
        "runtime": list(runtime_prefix(record.spec.runtime)),
        "process": process,
        "tty": options.tty,
        "rows": options.rows,
        "columns": options.columns,
        "detach": options.detach,
    }
