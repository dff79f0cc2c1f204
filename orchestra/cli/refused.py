"""Options of docker's that are not offered, and why: told when one is used."""

from __future__ import annotations

from collections.abc import Mapping

_BUILDER = "builds run in the command itself, there are no builders to choose from"
_BUILD = {
    "--builder": _BUILDER,
    "--compress": "a context is read where it is, and sent nowhere",
    "--debug": "use `orchestra --debug image build`",
    "--cpu-period": "use --resource cpu-period=",
    "--cpu-quota": "use --resource cpu-quota=",
    "--cpu-shares": "use --resource cpu-shares=",
    "--cpuset-cpus": "use --resource cpuset-cpus=",
    "--cpuset-mems": "memory nodes of steps are not chosen",
    "--force-rm": "no intermediate containers are left",
    "--isolation": "it is for Windows",
    "--memory": "use --resource memory=",
    "--memory-swap": "use --resource memory-swap=",
    "--policy": "no policies are evaluated",
    "--print": "use --call",
    "--rm": "no intermediate containers are left",
    "--security-opt": "use RUN --security, and --allow",
    "-D": "use `orchestra --debug image build`",
    "-c": "use --resource cpu-shares=",
    "-m": "use --resource memory=",
    "--squash": "layers stay as they are made",
}
_COMPOSE = {
    "--builder": _BUILDER,
    "--compress": "a context is read where it is, and sent nowhere",
    "--dry-run": "use `orchestra plan`",
    "--force-rm": "no intermediate containers are left",
    "--no-rm": "no intermediate containers are left",
    "--parallel": "independent images are built side by side always",
}
REFUSED: Mapping[str, Mapping[str, str]] = {
    "orchestra image build": _BUILD,
    "orchestra build": _COMPOSE,
}
"""Command -> option -> why it is not offered."""
