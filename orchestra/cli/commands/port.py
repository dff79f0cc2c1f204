"""``orchestra port``: where a container's port is published."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    private_port: Annotated[int, Argument(metavar="PRIVATE_PORT", min=0, max=65535)],
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several replicas")
    ] = 0,
    protocol: Annotated[str, Option("--protocol", help="tcp or udp")] = "tcp",
) -> None:
    """Print ADDRESS:PORT of the first publication."""
    from orchestra.cli.transact import NotRunningError, pick_running

    session = Session.of(ctx)
    observed = session.machine.containers(session.project_name)
    container = pick_running(observed, service, index)
    for port in container.ports:
        if (port.container_port, port.protocol) == (private_port, protocol.lower()):
            host = port.host_ip or "0.0.0.0"  # noqa: S104 - what docker prints
            print(f"[{host}]:{port.host_port}" if ":" in host else f"{host}:{port.host_port}")
            return
    known = ", ".join(f"{port.container_port}/{port.protocol}" for port in container.ports)
    raise NotRunningError(
        f'container "{container.name}" publishes no port {private_port}/{protocol.lower()}',
        hint=f"published there: {known or 'none'}",
    )
