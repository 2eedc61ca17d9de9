"""The plans of image definitions, as their JSON has them."""

import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final

from dockerbroker.model.confinement import Confinement, read_capabilities, refuse_privileges
from dockerbroker.model.hosts import is_label
from dockerbroker.model.members import Members, shown
from dockerbroker.model.plans import (
    RESTARTS,
    SAME_HOST,
    ContainerOptions,
    MaintenanceInfo,
    PlacementRules,
    Plan,
)

#: Docker refuses a smaller limit (6 MiB).
LEAST_MEMORY: Final = 6 * 1024 * 1024
_MOST_MEMORY: Final = 2**50
#: A page.
_LEAST_TMPFS: Final = 4096
_LEAST_CPUS: Final = 0.01
_MOST_CPUS: Final = 1024
#: The most that a Linux kernel counts.
_MOST_PIDS: Final = 4_194_304
_LONGEST_POLLING: Final = 2**31 - 1

#: As `docker run --memory` reads it: 256m, 1g, 1.5GiB.
_MEMORY: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?(?:([kmgt])(?:i?b)?|b)?\Z", re.ASCII | re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_VOLUME_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}\Z")
_KERNEL_FOLDERS: Final = ("/proc", "/sys", "/dev")
_LONGEST_PATH: Final = 1024
_NOT_POSSIBLE: Final = "is not possible with containername, whose container exists already"
_OPTIONS: Final = (
    *("environment", "command", "memory", "cpus", "pids", "restart", "volumes"),
    *("capabilities", "readonlyroot", "tmpfs"),
)


def read_plan(members: Members, image_name: str, *, exists: bool) -> Plan:
    """Read a plan from folded members; complaints are left in them.

    `exists` says that the container is there already, so that nothing can be asked of it.
    """
    name = members.short_text("name", required=True)
    refuse_privileges(members)
    return Plan(
        id=members.short_text("id") or f"{image_name}_{name}",
        name=name,
        description=members.text_or_none("description"),
        free=members.truth("free", default=True),
        metadata=members.object("metadata"),
        schemas=members.object("schemas"),
        maintenance=_read_maintenance(members),
        maximum_polling_duration=members.integer("maximumpollingduration", 0, least=1, most=_LONGEST_POLLING)
        or None,
        bindable=_truth_or_none(members, "bindable"),
        updateable=_truth_or_none(members, "planupdateable"),
        binding_rotatable=members.truth("bindingrotatable", default=False),
        asynchronous_only=members.truth("asynchronousonly", default=False),
        options=_read_options(members, exists=exists),
        placement=_read_placement(members, exists=exists),
    )


def encode_plan(plan: Plan, image_name: str) -> dict[str, Any]:
    """Encode a plan; what is absent, or as it would be anyway, is left out."""
    usual = Plan(id=f"{image_name}_{plan.name}", name=plan.name)
    document = {
        "Id": plan.id,
        "Description": plan.description,
        "Free": plan.free,
        "Metadata": dict(plan.metadata),
        "Schemas": dict(plan.schemas),
        "Maximumpollingduration": plan.maximum_polling_duration,
        "Bindable": plan.bindable,
        "Planupdateable": plan.updateable,
        "Bindingrotatable": plan.binding_rotatable,
        "Asynchronousonly": plan.asynchronous_only,
    }
    defaults = {
        "Id": usual.id,
        "Free": True,
        "Metadata": {},
        "Schemas": {},
        "Bindingrotatable": False,
        "Asynchronousonly": False,
    }
    changed = {key: value for key, value in document.items() if value != defaults.get(key)}
    return {
        "Name": plan.name,
        **changed,
        **_encode_maintenance(plan),
        **_encode_options(plan.options),
        **_encode_placement(plan.placement),
    }


def _truth_or_none(members: Members, key: str) -> bool | None:
    return members.truth(key, default=False) if members.has(key) else None


def _read_maintenance(members: Members) -> MaintenanceInfo | None:
    if not members.has("maintenanceinfo"):
        return None
    info = members.section("maintenanceinfo")
    return MaintenanceInfo(
        version=info.text("version", required=True), description=info.text_or_none("description")
    )


def _encode_maintenance(plan: Plan) -> dict[str, Any]:
    if plan.maintenance is None:
        return {}
    document = {"Version": plan.maintenance.version}
    if plan.maintenance.description is not None:
        document["Description"] = plan.maintenance.description
    return {"Maintenanceinfo": document}


def _read_options(members: Members, *, exists: bool) -> ContainerOptions:
    if exists:
        for key in _OPTIONS:
            if members.has(key):
                members.complain(key, _NOT_POSSIBLE)
        return ContainerOptions()
    volumes = _read_volumes(members)
    return ContainerOptions(
        environment=_read_environment(members),
        command=_read_command(members),
        memory=_read_memory(members),
        cpus=members.number("cpus", 0, least=_LEAST_CPUS, most=_MOST_CPUS) or None,
        pids=members.integer("pids", 0, least=1, most=_MOST_PIDS) or None,
        restart=_read_restart(members),
        volumes=volumes,
        confinement=Confinement(
            capabilities=read_capabilities(members),
            read_only=members.truth("readonlyroot", default=False),
            tmpfs=_read_tmpfs(members, volumes),
        ),
    )


