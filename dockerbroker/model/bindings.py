"""What `/bind` of a service image may answer, and what a platform gets of it.

Sources: OSB section Binding, response body; Cloud Controller's rules for volume mounts, syslog drains and
route services, which it refuses after the fact, so that they are refused here, while the bind can be undone.
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from dockerbroker.errors import ExecutableFailed

#: What an offering must require for a binding to have the member.
_REQUIRED = {
    "syslog_drain_url": "syslog_drain",
    "route_service_url": "route_forwarding",
    "volume_mounts": "volume_mount",
}
_PROTOCOLS = ("tcp", "udp", "all")
_HIGHEST_PORT = 65535
_PORTS = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\Z", re.ASCII)


def binding_document(printed: Mapping[str, Any], requires: Collection[str] = ()) -> dict[str, Any]:
    """Return the binding that `/bind` printed; `requires` are the offering's.

    An object with a `credentials` member, or that has none but members of a binding, is a whole binding; any
    other object is the credentials. Members that are null are left out, since Cloud Controller refuses them.
    Raises `ExecutableFailed`.
    """
    if "credentials" not in printed and not (printed and printed.keys() <= _CHECKS.keys()):
        return {"credentials": dict(printed)}
    document = {key: value for key, value in printed.items() if value is not None}
    for key, value in document.items():
        if (check := _CHECKS.get(key)) is None:
            raise ExecutableFailed(f"/bind of the service image printed the unknown member {key[:64]!r}.")
        if (required := _REQUIRED.get(key)) is not None and required not in requires:
            raise ExecutableFailed(
                f"/bind of the service image printed {key!r}, but the service does not require {required!r} "
                "in the catalog."
            )
        if (complaint := check(value)) is not None:
            raise ExecutableFailed(f"/bind of the service image printed {key!r}, {complaint}.")
    return document


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "which must be an object"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "which must be a string that is not empty"


def _route(value: Any) -> str | None:
    try:
        url = urlsplit(value if isinstance(value, str) else "")
        is_good = url.scheme == "https" and bool(url.hostname) and not str(url.hostname).startswith(".")
    except ValueError:
        is_good = False
    return None if is_good else "which must be a URL that begins with https://"


def _mounts(value: Any) -> str | None:
    if not isinstance(value, list) or not all(isinstance(mount, dict) for mount in value):
        return "which must be an array of objects"
    complaints = (_mount(mount) for mount in value)
    return next((complaint for complaint in complaints if complaint is not None), None)


def _mount(mount: dict[str, Any]) -> str | None:
    for key in ("driver", "container_dir", "mode", "device_type"):
        if _text(mount.get(key)) is not None:
            return f"of which each must have a {key}"
    if mount["mode"] not in {"r", "rw"}:
        return "of which each mode must be r or rw"
    if mount["device_type"] != "shared":
        return "of which each device_type must be shared"
    device = mount.get("device")
    if not isinstance(device, dict) or _text(device.get("volume_id")) is not None:
        return "of which each must have a device with a volume_id"
    if not isinstance(device.get("mount_config"), dict | None):
        return "of which each mount_config must be an object"
    return None


def _endpoints(value: Any) -> str | None:
    if not isinstance(value, list) or not all(isinstance(endpoint, dict) for endpoint in value):
        return "which must be an array of objects"
    for endpoint in value:
        ports = endpoint.get("ports")
        if _text(endpoint.get("host")) is not None:
            return "of which each must have a host"
        if not isinstance(ports, list) or not ports or not all(_is_port(port) for port in ports):
            return 'of which each must have ports such as "443" or "9000-9010"'
        if endpoint.get("protocol", "tcp") not in _PROTOCOLS:
            return f"of which each protocol must be one of {', '.join(_PROTOCOLS)}"
    return None


def _is_port(port: Any) -> bool:
    match = _PORTS.match(port) if isinstance(port, str) else None
    if match is None:
        return False
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    return first <= last <= _HIGHEST_PORT


def _metadata(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "which must be an object"
    times: dict[str, datetime] = {}
    for key in ("expires_at", "renew_before"):
        if key in value:
            found = _instant(value[key])
            if found is None:
                return f"whose {key} must be a time such as 2030-01-31T23:59:59.0Z"
            times[key] = found
    if len(times) > 1 and times["renew_before"] > times["expires_at"]:
        return "whose renew_before must not be after its expires_at"
    return None


def _instant(text: Any) -> datetime | None:
    if not isinstance(text, str) or not _TIME.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


#: The members of a binding document, and what is wrong with a value.
_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "credentials": _object,
    "syslog_drain_url": _text,
    "route_service_url": _route,
    "volume_mounts": _mounts,
    "endpoints": _endpoints,
    "metadata": _metadata,
}
