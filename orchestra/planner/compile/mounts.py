"""A service's volumes, tmpfs, configs and secrets -> mounts and files of its containers."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.planner.compile.complaints import Complaints
from orchestra.planner.desired import FileMount, Mount, MountKind, VolumesFrom
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.files import Config, FileReference, Secret
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.spec.model.volume import ServiceVolume
from orchestra.values import replace

_FILE_MODE = 0o444
_SECRETS = "/run/secrets/"


def compile_mounts(service: Service, project: Project, complaints: Complaints) -> tuple[Mount, ...]:
    """Return a service's mounts by target; its own come before what volumes_from brings."""
    found: dict[str, Mount] = {}
    _check_recursive(service, complaints)
    for mount in _own_mounts(service):
        found[mount.target] = mount
    for mount in _borrowed(service, project):
        found.setdefault(mount.target, mount)
    return tuple(found[target] for target in sorted(found))


def _own_mounts(service: Service) -> Iterator[Mount]:
    for volume in service.volumes:
        if volume.target is not None and volume.type in {"bind", "volume", "tmpfs", "image"}:
            yield _mount(volume, volume.target)
    for entry in service.tmpfs:
        target, _, options = entry.partition(":")
        yield Mount(
            kind=MountKind.TMPFS,
            target=target,
            tmpfs_options=tuple(option for option in options.split(",") if option),
        )


def _mount(volume: ServiceVolume, target: str) -> Mount:
    kind = MountKind(volume.type)
    source = "" if kind is MountKind.TMPFS else volume.source or ""
    mount = Mount(kind=kind, target=target, source=source, read_only=volume.read_only)
    if kind in {MountKind.BIND, MountKind.VOLUME} and volume.bind is not None:
        mount = replace(mount, selinux=volume.bind.selinux or "")
    if kind is MountKind.BIND and volume.bind is not None:
        return replace(
            mount,
            create_host_path=volume.bind.create_host_path,
            propagation=volume.bind.propagation or mount.propagation,
            recursive=volume.bind.recursive or mount.recursive,
        )
    if kind is MountKind.VOLUME and volume.volume is not None:
        options = volume.volume
        labels = {} if source else dict(sorted(options.labels.items()))
        subpath = options.subpath or ""
        return replace(mount, nocopy=options.nocopy, subpath=subpath, labels=labels)
    if kind is MountKind.IMAGE and volume.image is not None:
        return replace(mount, subpath=volume.image.subpath or "")
    if kind is MountKind.TMPFS and volume.tmpfs is not None:
        return replace(
            mount, tmpfs_size_bytes=volume.tmpfs.size or None, tmpfs_mode=volume.tmpfs.mode
        )
    return mount


def _check_recursive(service: Service, complaints: Complaints) -> None:
    for index, volume in enumerate(service.volumes):
        if volume.bind and volume.bind.recursive == "readonly" and not volume.read_only:
            key = ("services", service.name, "volumes", index, "bind", "recursive")
            complaints.add(key, '"readonly" is for a mount that is', hint="add read_only: true")


def _borrowed(service: Service, project: Project) -> Iterator[Mount]:
    """Yield what volumes_from brings for sure: the other service's named volumes and binds.

    Its unnamed ones, and those of other projects' containers, are seen to when the container
    starts (compile_volumes_from).
    """
    for entry in service.volumes_from:
        name, _, access = entry.partition(":")
        lender = project.services.get(name)
        for mount in _own_mounts(lender) if lender is not None else ():
            if mount.source and mount.kind is not MountKind.IMAGE:
                yield replace(mount, read_only=mount.read_only or access == "ro")


def compile_volumes_from(service: Service) -> tuple[VolumesFrom, ...]:
    """Return the containers whose volumes a service's containers mount."""
    found = []
    for entry in service.volumes_from:
        kind, _, rest = entry.partition(":")
        if kind != "container":
            kind, rest = "service", entry
        name, _, access = rest.partition(":")
        found.append(VolumesFrom(kind=kind, name=name, read_only=access == "ro"))
    return tuple(found)


def compile_files(
    service: Service, project: Project, complaints: Complaints
) -> tuple[FileMount, ...]:
    """Return a service's configs and secrets, by target."""
    found: dict[str, FileMount] = {}
    for index, reference in enumerate(service.configs):
        config = project.configs.get(reference.source or "")
        key: KeyPath = ("services", service.name, "configs", index)
        if config is not None:
            target = _target(reference, "/")
            file = _file(reference, config, target, key, complaints)
            found.setdefault(target, file)
    for index, reference in enumerate(service.secrets):
        secret = project.secrets.get(reference.source or "")
        key = ("services", service.name, "secrets", index)
        if secret is not None:
            if secret.driver:
                complaints.refuse(key, f'secret "{secret.name}" comes from a driver')
            target = _target(reference, _SECRETS)
            file = _file(reference, secret, target, key, complaints)
            found.setdefault(target, replace(file, secret=True))
    return tuple(found[target] for target in sorted(found))


def _target(reference: FileReference, base: str) -> str:
    target = reference.target or reference.source or ""
    return target if target.startswith("/") else base + target


def _file(
    reference: FileReference,
    source: Config | Secret,
    target: str,
    key: KeyPath,
    complaints: Complaints,
) -> FileMount:
    if source.external:
        complaints.refuse(
            key, f'"{source.name}" is external, and there is no store to take it from'
        )
    elif source.template_driver:
        complaints.refuse(key, f'"{source.name}" is a template')
    elif source.file is None and source.content is None:
        complaints.add(
            key,
            f'environment variable "{source.environment}" is not set',
            hint=f'set it, or give "{source.name}" a file',
        )
    return FileMount(
        target=target,
        source_path=source.file if source.content is None else None,
        content=source.content,
        uid=number_of(reference.uid, (*key, "uid"), complaints),
        gid=number_of(reference.gid, (*key, "gid"), complaints),
        mode=_FILE_MODE if reference.mode is None else reference.mode,
    )


def number_of(text: str | None, key: KeyPath, complaints: Complaints) -> int:
    """Return a numeric id, 0 where none is given; what is no number is complained of."""
    if not text:
        return 0
    if text.isascii() and text.isdecimal():
        return int(text)
    complaints.add(key, f'"{text}" is not a number', hint="give the numeric id")
    return 0
