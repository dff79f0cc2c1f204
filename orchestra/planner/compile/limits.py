"""A service's limits, health and restart policy -> the engine's terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.desired import (
    HealthSpec,
    RestartMode,
    RestartPolicy,
)
from orchestra.planner.limits import (
    BlockIo,
    BlockLimit,
    DeviceRequest,
    DeviceSpec,
    Resources,
    Ulimit,
)
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.healthcheck import Healthcheck
from orchestra.spec.model.service import Service
from orchestra.spec.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestra.spec.model.container import Device
    from orchestra.spec.model.limits import BlkioConfig
    from orchestra.spec.model.limits import DeviceRequest as WrittenRequest
    from orchestra.spec.model.limits import Ulimit as WrittenUlimit

_EXTENSION = "x-orchestra"
_MOST_SWAPPINESS = 100
_RT_PERIOD_US = 1_000_000
_QUALIFIED = re.compile(
    r"[A-Za-z]([\w.-]*[A-Za-z0-9])?/[A-Za-z]([\w.-]*[A-Za-z0-9])?"
    r"=[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?",
    re.ASCII,
)
_RESTART_WORDS = {
    "": RestartMode.NO,
    "no": RestartMode.NO,
    "none": RestartMode.NO,
    "always": RestartMode.ALWAYS,
    "any": RestartMode.ALWAYS,
    "on-failure": RestartMode.ON_FAILURE,
    "unless-stopped": RestartMode.UNLESS_STOPPED,
}


def compile_storage(service: Service, complaints: Complaints) -> int | None:
    """Return the limit of a container's layer; 0 and nothing are none (moby, overlay2)."""
    size = None
    for key, text in service.storage_opt.items():
        path: KeyPath = ("services", service.name, "storage_opt", key)
        if key.lower() != "size":
            complaints.add(path, f'unknown option "{key}"', 'known is "size"')
            continue
        try:
            size = max(parse_size(text), -1)
        except ValueError:
            size = -1
        if size < 0:
            complaints.add(path, f'"{text}" is no size', 'write it as "10G"')
    return size or None


def compile_resources(service: Service, complaints: Complaints) -> Resources:
    """Return a container's limits; those of ``deploy`` win over the service's own."""
    deployed = service.deploy.resources if service.deploy else None
    limits = deployed.limits if deployed else None
    reservations = deployed.reservations if deployed else None
    cpus = (limits.cpus if limits else None) or service.cpus
    pids = (limits.pids if limits else None) or service.pids_limit
    _check_realtime(service, complaints)
    return Resources(
        cpus=float(cpus) if cpus else None,
        cpu_shares=service.cpu_shares or None,
        cpu_quota_us=service.cpu_quota or None,
        cpu_period_us=service.cpu_period or None,
        cpu_rt_runtime_us=service.cpu_rt_runtime or None,
        cpu_rt_period_us=service.cpu_rt_period or None,
        cpuset=service.cpuset or None,
        memory_bytes=(limits.memory if limits else None) or service.mem_limit or None,
        memory_reservation_bytes=(reservations.memory if reservations else None)
        or service.mem_reservation
        or None,
        memory_swap_bytes=service.memswap_limit or None,
        memory_swappiness=_swappiness(service, complaints),
        block_io=_block_io(service.blkio_config),
        pids=pids if pids and pids > 0 else None,
        oom_kill_disable=service.oom_kill_disable,
        oom_score_adj=service.oom_score_adj,
    )


def _swappiness(service: Service, complaints: Complaints) -> int | None:
    """Return the swappiness; 0 is none given, as for docker compose, and -1 the parent's."""
    value = service.mem_swappiness
    if not value or value == -1:
        return None
    if not 0 <= value <= _MOST_SWAPPINESS:
        key = ("services", service.name, "mem_swappiness")
        complaints.add(key, f"{value} is no swappiness", hint="it is a number from 0 to 100")
    return value


def _check_realtime(service: Service, complaints: Complaints) -> None:
    runtime, period = service.cpu_rt_runtime or 0, service.cpu_rt_period or _RT_PERIOD_US
    if runtime > period:
        complaints.add(
            ("services", service.name, "cpu_rt_runtime"),
            f"{runtime} us are more than the period, {period} us",
            hint="raise cpu_rt_period, or lower cpu_rt_runtime",
        )


def compile_cgroup_parent(service: Service, complaints: Complaints) -> str:
    """Return the path that the container's cgroup lies below, from the root of the hierarchies."""
    names = [name for name in (service.cgroup_parent or "").split("/") if name not in {"", "."}]
    if ".." in names:
        complaints.add(
            ("services", service.name, "cgroup_parent"),
            f'"{service.cgroup_parent}" leads up',
            hint="write it without ..",
        )
    return "/" + "/".join(names) if names else ""


def _block_io(written: BlkioConfig | None) -> BlockIo:
    if written is None:
        return BlockIo()
    bps = written.device_read_bps, written.device_write_bps
    iops = written.device_read_iops, written.device_write_iops
    rates = [
        tuple(BlockLimit(path=limit.path, value=limit.rate) for limit in limits)
        for limits in (*bps, *iops)
    ]
    return BlockIo(
        weight=written.weight or None,
        weights=tuple(BlockLimit(path=w.path, value=w.weight) for w in written.weight_device),
        read_bps=rates[0],
        write_bps=rates[1],
        read_iops=rates[2],
        write_iops=rates[3],
    )


