"""What the audit log tells of requests, and how administrators read it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred

from dockerbroker.errors import Unavailable
from dockerbroker.model.audit import AuditEntry, AuditHead, AuditRecord, breaks
from tests.model.test_pings import PING
from tests.persisters import values
from tests.stack import USER, Answer, bind_body, binding_path, instance_path, provision_body, query
from tests.web.test_certificates import CertificatesCase, body

_IDENTITY: Final = "cloudfoundry " + b64encode(b'{"user_id":"u-1"}').decode()
_HEADERS: Final = {
    "X-Broker-API-Request-Identity": "request-7",
    "X-Broker-API-Originating-Identity": _IDENTITY,
    "X-Forwarded-For": "6.6.6.6",
}
_CANARY: Final = "canary-0123456789abcdef0123456789"
_INSTANCE: Final = "/v2/service_instances/{instance_id}"
_HOST: Final = "/admin/hosts/10.0.0.1"


_BINDING: Final = f"{_INSTANCE}/service_bindings/{{binding_id}}"


class AuditCase(CertificatesCase):
    """A broker in memory, and its log."""

    def setUp(self) -> None:
        """Start a broker."""
        super().setUp()
        self.seen = len(self.log())

    def log(self) -> list[AuditRecord]:
        """Return the whole log, which must be whole."""
        records = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.audit(0, 10_000)))
        self.assertEqual(list(breaks(records, AuditHead())), [])
        return records

    def news(self) -> list[dict[str, Any]]:
        """Return what is told by the records that are new since this was called last."""
        records = self.log()
        new, self.seen = records[self.seen :], len(records)
        return [record.members for record in new]

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request with all headers that tell of its origin."""
        return self.stack.request(method, path, body, headers=_HEADERS)


@frozen
class Deed:
    """A request that changes something, and what is told of it: action, subject and result of each record."""

    method: str
    path: str
    body: Any
    told: list[tuple[str, str, str]]


def whole(action: str) -> list[tuple[str, str, str]]:
    """Return what is told of an operation on the instance that succeeds."""
    return [(action, "i-1", "begun"), (action, "i-1", "succeeded")]


def once(action: str, subject: str) -> list[tuple[str, str, str]]:
    """Return what is told of a change that is done at once."""
    return [(action, subject, "succeeded")]


_IMAGE: Final = {"Name": "mysql", "Plan": "100", "Credentials": {"password": _CANARY}}
_KNOWN: Final = "10.0.0.1,10.0.0.2,2375"
_CERTIFICATE: Final = "10.0.0.2"
#: One of each route that changes something, in an order in which they can be done.
DEEDS: Final = {
    ("PUT", _INSTANCE): Deed(
        "PUT", instance_path("i-1"), provision_body(parameters={"secret": _CANARY}), whole("provision")
    ),
    ("PUT", _BINDING): Deed(
        "PUT", binding_path("i-1", "b-1"), bind_body(parameters={"secret": _CANARY}), whole("bind")
    ),
    ("PATCH", _INSTANCE): Deed(
        "PATCH",
        instance_path("i-1"),
        {"service_id": values.REDIS.service_id, "parameters": {"secret": _CANARY[::-1]}},
        whole("update"),
    ),
    ("DELETE", _BINDING): Deed("DELETE", binding_path("i-1", "b-1") + query(), None, whole("unbind")),
    ("DELETE", _INSTANCE): Deed("DELETE", instance_path("i-1") + query(), None, whole("deprovision")),
    ("PUT", "/{catalog}/image/{name}"): Deed(
        "PUT", "/docker/image/mysql", _IMAGE, once("put image", "mysql")
    ),
    ("DELETE", "/{catalog}/image/{name}"): Deed(
        "DELETE", "/docker/image/mysql", None, once("delete image", "mysql")
    ),
    ("PUT", "/certificate/{host}"): Deed(
        "PUT", f"/certificate/{_CERTIFICATE}", body(), once("put certificate", _CERTIFICATE)
    ),
    ("DELETE", "/certificate/{host}"): Deed(
        "DELETE", f"/certificate/{_CERTIFICATE}", None, once("delete certificate", _CERTIFICATE)
    ),
    ("PUT", "/admin/hosts/{host}/cordon"): Deed("PUT", f"{_HOST}/cordon", None, once("cordon host", _KNOWN)),
    ("DELETE", "/admin/hosts/{host}/cordon"): Deed(
        "DELETE", f"{_HOST}/cordon", None, once("uncordon host", _KNOWN)
    ),
    ("PUT", "/admin/hosts/{host}/drain"): Deed("PUT", f"{_HOST}/drain", None, once("drain host", _KNOWN)),
    ("DELETE", "/admin/hosts/{host}/drain"): Deed(
        "DELETE", f"{_HOST}/drain", None, once("undrain host", _KNOWN)
    ),
    ("POST", "/admin/hosts/{host}/forget"): Deed(
        "POST", f"{_HOST}/forget", None, once("forget host", _KNOWN)
    ),
    ("POST", "/ping"): Deed("POST", "/ping", PING, once("register host", "localhost,localhost,1234")),
    ("POST", "/admin/operations/{operation_id}/cancel"): Deed(
        "POST", "/admin/operations/o-9/cancel", None, once("cancel", "o-9")
    ),
    ("POST", "/admin/operations/{operation_id}/retry"): Deed(
        "POST", "/admin/operations/o-9/retry", None, once("retry", "o-9")
    ),
}
#: What the reaper removes is told by itself (`tests.broker.test_reaping`), and credentials have names of
#: their own (below).
ELSEWHERE: Final = {
    ("POST", "/admin/reaper"),
    ("POST", "/admin/credentials"),
    ("DELETE", "/admin/credentials/{credential}"),
}


