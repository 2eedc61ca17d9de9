"""What `/bind` may print, by the rules of the Open Service Broker API and of Cloud Controller."""

from typing import Any, Final

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import ExecutableFailed
from dockerbroker.model.bindings import binding_document
from tests.model.values import objects, unhurried

EVERYTHING: Final = ("syslog_drain", "route_forwarding", "volume_mount")
MOUNT: Final = {
    "driver": "d",
    "container_dir": "/c",
    "mode": "rw",
    "device_type": "shared",
    "device": {"volume_id": "v"},
}


def without(mount: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object without that member."""
    return {name: value for name, value in mount.items() if name != key}


class BindingCase(SynchronousTestCase):
    """What `/bind` printed."""

    def assert_good(self, printed: dict[str, Any], *requires: str) -> None:
        """It is a whole binding, as printed."""
        self.assertEqual(binding_document(printed, requires), printed)

    def assert_refused(self, printed: dict[str, Any], text: str, *requires: str) -> None:
        """It is refused with a sentence that holds the text."""
        error = self.assertRaises(ExecutableFailed, binding_document, printed, requires)
        assert isinstance(error, ExecutableFailed)
        self.assertIn(text, error.description)
        self.assertTrue(error.description.startswith("/bind of the service image printed"))


class KindTests(BindingCase):
    """Whether it is a binding or the credentials alone."""

    def test_credentials_alone(self) -> None:
        """An object without a member `credentials` that has others than a binding is the credentials."""
        for printed in ({}, {"username": "u"}, {"uri": "x", "endpoints": []}, {"metadata": {}, "host": "h"}):
            self.assertEqual(binding_document(printed), {"credentials": printed})

    def test_whole_binding(self) -> None:
        """An object with `credentials`, or with members of a binding only, is a binding."""
        self.assert_good({"credentials": {"a": 1}})
        self.assert_good({"credentials": {}, "endpoints": [], "metadata": {}})
        self.assert_good({"syslog_drain_url": "syslog://x"}, *EVERYTHING)
        self.assert_good({"route_service_url": "https://x.y"}, *EVERYTHING)
        self.assert_good({"volume_mounts": [MOUNT]}, *EVERYTHING)

    def test_null_members(self) -> None:
        """Members that are null are left out, and need nothing of the offering."""
        nulls = dict.fromkeys(("syslog_drain_url", "route_service_url", "volume_mounts", "endpoints"))
        self.assertEqual(
            binding_document({"credentials": {"a": None}, **nulls}), {"credentials": {"a": None}}
        )
        self.assertEqual(binding_document({"credentials": None}), {})

    def test_unknown_member(self) -> None:
        """Beside `credentials` only members of a binding may stand; the unknown one is named, cut short."""
        self.assert_refused({"credentials": {}, "endpoint": []}, "unknown member 'endpoint'")
        self.assert_refused({"credentials": {}, "x" * 100: 1}, "unknown member '" + "x" * 64 + "'")

    @unhurried
    @given(objects)
    def test_any_credentials(self, credentials: dict[str, Any]) -> None:
        """Whatever object the credentials are, it is handed on unchanged."""
        self.assertEqual(binding_document({"credentials": credentials}), {"credentials": credentials})


class RequirementTests(BindingCase):
    """Members for which the offering must require a permission in the catalog."""

    def test_each(self) -> None:
        """Without its own permission the member is refused, also when it is empty, and both are named."""
        members: dict[str, tuple[str, Any]] = {
            "syslog_drain": ("syslog_drain_url", "syslog://x"),
            "route_forwarding": ("route_service_url", "https://x.y"),
            "volume_mount": ("volume_mounts", []),
        }
        for permission, (key, value) in members.items():
            others = [other for other in EVERYTHING if other != permission]
            printed = {"credentials": {}, key: value}
            self.assert_good(printed, permission)
            self.assert_refused(printed, f"{key!r}, but the service does not require {permission!r}", *others)


class MemberTests(BindingCase):
    """Each member, row by row."""

    def assert_rows(self, key: str, good: list[Any], bad: list[Any]) -> None:
        """The good values are handed on, and the bad ones refused with the member's name."""
        for value in good:
            self.assert_good({"credentials": {}, key: value}, *EVERYTHING)
        for value in bad:
            self.assert_refused({"credentials": {}, key: value}, repr(key), *EVERYTHING)

    def test_credentials(self) -> None:
        """Credentials are an object."""
        self.assert_rows("credentials", [], ["s", 1, [], True])

    def test_syslog_drain_url(self) -> None:
        """It is a text that says something."""
        self.assert_rows("syslog_drain_url", ["syslog://x", "x"], ["", 1, {}, []])

    def test_route_service_url(self) -> None:
        """It begins with https:// and has a host."""
        good = ["https://x.y", "https://x.y:8443/path"]
        bad = ["http://x.y", "https://.y", "https://", "https:///path", "x.y", "https://[", "", 1, {}]
        self.assert_rows("route_service_url", good, bad)

    def test_volume_mounts(self) -> None:
        """Each has driver, directory, mode, kind and device, which has an id and perhaps a configuration."""
        device = MOUNT["device"]
        configurations: tuple[Any, ...] = (None, {}, {"a": 1})
        good: list[Any] = [[], [MOUNT], [MOUNT, {**MOUNT, "mode": "r"}]]
        good += [[{**MOUNT, "device": {"volume_id": "v", "mount_config": one}}] for one in configurations]
        bad: list[Any] = [{}, "x", ["x"], [MOUNT, {}]]
        bad += [[without(MOUNT, key)] for key in MOUNT]
        bad += [[{**MOUNT, key: value}] for key in MOUNT for value in ("", 1, None)]
        bad += [[{**MOUNT, "mode": "x"}], [{**MOUNT, "device_type": "own"}]]
        devices: tuple[Any, ...] = ({}, {"volume_id": ""}, {"volume_id": 1}, [device])
        bad += [[{**MOUNT, "device": one}] for one in devices]
        configurations = ("", 1, [])
        bad += [[{**MOUNT, "device": {"volume_id": "v", "mount_config": one}}] for one in configurations]
        self.assert_rows("volume_mounts", good, bad)

    def test_endpoints(self) -> None:
        """Each has a host, ports or ranges of them as text, and one of three protocols if any."""

        def endpoint(**members: Any) -> list[Any]:
            return [{"host": "h", "ports": ["443"], **members}]

        good: list[Any] = [[], endpoint(), endpoint(ports=["1", "9000-9010", "65535", "7-7"])]
        good += [endpoint(protocol=one) for one in ("tcp", "udp", "all")]
        bad: list[Any] = [{}, "x", ["x"], [{}], [{"host": "h"}], [{"ports": ["443"]}]]
        kinds: tuple[Any, ...] = ([], "443", [443], [None], {})
        bad += [endpoint(host=one) for one in ("", 1, None)]
        bad += [endpoint(ports=one) for one in kinds]
        ports = ("", "0", "65536", "01", "-1", "1-", "9-8", "1-65536", "1-2-3", " 1", "1\n", "x", "\u0661")
        bad += [endpoint(ports=[one]) for one in ports]
        bad += [endpoint(protocol=one) for one in ("TCP", "", None, 1)]
        self.assert_rows("endpoints", good, bad)

    def test_metadata(self) -> None:
        """Its two times are in UTC, and the one for renewing is not the later."""
        early, late = "2030-01-01T00:00:00.0Z", "2030-01-02T00:00:00Z"
        good: list[Any] = [{}, {"x": 1}, {"expires_at": early}, {"renew_before": "2030-12-31T23:59:59.123Z"}]
        good += [{"renew_before": early, "expires_at": late}, {"renew_before": early, "expires_at": early}]
        bad: list[Any] = ["x", [], 1, {"renew_before": late, "expires_at": early}]
        times = ("x", "", 1, None, "2030-01-01", "2030-01-01T00:00:00", "2030-13-01T00:00:00Z", f" {early}")
        bad += [{key: one} for key in ("expires_at", "renew_before") for one in times]
        self.assert_rows("metadata", good, bad)
