"""Requests for devices by what they can do: which driver gives them, and what that adds.

As the Docker Engine's (daemon/devices.go, devices_nvidia_linux.go, cdi.go): "cdi" names devices;
"nvidia" answers to the capability gpu, by CDI where there is a spec of NVIDIA's, else by the hook
of its container toolkit.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.engine.container.cdi import Edits, Registry, read_registry
from orchestra.errors import ContainerError
from orchestra.oci.runtime import Hook
from orchestra.planner.limits import DeviceRequest

NVIDIA_HOOK = "nvidia-container-runtime-hook"
_NVIDIA_KIND = "nvidia.com/gpu"
_NVIDIA_NEEDS = frozenset({"gpu", "nvidia"})
_NVIDIA_DRIVER = ("compat32", "compute", "display", "graphics", "ngx", "utility", "video")


def edits_of(requests: Sequence[DeviceRequest], registry: Registry | None = None) -> Edits:
    """Return what the devices asked for add to a container.

    :raises ContainerError: when no driver gives one, or it names a device that is not there.
    """
    found = Edits()
    if not requests:
        return found
    registry = registry or read_registry()
    for request in requests:
        found = found.plus(_edits(request, registry))
    return found


def _edits(request: DeviceRequest, registry: Registry) -> Edits:
    if request.driver == "cdi":
        return registry.edits_of(request.device_ids)
    if request.count and request.device_ids:
        raise ContainerError(
            "cannot set both count and device_ids on a device request", hint="keep one of them"
        )
    if request.driver in {"", "nvidia"} and _suits_nvidia(request):
        if registry.has(_NVIDIA_KIND):
            return registry.edits_of([f"{_NVIDIA_KIND}={name}" for name in _nvidia_ids(request)])
        import shutil  # noqa: PLC0415 - takes longer than most of what is done here

        if hook := shutil.which(NVIDIA_HOOK):
            return _nvidia_hook(request, hook)
    wanted = " ".join(request.capabilities)
    raise ContainerError(
        f'could not select device driver "{request.driver}" with capabilities: [[{wanted}]]',
        hint="put a CDI spec of the vendor's into /etc/cdi, as `nvidia-ctk cdi generate` makes it",
    )


def _suits_nvidia(request: DeviceRequest) -> bool:
    known = _NVIDIA_NEEDS | {*_NVIDIA_DRIVER}
    return bool(request.capabilities) and known >= {*request.capabilities}


def _nvidia_ids(request: DeviceRequest) -> Sequence[str]:
    if request.device_ids:
        return request.device_ids
    return ["all"] if request.count < 0 else [str(number) for number in range(request.count)]


def _nvidia_hook(request: DeviceRequest, hook: str) -> Edits:
    env = [f"NVIDIA_VISIBLE_DEVICES={','.join(_nvidia_ids(request))}"]
    asked = [name for name in _NVIDIA_DRIVER if name in request.capabilities]
    if asked:
        env.append(f"NVIDIA_DRIVER_CAPABILITIES={','.join(asked)}")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    made: Hook = {"path": hook, "args": [NVIDIA_HOOK, "prestart"], "env": [path]}
    return Edits(env=tuple(env), hooks={"prestart": [made]})
