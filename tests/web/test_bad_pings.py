"""Pings that are wrong: each is refused in one line, and nothing else happens."""

import json
from typing import Any, Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.docker_addresses import AllowedAddresses
from dockerbroker.model.hosts import HostKey
from dockerbroker.web.apis import LARGEST_BODY, Api
from tests.model.test_pings import PING, VITALS
from tests.model.values import documents, unhurried
from tests.stack import HOST, Answer, Stack
from tests.web.test_bad_input import NO_OBJECTS, NO_VALUES, beside

LARGEST: Final = LARGEST_BODY[Api.AGENTS]
#: A ping of the broker's only host, as its agent sends it.
GOOD: Final[dict[str, Any]] = {
    **PING,
    **VITALS,
    "ServiceHost": HOST.key.service_host,
    "DockerHost": HOST.key.docker_host,
    "DockerPort": HOST.key.docker_port,
    "OwnKeepAlive": 2,
    "Labels": {"disk": "ssd"},
}

_OTHER_KINDS: Final[tuple[Any, ...]] = (True, [], [1], {}, {"a": 1})
_NO_NAMES: Final = (
    *("", None, 7, *_OTHER_KINDS),
    *("a b", "a/b", "a\nb", "a,b", "\x1b[2J", "$(id)", "<a>", "a@b", "'--", "x" * 256),
)
_NO_TEXTS: Final = (7, *_OTHER_KINDS, "x" * 501, "a\nb", "\x1b[2J", "\u202e")
_NO_IDS: Final = (7, *_OTHER_KINDS, "x" * 256, "a\nb", "\x1b[2J")
_NO_SIZES: Final = (-1, 1.5, 2**53, 10**400, 1e300, "-1", "1.5", "many", "1" * 200, *_OTHER_KINDS)
_NO_PORTS: Final = (-1, 65536, 1.5, 2**64, "many", *_OTHER_KINDS)
_NO_NUMBERS: Final = ("NaN", "Infinity", "-Infinity", "1e999", "soon", *_OTHER_KINDS)
_NO_INTERVALS: Final = (0, -1, 0.049, 86401, 1e300, 10**400, *_NO_NUMBERS)
_NO_LOADS: Final = (-0.5, 1e7, 10**400, *_NO_NUMBERS)

#: What each member must not be.
WRONG: Final[dict[str, tuple[Any, ...]]] = {
    "ServiceHost": _NO_NAMES,
    "DockerHost": (*_NO_NAMES, "http://10.0.0.2", "unix://docker.sock", "unix:///a b", "unix:///\n"),
    "DockerPort": (None, 0, "", *_NO_PORTS),
    "IsActive": (0, 1, "perhaps", [], {}),
    "PerfFactor": (-1, 1e10, 10**400, *_NO_NUMBERS),
    "KeepAlive": _NO_INTERVALS,
    "OwnKeepAlive": _NO_INTERVALS,
    "ExecCommand": ("Telnet", "sh", 7, *_OTHER_KINDS),
    "ExecArgs": ("x" * 4097, 7, *_OTHER_KINDS),
    "Portbind_min": (5, *_NO_PORTS),
    "Portbind_max": (5, *_NO_PORTS),
    "Labels": (
        *(7, "a", True, [], ["a"], {"a": 1}, {"a": None}, {"a": {}}, {"": "b"}, {"a\n": "b"}, {"a": "\x1b"}),
        *({"a": "b" * 256}, {"b" * 256: "a"}, {str(number): "" for number in range(65)}),
    ),
    "DockerTrouble": _NO_TEXTS,
    **dict.fromkeys(
        ("Session", "EngineID", "EngineSession", "EngineVersion", "APIVersion", "RuncVersion"), _NO_IDS
    ),
    **dict.fromkeys(
        ("Sequence", "MemoryTotal", "MemoryFree", "DiskTotal", "DiskFree", "Containers"), _NO_SIZES
    ),
    **dict.fromkeys(("CPUs", "CPULoad"), _NO_LOADS),
}