class RoutesTests(AuditCase):
    """Every route that changes something."""

    def park(self) -> None:
        """Let there be an operation that nobody carries."""
        change, persister = values.provision("o-9", values.instance("i-9")), self.stack.persister
        begun = persister.begin(change, owner="gone", ttl=0, within=600)
        operation = self.successResultOf(Deferred.fromCoroutine(begun))
        self.stack.reconciler.is_paused = True
        Deferred.fromCoroutine(persister.release(operation, delay=600))
        self.news()

    def test_each(self) -> None:
        """Each has told what it did, to what, by whom, from where and by which request; and no secret."""
        changing = [route for route in self.stack.site.routes() if route.method != "GET"]
        self.assertEqual({(one.method, one.path) for one in changing}, DEEDS.keys() | ELSEWHERE)
        roles = {(one.method, one.path): one.role.value for one in changing if one.role is not None}
        self.park()
        for route, deed in DEEDS.items():
            answer = self.send(deed.method, deed.path, deed.body)
            self.assertIn(answer.status, (200, 201, 202), (route, answer.json))
            found = self.news()
            told = [(one["action"], one["subject"], one["result"]) for one in found]
            self.assertEqual(told, deed.told, route)
            for one in found:
                who = [one[name] for name in ("role", "name", "request_id", "platform", "user")]
                self.assertEqual(who, [roles[route], USER, "request-7", "cloudfoundry", "u-1"], route)
                self.assertNotEqual(one["peer"], "6.6.6.6")
        self.assertNotIn(_CANARY, "".join(record.content for record in self.log()))
        self.assertNotIn(_CANARY[::-1], "".join(record.content for record in self.log()))

    def test_settings(self) -> None:
        """What a further ping changes of a host is told, by whom and by which request."""
        told = {**PING, "Session": "one"}
        changes: list[dict[str, Any]] = [{}, {"Containers": 4}, {"IsActive": False}, {"IsActive": False}]
        for number, change in enumerate(changes):
            self.assertEqual(self.send("POST", "/ping", {**told, **change, "Sequence": number}).status, 200)
        registered, changed = self.news()
        names = ("action", "subject", "result", "role", "name", "request_id", "detail")
        self.assertEqual(
            [changed[name] for name in names],
            ["change host", registered["subject"], "succeeded", "agent", USER, "request-7", "IsActive"],
        )
        # Whoever changes it for ever is refused, and its last settings are those of the last record.
        answers = [self.send("POST", "/ping", {**PING, "PerfFactor": 5 + n}).status for n in range(9)]
        self.assertEqual(answers, [200] * 4 + [429] * 5)
        self.assertEqual(
            [one["detail"] for one in self.news()], ["IsActive, PerfFactor", *["PerfFactor"] * 3]
        )

    def test_credentials(self) -> None:
        """Who is let in by a new password, and who is not any more, is told, and not the password."""
        login = {"Role": "platform", "User": "cf", "Password": _CANARY}
        added = self.send("POST", "/admin/credentials", login).json["ID"]
        self.send("DELETE", f"/admin/credentials/{added}")
        told = [(one["action"], one["subject"], one["request_id"]) for one in self.news()]
        self.assertEqual(
            told, [("put credential", added, "request-7"), ("delete credential", added, "request-7")]
        )
        self.assertNotIn(_CANARY, "".join(record.content for record in self.log()))

    def test_refused(self) -> None:
        """What is refused, and what changes nothing, is not told."""
        for deed in DEEDS.values():
            is_done = deed.path == "/ping" or deed.method == "PUT"
            if not is_done or "drain" in deed.path or "cordon" in deed.path:
                self.send(deed.method, deed.path.replace("10.0.0.1", "nothing"), deed.body)
            self.stack.request(deed.method, deed.path, deed.body, auth=(USER, "wrong"))
            self.stack.request(deed.method, deed.path, deed.body, auth=None)
        self.send("PUT", instance_path("i-1"), provision_body(plan_id="nothing"))
        self.send("PUT", "/docker/image/mysql", {"Name": "mysql"})
        self.assertEqual(self.news(), [])

    def test_failure(self) -> None:
        """What was begun and fails is told with why, and the same request."""
        self.stack.image.exit_code = 1
        self.assertEqual(self.send("PUT", instance_path("i-1"), provision_body()).status, 500)
        begun, ended = self.news()
        self.assertEqual((begun["result"], ended["result"]), ("begun", "failed"))
        self.assertEqual((ended["request_id"], ended["user"]), ("request-7", "u-1"))
        self.assertNotEqual(ended["detail"], "")

    def test_unnamed(self) -> None:
        """A request that its client has not named has a name in the log, the same in all of its records."""
        self.assertEqual(self.stack.provision("i-1").status, 201)
        begun, ended = self.news()
        self.assertRegex(begun["request_id"], "^[0-9a-f]{32}$")
        self.assertEqual(ended["request_id"], begun["request_id"])

    def test_forged(self) -> None:
        """Whatever a client sends stays inside its member of one record."""
        ugly = '"},{"number":1}\u2028'
        name = f'i"{chr(0x2028)}'
        body = provision_body(context={"x": ugly})
        self.stack.request("PUT", instance_path("i%22%5C"), body, headers=_HEADERS)
        self.assertEqual({one["subject"] for one in self.news()} - {name}, {'i"\\'})

    def test_another_broker(self) -> None:
        """An operation that another broker ends is told with the request that has begun it."""
        self.stack.persister.fail_next("commit", Unavailable("It is away."))
        asked = self.stack.ask("PUT", instance_path("i-1"), provision_body(), headers=_HEADERS)
        self.assertIsNone(asked.answer)
        heir = self.stack.successor()
        heir.advance(60)
        begun, ended = self.news()
        self.assertEqual((ended["result"], ended["request_id"]), ("succeeded", "request-7"))
        self.assertEqual(ended["operation_id"], begun["operation_id"])