def ulimits_of(limits: Mapping[str, WrittenUlimit]) -> tuple[Ulimit, ...]:
    """Return resource limits, by name."""
    return tuple(
        Ulimit(name=name, soft=limit.soft, hard=limit.hard)
        for name, limit in sorted(limits.items())
    )


def compile_devices(service: Service, complaints: Complaints) -> tuple[DeviceSpec, ...]:
    """Return the host's devices that a container sees."""
    for index, device in enumerate(service.devices):
        if not (device.source.startswith("/") or _is_qualified(device)):
            complaints.refuse(
                ("services", service.name, "devices", index),
                f'"{device.source}" is neither a path nor the name of a CDI device',
                "give the path of a device, as in /dev/sda, or vendor.com/class=name",
            )
    return tuple(
        DeviceSpec(
            source=device.source,
            target=device.target or device.source,
            permissions=device.permissions or "rwm",
        )
        for device in service.devices
        if not _is_qualified(device)
    )


def _is_qualified(device: Device) -> bool:
    """Tell whether an entry of ``devices`` is a CDI device's name."""
    return bool(_QUALIFIED.fullmatch(device.source)) and device.target in {None, device.source}


def compile_device_requests(service: Service) -> tuple[DeviceRequest, ...]:
    """Return the devices asked for by name (CDI), by ``gpus`` and by ``deploy``'s reservations."""
    deployed = service.deploy.resources if service.deploy else None
    reservations = deployed.reservations if deployed else None
    names = tuple(device.source for device in service.devices if _is_qualified(device))
    found = [DeviceRequest(driver="cdi", device_ids=names)] if names else []
    found += [_request(asked, "gpu") for asked in service.gpus]
    found += [_request(asked) for asked in (reservations.devices if reservations else ())]
    return tuple(found)


def _request(asked: WrittenRequest, *capabilities: str) -> DeviceRequest:
    return DeviceRequest(
        driver=asked.driver or "",
        count=asked.count or 0,
        device_ids=asked.device_ids,
        capabilities=tuple(dict.fromkeys((*asked.capabilities, *capabilities))),
        options=dict(sorted(asked.options.items())),
    )


def compile_health(check: Healthcheck | None) -> HealthSpec | None:
    """Return a healthcheck; None where the service says nothing."""
    if check is None:
        return None
    if check.disable:
        return HealthSpec(test=("NONE",))
    return HealthSpec(
        test=check.test or None,
        interval=check.interval,
        timeout=check.timeout,
        start_period=check.start_period,
        start_interval=check.start_interval,
        retries=check.retries,
    )


def compile_restart(service: Service, complaints: Complaints) -> RestartPolicy:
    """Return when a container is started again; ``deploy.restart_policy`` wins.

    A ``deploy.restart_policy`` without a condition restarts always (compose-spec deploy.md).
    """
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is not None:
        place = ("services", service.name, "deploy", "restart_policy", "condition")
        return RestartPolicy(
            mode=_mode("any" if policy.condition is None else policy.condition, place, complaints),
            max_retries=policy.max_attempts or 0,
            delay=policy.delay,
            window=policy.window,
        )
    key: KeyPath = ("services", service.name, "restart")
    word, colon, count = (service.restart or "").partition(":")
    if colon and not (word == "on-failure" and count.isdecimal()):
        complaints.add(
            key, f'"{service.restart}" is no restart policy', hint='a number: "on-failure:3"'
        )
        return RestartPolicy()
    return RestartPolicy(mode=_mode(word, key, complaints), max_retries=int(count or 0))


def _mode(word: str, key: KeyPath, complaints: Complaints) -> RestartMode:
    mode = _RESTART_WORDS.get(word)
    if mode is None:
        complaints.add(
            key, f'"{word}" is no restart policy', hint="no, always, on-failure or unless-stopped"
        )
    return mode or RestartMode.NO


def compile_heal(service: Service, complaints: Complaints) -> bool:
    """Tell whether an unhealthy container is restarted.

    It is, unless ``restart: "no"`` is written out or ``x-orchestra`` says otherwise.
    """
    policy = service.deploy.restart_policy if service.deploy else None
    written_no = service.restart == "no" or (policy is not None and policy.condition == "none")
    extension = service.extensions.get(_EXTENSION)
    if extension is None:
        return not written_no
    key: KeyPath = ("services", service.name, _EXTENSION)
    known = isinstance(extension, dict) and set(extension) <= {"on_unhealthy"}
    if not known or not isinstance(extension, dict):
        hint = "on_unhealthy: ignore, or restart"
        complaints.add(key, "expected a mapping with the key on_unhealthy and no other", hint)
        return True
    match extension.get("on_unhealthy"):
        case "ignore":
            return False
        case "restart":
            return True
        case None:
            return not written_no
        case _:
            complaints.add((*key, "on_unhealthy"), 'expected "ignore" or "restart"', "choose one")
            return True
