"""What Cloud Controller demands of the bodies of good answers; whether one is as it must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_LONGEST_OPERATION: Final = 10_000


def operation(members: Mapping[str, Any]) -> bool:
    """Whether the operation, if there is one, is a string that is short enough; null is none."""
    value = members.get("operation", "")
    return isinstance(value, str) and len(value) <= _LONGEST_OPERATION


def provisioned(members: Mapping[str, Any]) -> bool:
    """Whether the answer to a provision or update is good; its dashboard may be null, its metadata not."""
    return isinstance(members.get("dashboard_url"), str | None) and _metadata(members)


def fetched_instance(members: Mapping[str, Any]) -> bool:
    """Whether a fetched instance is good; none of its members may be null."""
    texts = _all(members, ("dashboard_url", "service_id", "plan_id"), str)
    return texts and _all(members, ("parameters", "maintenance_info"), dict) and _metadata(members)


def fetched_binding(members: Mapping[str, Any]) -> bool:
    """Whether a fetched binding is good; none of its members may be null."""
    mounts = members.get("volume_mounts", [])
    return (
        _all(members, ("syslog_drain_url", "route_service_url"), str)
        and _all(members, ("credentials", "parameters", "metadata"), dict)
        and isinstance(mounts, list)
        and all(_mount(one) and one["mode"] in {"r", "rw"} for one in mounts)
    )


def complaint_of_bound(members: Mapping[str, Any], requires: frozenset[str]) -> str | None:
    """Return the class of the error that a synchronous bind's answer makes, or None."""
    credentials = members.get("credentials")
    if credentials and not isinstance(credentials, dict):
        return "ResponseMalformed"
    if members.get("syslog_drain_url") is not None and "syslog_drain" not in requires:
        return "InvalidSyslogDrainUrl"
    if (route := members.get("route_service_url")) is not None and not _is_route(route):
        return "BadResponse"
    mounts = members.get("volume_mounts")
    if mounts is None:
        return None
    is_good = "volume_mount" in requires and isinstance(mounts, list) and all(map(_mount, mounts))
    return None if is_good else "InvalidVolumeMounts"


def _all(members: Mapping[str, Any], names: tuple[str, ...], kind: type) -> bool:
    return all(isinstance(members[name], kind) for name in names if name in members)


def _metadata(members: Mapping[str, Any]) -> bool:
    metadata = members.get("metadata", {})
    return isinstance(metadata, dict) and _all(metadata, ("labels", "attributes"), dict)


def _mount(mount: Any) -> bool:
    texts = ("driver", "container_dir", "mode", "device_type")
    if not isinstance(mount, dict) or not all(_is_text(mount.get(name)) for name in texts):
        return False
    device = mount.get("device")
    return isinstance(device, dict) and _is_text(device.get("volume_id"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_route(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.netloc) and not parts.netloc.startswith(".")