class ReadingTests(AuditCase):
    """GET of the log."""

    def setUp(self) -> None:
        """Write records."""
        super().setUp()
        for number in range(3):
            self.write("reap", f"i-{number}")
        self.write("cancel", "i-1", operation_id="o-1")

    def write(self, action: str, subject: str, operation_id: str = "") -> None:
        """Write a record."""
        entry = AuditEntry(action=action, subject=subject, operation_id=operation_id)
        Deferred.fromCoroutine(self.stack.persister.write_audit(entry))

    def numbers(self, parameters: str) -> list[int]:
        """Return the numbers of the records that are answered."""
        answer = self.stack.request("GET", f"/admin/audit?{parameters}")
        self.assertEqual(answer.status, 200)
        return [one["number"] - self.seen for one in answer.json if one["number"] > self.seen]

    def test_filters(self) -> None:
        """Records of an action, a subject, an operation and since a time are found."""
        self.assertEqual(self.numbers(""), [1, 2, 3, 4])
        self.assertEqual(self.numbers("action=reap"), [1, 2, 3])
        self.assertEqual(self.numbers("subject=i-1"), [2, 4])
        self.assertEqual(self.numbers("subject=o-1&action=cancel"), [4])
        self.assertEqual(self.numbers("since=0"), [1, 2, 3, 4])
        self.assertEqual(self.numbers("since=9000000000"), [])

    def test_parts(self) -> None:
        """Parts follow on each other by the header Link."""
        path, found = f"/admin/audit?limit=2&after={self.seen}", list[int]()
        while path:
            answer = self.stack.request("GET", path)
            found += [one["number"] - self.seen for one in answer.json]
            [target] = answer.headers.getRawHeaders("link") or [""]
            path = target.partition(">")[0][1:]
        self.assertEqual(found, [1, 2, 3, 4])

    def test_lines(self) -> None:
        """As lines the log is what `dockerbroker audit verify` reads."""
        answer = self.stack.request("GET", "/admin/audit?format=ndjson")
        self.assertEqual(answer.headers.getRawHeaders("content-type"), ["application/x-ndjson"])
        lines = answer.body.splitlines()
        self.assertEqual([AuditRecord.of_line(line) for line in lines], self.log())
        self.assertEqual(json.loads(lines[-1])["record"]["action"], "cancel")

    def test_bad_parameters(self) -> None:
        """What is no number or no format is refused."""
        for parameters in ("after=-1", "after=x", "since=now", "limit=0", "format=xml", "action="):
            self.assertEqual(self.stack.request("GET", f"/admin/audit?{parameters}").status, 400, parameters)