class BadPingCase(SynchronousTestCase):
    """A broker that has heard one ping of its only host."""

    def setUp(self) -> None:
        """Let the host ping."""
        self.stack = Stack()
        self.assertEqual(self.send(GOOD).status, 200)
        self.before = self.stored()
        # What a ping would change is another time by now.
        self.stack.advance(0.5)

    def send(self, body: Any, **headers: str | None) -> Answer:
        """Send a body."""
        return self.stack.request("POST", "/ping", body, headers=headers)

    def stored(self) -> dict[HostKey, dict[str, Any]]:
        """Return all that is known of hosts, but for who else claims to be one."""
        hosts = self.stack.persister.tables.hosts
        return {key: {**row, "sessions": None} for key, row in hosts.items()}

    def assert_refused(self, body: Any, status: int, told: object, **headers: str) -> str:
        """The answer is one short line and nothing is stored; returns the line."""
        answer = self.send(body, **headers)
        self.assertEqual(answer.status, status, (told, answer.body[:300]))
        self.assertEqual(set(answer.json), {"description"}, told)
        self.assertTrue(answer.description.isprintable(), told)
        self.assertLess(len(answer.description), 400, told)
        self.assertEqual(self.stored(), self.before, told)
        return answer.description


class BodyTests(BadPingCase):
    """What is wrong with the body alone."""

    def test_every_member(self) -> None:
        """A member of a wrong type or beyond its bounds is 400, and named; every member has such values."""
        self.assertEqual(set(WRONG) | {"LastPing", "Portbindings"}, set(GOOD) | {"DockerTrouble"})
        for member, values in WRONG.items():
            for value in values:
                told = f"{member} = {str(value)[:50]}"
                described = self.assert_refused({**GOOD, member: value}, 400, told)
                # That a range is none is told of its beginning.
                self.assertIn(member.lower().removesuffix("max"), described, told)

    def test_missing(self) -> None:
        """What names the host must be there."""
        for member in ("ServiceHost", "DockerHost", "DockerPort"):
            body = {name: value for name, value in GOOD.items() if name != member}
            self.assertIn(member.lower(), self.assert_refused(body, 400, member))
        self.assert_refused({}, 400, "nothing")

    def test_no_object(self) -> None:
        """A body that is no JSON object in UTF-8 is 400."""
        for body in (*NO_OBJECTS, *(json.dumps(GOOD).encode(one) for one in ("utf-16", "utf-32"))):
            self.assert_refused(body, 400, body[:50])

    def test_no_value(self) -> None:
        """What is no JSON, nested too deeply or cannot be kept spoils the ping, also where nobody looks."""
        for value in NO_VALUES:
            body = beside(value, GOOD)
            # What is larger than any ping is not even looked at.
            self.assert_refused(body, 400 if len(body) <= LARGEST else 413, value[:50])

    def test_twice(self) -> None:
        """A member that is given twice is 400, be it the same, or in another case."""
        for again in (b'"KeepAlive":1', b'"keepalive":1', b'"SERVICEHOST":"10.0.0.1"', b'"Any":1,"any":1'):
            self.assert_refused(json.dumps(GOOD).encode()[:-1] + b"," + again + b"}", 400, again)

    def test_large(self) -> None:
        """A ping of 10 MB, or with more members than fit into 64 KiB, is 413, whatever is in it."""
        bodies = (
            {**GOOD, "DockerTrouble": "x" * 10_000_000},
            {**GOOD, "Any": ["x"] * 2_000_000},
            b"[" * 10_000_000,
            b" " * 10_000_000,
        )
        for body in bodies:
            self.assert_refused(body, 413, str(body)[-50:])
        self.assert_refused({**GOOD, "Any": [0] * 30_000}, 413, "many values")

    def test_kind_of_content(self) -> None:
        """A body that is said to be no JSON, or to be compressed, is 415."""
        for kind in ("text/plain", "multipart/form-data; boundary=x", "application/xml", "json"):
            self.assert_refused(GOOD, 415, kind, **{"Content-Type": kind})
        self.assert_refused(GOOD, 415, "gzip", **{"Content-Encoding": "gzip"})

    def test_everything_wrong(self) -> None:
        """A ping of which everything is wrong is 400, and as many members are named as there are."""
        answer = self.send({member: [[]] for member in WRONG})
        self.assertEqual(answer.status, 400)
        self.assertTrue(answer.description.isprintable())
        self.assertLess(len(answer.description), 3000)
        self.assertEqual(self.stored(), self.before)

    @unhurried
    @given(st.dictionaries(st.sampled_from([*GOOD, "DockerTrouble", "Any"]), documents), st.binary())
    def test_anything(self, changes: dict[str, Any], raw: bytes) -> None:
        """Whatever is sent is stored or refused in one line."""
        for body in ({**GOOD, **changes}, raw):
            answer = self.send(body)
            self.assertLess(answer.status, 500)
            if answer.status != 200:
                self.assertTrue(answer.description.isprintable(), answer.description)


