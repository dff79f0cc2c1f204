"""Short forms to long forms, texts to typed values: one table, pattern -> transform.

Runs on each file before anything is merged, so that errors carry the place of their own file and
merging sees one form only. Defaults are not its business: what a file does not say stays unsaid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from orchestra.spec import longforms, shapes, shorthand
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.keypath import KeyPath, PathTable
from orchestra.spec.spelling import shortened, suggestion
from orchestra.spec.tree import (
    Mark,
    MarkedList,
    MarkedMap,
    Value,
    adopt,
    entries,
    items,
    place,
)

_MOST_PORTS = 50_000

Transform = Callable[[Value], Value]

_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_NAMED = ("services", "jobs", "networks", "volumes", "secrets", "configs", "models")
_WORKLOADS = ("services", "jobs")
TOP_LEVEL = ("name", "version", "include", *_NAMED)

_SERVICE: tuple[tuple[str, Transform], ...] = (
    (
        "{attach,init,oom_kill_disable,privileged,read_only,stdin_open,tty,use_api_socket}",
        shapes.flag,
    ),
    ("{cpu_count,cpu_period,cpu_quota,cpu_rt_period,cpu_rt_runtime,cpu_shares}", shapes.integer),
    ("{cpu_percent,oom_score_adj,pids_limit,scale}", shapes.integer),
    ("cpus", shapes.number),
    ("container_name", shapes.container_name),
    ("{mem_limit,mem_reservation,memswap_limit,mem_swappiness,shm_size}", shapes.size),
    ("{stop_grace_period}", shapes.duration),
    ("{annotations,labels,sysctls}", shapes.text_map),
    ("storage_opt", shapes.options),
    ("pull_policy", shapes.pull_policy),
    ("environment", shapes.optional_text_map),
    ("extra_hosts", shapes.distinct(longforms.hosts)),
    ("{command,entrypoint}", longforms.command),
    ("dns", shapes.servers),
    ("{dns_search,tmpfs,label_file}", shapes.texts),
    ("{cap_add,cap_drop,dns_opt,links,profiles}", shapes.text_list),
    (
        "{device_cgroup_rules,external_links,security_opt,volumes_from}",
        shapes.distinct(shapes.text_list),
    ),
    ("expose", shapes.number_texts),
    ("group_add", shapes.distinct(shapes.number_texts)),
    ("{models,networks}", shapes.distinct(longforms.keyed)),
    ("depends_on", shapes.distinct(longforms.dependencies)),
    ("depends_on.*.{restart,required}", shapes.flag),
    ("env_file", longforms.env_files),
    ("env_file.[].required", shapes.flag),
    ("{secrets,configs}", longforms.file_references),
    ("{secrets,configs}.[].mode", shapes.mode),
    ("gpus", longforms.gpus),
    ("gpus.[].count", shapes.count),
    ("gpus.[].{capabilities,device_ids}", shapes.distinct(shapes.text_list)),
    ("gpus.[].options", shapes.text_map),
    ("ports", longforms.ports),
    ("ports.[].target", shapes.integer),
    ("ports.[].published", shapes.whole_text),
    ("ports.[].host_ip", shapes.address),
    ("volumes", longforms.mounts),
    ("volumes.[].read_only", shapes.flag),
    ("volumes.[].bind.create_host_path", shapes.flag),
    ("volumes.[].volume.nocopy", shapes.flag),
    ("volumes.[].volume.labels", shapes.text_map),
    ("volumes.[].tmpfs.size", shapes.size),
    ("volumes.[].tmpfs.mode", shapes.mode),
    ("devices", longforms.devices),
    ("ulimits.*", longforms.ulimit),
    ("ulimits.*.{soft,hard}", shapes.integer),
    ("logging.options", shapes.options),
    ("networks.*.{gw_priority,priority}", shapes.integer),
    ("networks.*.driver_opts", shapes.given_options),
    ("blkio_config.weight", shapes.integer),
    ("blkio_config.weight_device.[].weight", shapes.integer),
    ("blkio_config.{device_read_bps,device_write_bps}.[].rate", shapes.size),
    ("blkio_config.{device_read_iops,device_write_iops}.[].rate", shapes.size),
    ("provider.options", shapes.texts_map),
    ("extends", longforms.extends),
    ("healthcheck.test", longforms.health_test),
    ("healthcheck.{interval,timeout,start_period,start_interval}", shapes.duration),
    ("healthcheck.retries", shapes.integer),
    ("healthcheck.disable", shapes.flag),
    ("pre_start.[].per_replica", shapes.flag),
    ("{post_start,pre_stop}.[].command", longforms.command),
    ("{post_start,pre_stop}.[].privileged", shapes.flag),
    ("{post_start,pre_stop}.[].environment", shapes.optional_text_map),
    ("develop.watch.[].{ignore,include}", shapes.distinct(shapes.texts)),
    ("develop.watch.[].exec.command", longforms.command),
    ("develop.watch.[].exec.privileged", shapes.flag),
    ("develop.watch.[].exec.environment", shapes.optional_text_map),
)

_BUILD: tuple[tuple[str, Transform], ...] = (
    ("{no_cache,pull,privileged}", shapes.flag),
    ("args", shapes.optional_text_map),
    ("ssh", shapes.distinct(longforms.ssh)),
    ("labels", shapes.text_map),
    ("additional_contexts", longforms.contexts),
    ("{provenance,sbom}", shapes.flag_text),
    ("no_cache_filter", shapes.distinct(shapes.texts)),
    ("{cache_from,cache_to,tags,platforms,entitlements}", shapes.text_list),
    ("extra_hosts", shapes.distinct(longforms.hosts)),
    ("secrets", longforms.file_references),
    ("secrets.[].mode", shapes.mode),
    ("shm_size", shapes.size),
    ("ulimits.*", longforms.ulimit),
    ("ulimits.*.{soft,hard}", shapes.integer),
)

_DEPLOY: tuple[tuple[str, Transform], ...] = (
    ("replicas", shapes.integer),
    ("labels", shapes.text_map),
    ("{update_config,rollback_config}.parallelism", shapes.integer),
    ("{update_config,rollback_config}.{delay,monitor}", shapes.duration),
    ("{update_config,rollback_config}.max_failure_ratio", shapes.number),
    ("resources.{limits,reservations}.cpus", shapes.number),
    ("resources.{limits,reservations}.memory", shapes.size_text),
    ("resources.limits.pids", shapes.integer),
    ("resources.reservations.devices.[].count", shapes.count),
    ("resources.reservations.devices.[]", longforms.device_request),
    (
        "resources.reservations.devices.[].{capabilities,device_ids}",
        shapes.distinct(shapes.text_list),
    ),
    ("resources.reservations.devices.[].options", shapes.text_map),
    ("resources.reservations.generic_resources.[].discrete_resource_spec.value", shapes.integer),
    ("restart_policy.{delay,window}", shapes.duration),
    ("restart_policy.max_attempts", shapes.integer),
    ("placement.max_replicas_per_node", shapes.integer),
)

_TOP: tuple[tuple[str, Transform], ...] = (
    ("{name,version}", shapes.text),
    ("{services,jobs}.*.build", longforms.build),
    ("jobs.*.triggers.manual", shapes.flag),
    ("jobs.*.triggers.schedule.[]", longforms.schedule),
    ("{networks,volumes,secrets,configs}.*", longforms.maybe_external),
    ("{networks,volumes,secrets,configs}.*.labels", shapes.text_map),
    ("{networks,volumes,secrets}.*.driver_opts", shapes.given_options),
    ("{networks,volumes,secrets,configs}.*.external", shapes.flag),
    ("networks.*.{internal,attachable,enable_ipv4,enable_ipv6}", shapes.flag),
    ("networks.*.ipam.config.[].aux_addresses", shapes.text_options),
    ("networks.*.ipam.options", shapes.text_options),
    ("models.*.context_size", shapes.integer),
)


def _rows() -> Iterator[tuple[str, Transform]]:
    for prefix, rows in (
        ("{services,jobs}.*.", _SERVICE),
        ("services.*.pre_start.[].", _SERVICE),
        ("{services,jobs}.*.build.", _BUILD),
        ("services.*.deploy.", _DEPLOY),
        ("", _TOP),
    ):
        for pattern, transform in rows:
            yield prefix + pattern, transform


RULES: PathTable[Transform] = PathTable(_rows())

_NULLS_MEAN_SOMETHING = PathTable(
    (
        ("{services,jobs}.*.{environment,command,entrypoint,networks,models}", True),
        ("{services,jobs}.*.build.{args,ssh}", True),
        (f"{{{','.join(_NAMED)}}}", True),
        ("services.*.pre_start.[].{environment,networks,models}", True),
        ("services.*.{post_start,pre_stop}.[].environment", True),
        ("services.*.develop.watch.[].exec.environment", True),
    )
)
"""Mappings in which a null entry is not the same as none."""

_NULLS_REPLACE = PathTable((("{services,jobs}.*.{command,entrypoint}", True),))
"""Attributes whose null takes the place of what an earlier file says."""

_MUST_BE_MAPPINGS = PathTable(((f"{{{','.join(_NAMED)}}}", True), ("{services,jobs}.*", True)))


def normalize(tree: Value, findings: Findings, file: str) -> MarkedMap:
    """Return the canonical form of one document; what does not fit is noted and left out."""
    if tree is None:
        return MarkedMap()
    if not isinstance(tree, dict):
        hint = "begin with services:"
        findings.add("a Compose file is a mapping at its top", (), Mark(file, 1, 1), hint=hint)
        return MarkedMap()
    _check_top(tree, findings)
    _check_mounts(tree, findings)
    if not _check_ports(tree, findings):
        return MarkedMap()
    result = _descend(tree, findings, (), RULES)
    return result if isinstance(result, MarkedMap) else MarkedMap()


def _check_top(tree: dict[str, Value], findings: Findings) -> None:
    for key, _, mark in entries(tree):
        if key not in TOP_LEVEL and not key.startswith("x-"):
            if findings.full:
                findings.untold = True
                continue
            hint = suggestion(key, TOP_LEVEL) or f"known here: {', '.join(TOP_LEVEL)}"
            findings.add(f'unknown key "{shortened(key)}"', (key,), mark, hint=hint)
    for kind in _WORKLOADS:
        for name, service, _ in entries(tree.get(kind)):
            if isinstance(service, dict) and "name" in service:
                path: KeyPath = (kind, name, "name")
                mark = service.marks.get("name") if isinstance(service, MarkedMap) else None
                hint = f"a {kind[:-1]} is named by its key; or use container_name"
                findings.add('unknown key "name"', path, mark, hint=hint)


def _check_mounts(tree: dict[str, Value], findings: Findings) -> None:
    for name, service, _ in entries(tree.get("services")):
        volumes = service.get("volumes") if isinstance(service, dict) else None
        for index, (entry, mark) in enumerate(items(volumes)):
            for option in shorthand.idle_options(entry) if isinstance(entry, str) else ():
                path: KeyPath = ("services", name, "volumes", index)
                findings.warn(f'the mount option "{option}" has no effect', path, mark)


def _check_ports(tree: dict[str, Value], findings: Findings) -> bool:
    """Tell whether the ranges of ports stay within reason: each port of them becomes a mapping."""
    total = 0
    for name, service, _ in entries(tree.get("services")):
        ports = service.get("ports") if isinstance(service, dict) else None
        for index, (entry, mark) in enumerate(items(ports)):
            total += shorthand.port_count(entry) if isinstance(entry, str) else 1
            if total > _MOST_PORTS:
                path: KeyPath = ("services", name, "ports", index)
                message = f"the ports of this file are more than {_MOST_PORTS}"
                findings.add(message, path, mark, hint="publish the ports that are needed")
                return False
    return True


def _known(path: KeyPath, key: str) -> bool:
    if not path:
        return key in TOP_LEVEL or key.startswith("x-")
    return not (len(path) == 2 and path[0] in _WORKLOADS and key == "name")


def _descend(
    value: Value, findings: Findings, path: KeyPath, rules: PathTable[Transform] | None
) -> Value:
    if rules is None:
        return value
    if isinstance(value, dict):
        return _mapping(value, findings, path, rules)
    if isinstance(value, list):
        return _list(value, findings, path, rules)
    return value


def _mapping(
    value: dict[str, Value], findings: Findings, path: KeyPath, rules: PathTable[Transform]
) -> MarkedMap:
    result = MarkedMap()
    named_by_user = len(path) == 1
    for key, entry, mark in entries(value):
        if not _known(path, key):
            continue
        if key.startswith("x-") and not named_by_user:
            result.put(key, entry, mark)
            continue
        if named_by_user and path[0] in _NAMED and not _NAME.fullmatch(key):
            message, hint = f'"{key[:60]}" is no name', "use letters, digits, . _ and - only"
            findings.add(message, (*path, key), mark, hint=hint)
            continue
        if entry is None and not (
            _NULLS_MEAN_SOMETHING.at(path) or _NULLS_REPLACE.at((*path, key))
        ):
            findings.nulls.append(((*path, key), mark))
            continue
        put = _value(entry, findings, ((*path, key), mark), rules.step(key))
        if put is not _LEFT_OUT:
            result.put(key, put, mark)
    return result


def _list(
    value: list[Value], findings: Findings, path: KeyPath, rules: PathTable[Transform]
) -> MarkedList:
    result = MarkedList()
    for index, (entry, mark) in enumerate(items(value)):
        put = _value(entry, findings, ((*path, index), mark), rules.step(index))
        if put is not _LEFT_OUT:
            result.add(put, mark)
    return result


_LEFT_OUT = MarkedMap()
"""Stands for a value that was refused."""


def _value(
    value: Value,
    findings: Findings,
    where: tuple[KeyPath, Mark | None],
    rules: PathTable[Transform] | None,
) -> Value:
    path, mark = where
    try:
        if value is not None:
            _check_mapping(value, path)
        if rules is not None and rules.rule is not None:
            value = adopt(rules.rule(value), mark)
    except Misfit as error:
        findings.misfit(error, path, place(value, error.below) or mark)
        return _LEFT_OUT
    return _descend(value, findings, path, rules)


def _check_mapping(value: Value, path: KeyPath) -> None:
    # a service without a value changes nothing in a second file; alone it is refused later
    if _MUST_BE_MAPPINGS.at(path) and not isinstance(value, dict | None):
        hint = shapes.hint_for("a mapping")
        raise Misfit(f"expected a mapping, not {shapes.kind(value)}", hint=hint)