def _encode_options(options: ContainerOptions) -> dict[str, Any]:
    usual = ContainerOptions()
    document: dict[str, Any] = {
        "Environment": dict(options.environment) or None,
        "Command": list(options.command) or None,
        "Memory": options.memory,
        "Cpus": options.cpus,
        "Pids": options.pids,
        "Restart": options.restart if options.restart != usual.restart else None,
        "Volumes": dict(options.volumes) or None,
        **_encode_confinement(options.confinement),
    }
    return {key: value for key, value in document.items() if value is not None}


def _encode_confinement(confinement: Confinement) -> dict[str, Any]:
    usual = Confinement()
    is_usual = confinement.capabilities == usual.capabilities
    return {
        "Capabilities": None if is_usual else list(confinement.capabilities),
        "Readonlyroot": confinement.read_only or None,
        "Tmpfs": dict(confinement.tmpfs) or None,
    }


def _read_placement(members: Members, *, exists: bool) -> PlacementRules:
    same_host = members.text("samehost", SAME_HOST[0])
    if same_host not in SAME_HOST:
        members.complain("samehost", f"must be {', '.join(SAME_HOST[:-1])} or {SAME_HOST[-1]}")
    elif exists and members.has("samehost"):
        members.complain("samehost", _NOT_POSSIBLE)
    return PlacementRules(host_labels=read_host_labels(members), same_host=same_host)


def _encode_placement(placement: PlacementRules) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if placement.host_labels:
        document["Hostlabels"] = dict(placement.host_labels)
    if placement.is_apart:
        document["Samehost"] = placement.same_host
    return document


def read_host_labels(members: Members) -> Mapping[str, str]:
    """Read the labels that a Docker host must have; complaints are left in the members."""
    labels = members.text_object("hostlabels")
    for name, value in labels.items():
        wrong = next((text for text in (name, value) if not is_label(text)), None)
        if wrong is not None or not name:
            members.complain("hostlabels", f"{shown(wrong or name)} cannot be in the labels of a host")
    return labels


def _read_environment(members: Members) -> Mapping[str, str]:
    environment = members.text_object("environment")
    for name in environment:
        if not name or "=" in name or not name.isprintable():
            members.complain("environment", f"{shown(name)} is not the name of a variable")
    return environment


def _read_command(members: Members) -> tuple[str, ...]:
    command = members.texts("command")
    if command and not command[0]:
        members.complain("command", "must begin with a program")
    return command


def _read_memory(members: Members) -> int | None:
    if not members.has("memory"):
        return None
    value = _bytes_of(members.document["memory"])
    if value is None or not LEAST_MEMORY <= value <= _MOST_MEMORY:
        members.complain("memory", "must be bytes, or such as 256m or 1g; at least 6m, as Docker wants")
        return None
    return value


def _bytes_of(value: Any) -> int | None:
    if isinstance(value, str) and (match := _MEMORY.match(value)):
        return int(float(match[1]) * _UNITS[(match[2] or "").lower()])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_tmpfs(members: Members, volumes: Mapping[str, str]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for path, value in members.object("tmpfs").items():
        size = _bytes_of(value)
        if size is None or not _LEAST_TMPFS <= size <= _MOST_MEMORY:
            members.complain("tmpfs", f"the size of {shown(path)} must be bytes, or such as 16m; at least 4k")
        elif (wrong := _wrong_path(path)) is not None:
            members.complain("tmpfs", f"the path {shown(path)} {wrong}")
        elif path in volumes.values():
            members.complain("tmpfs", f"the path {shown(path)} is that of a volume")
        else:
            found[path] = size
    return found


def _read_restart(members: Members) -> str:
    restart = members.text("restart", RESTARTS[0])
    if restart not in RESTARTS:
        members.complain("restart", f"must be {', '.join(RESTARTS[:-1])} or {RESTARTS[-1]}")
    return restart


def _read_volumes(members: Members) -> Mapping[str, str]:
    volumes = members.text_object("volumes")
    paths: set[str] = set()
    for name, path in volumes.items():
        if not _VOLUME_NAME.match(name):
            sentence = "must have letters, digits, '_', '.' and '-' alone (64 at most), the first two first"
            members.complain("volumes", f"the name {shown(name)} {sentence}")
        if (wrong := _wrong_path(path)) is not None:
            members.complain("volumes", f"the path of {shown(name)} {wrong}")
        elif path in paths:
            members.complain("volumes", f"the path of {shown(name)} is that of another volume")
        paths.add(path)
    return volumes


def _wrong_path(path: str) -> str | None:
    """Return what is wrong with the place of a volume in a container, or None."""
    plain = path.startswith("/") and not path.startswith("//") and posixpath.normpath(path) == path
    if not plain or ":" in path or not path.isprintable() or len(path) > _LONGEST_PATH:
        return "must be absolute, without '..', '.', '//', ':' and a slash at its end"
    if path == "/" or any(path == folder or path.startswith(f"{folder}/") for folder in _KERNEL_FOLDERS):
        return f"must not be / and not in {', '.join(_KERNEL_FOLDERS)}"
    return None
