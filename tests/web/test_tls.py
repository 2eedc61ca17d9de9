"""The API by which administrators see for how long the broker's own certificate is still valid."""

from __future__ import annotations

import datetime as dt

from jsonschema import Draft7Validator
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.tls.serving import INTERVAL, CurrentCertificate
from dockerbroker.web.tls import TlsRoutes
from tests.engines.certificates import Authority
from tests.stack import Stack
from tests.tls.files import Files
from tests.web.test_operators_document import read

_DAY = 86400


class TlsTests(SynchronousTestCase):
    """`/admin/tls`."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()

    def told(self) -> dict[str, object]:
        """Return the answer, which is as the document has it."""
        answer = self.stack.request("GET", "/admin/tls")
        self.assertEqual(answer.status, 200)
        found = read()["paths"]["/admin/tls"]["get"]["responses"]["200"]
        schema = found["content"]["application/json"]["schema"]
        self.assertEqual([error.message for error in Draft7Validator(schema).iter_errors(answer.json)], [])
        told: dict[str, object] = answer.json
        return told

    def test_plain(self) -> None:
        """A broker that speaks plain HTTP says so."""
        self.assertEqual(self.told(), {"IsHTTPS": False})

    def test_days(self) -> None:
        """It is told which certificate is shown now, for how many days, and since when it is too late."""
        files, authority, clock = Files.of(self), Authority(), Clock()
        now = [dt.datetime.now(dt.UTC).timestamp()]
        configuration = files.put(*authority.issue("first"))
        shown = CurrentCertificate(configuration=configuration, clock=clock, wall=lambda: now[0])
        shown.start()
        self.addCleanup(shown.stop)
        self.stack.apis.sections.resources[b"tls"] = TlsRoutes(shown).resource()  # type: ignore[index]
        first = self.told()
        self.assertEqual(first["Fingerprint"], shown.fingerprint)
        ends = dt.datetime.fromisoformat(str(first["NotAfter"])).timestamp()
        now[0] = ends - 3 * _DAY + 1
        self.assertEqual(self.told()["DaysLeft"], 2)
        now[0] = ends + 1
        self.assertEqual(self.told()["DaysLeft"], -1)
        files.put(*authority.issue("second"))
        now[0] = ends - 3 * _DAY + 1
        clock.pump([INTERVAL, INTERVAL])
        self.assertNotEqual(self.told()["Fingerprint"], first["Fingerprint"])