class ClaimTests(BadPingCase):
    """Pings that are well formed, and say what is not so."""

    def test_times(self) -> None:
        """A time of the future or of the past is no reason for anything: only the broker's clock counts."""
        pinged_at = []
        times: tuple[Any, ...] = ("2999-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "yesterday")
        for time in (*times, -(2**60), 1e300, [], {}):
            self.assertEqual(self.send({**GOOD, "LastPing": time, "Sequence": 8}).status, 200)
            pinged_at.append(self.stored()[HOST.key].pop("pinged_at"))
            self.stack.advance(1)
        self.assertEqual(pinged_at, [pinged_at[0] + second for second in range(7)])

    def test_old_sequence(self) -> None:
        """A ping that is older than what was heard is 409, be it the recording of one that was good."""
        self.assert_refused({**GOOD, "Sequence": 6}, 409, "older")
        self.assert_refused({**GOOD, "Sequence": 0}, 409, "first")

    def test_old_session(self) -> None:
        """A ping of a session that was replaced is 409: nothing that it tells is stored."""
        self.assertEqual(self.send({**GOOD, "Session": "newer", "Sequence": 1}).status, 200)
        self.before = self.stored()
        for sequence in (7, 8, 2**53 - 1):
            body = {**GOOD, "Sequence": sequence, "KeepAlive": 60, "MemoryFree": 0}
            self.assertIn("another agent runs", self.assert_refused(body, 409, sequence))

    def test_other_engine(self) -> None:
        """A ping of another Docker Engine under the same address is 409."""
        for session in ("8c2f", "new", ""):
            body = {**GOOD, "EngineID": "another", "Session": session, "Sequence": 9}
            self.assertIn("another Docker Engine", self.assert_refused(body, 409, session))

    def test_other_host(self) -> None:
        """A ping in the name of a host at whose address its agent is not is 403; so is a forbidden one."""
        stack = Stack(addresses=AllowedAddresses())
        before = dict(stack.persister.tables.hosts)
        for address in ("10.0.0.2", "10.0.0.3", "169.254.169.254", "100.100.100.200", "0.0.0.0", "docker1"):
            answer = stack.request("POST", "/ping", {**GOOD, "DockerHost": address})
            self.assertEqual(answer.status, 403, address)
            self.assertTrue(answer.description.isprintable())
        self.assertEqual(stack.persister.tables.hosts, before)

    def test_credentials(self) -> None:
        """A ping with wrong credentials, or none, is 401, however good it is."""
        for auth in (None, ("admin", "wrong"), ("", "")):
            answer = self.stack.request("POST", "/ping", {**GOOD, "Sequence": 8}, auth=auth)
            self.assertEqual((answer.status, set(answer.json)), (401, {"description"}))
        self.assertEqual(self.stored(), self.before)

    def test_good(self) -> None:
        """The ping that is spoiled here is a good one, also when it is repeated since its answer was lost."""
        for body in (GOOD, GOOD, {**GOOD, "Sequence": 8}, {**GOOD, "Session": "next", "Sequence": 1}):
            self.assertEqual(self.send(body).status, 200)
        # The original's agent does not say what it sends.
        self.assertEqual(self.send(PING, **{"Content-Type": None}).status, 200)
        [report, _] = self.successResultOf(self.stack.persister.hosts())
        self.assertEqual(report.host, evolve(HOST, keep_alive=1.0, labels={"disk": "ssd"}))
        self.assertTrue(report.is_usable)
