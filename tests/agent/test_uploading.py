"""The client certificate on its way to the brokers."""

from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.agent.material import Material
from dockerbroker.agent.uploading import LIMIT, PAUSE
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.secrets import Secret
from tests.agent.brokers import Answering, PingingCase, answering, broker_resource, hanging
from tests.engine_transport import ThrowawayAuthority

NAMES = ("clientcert", "clientkey", "cacert")


def write_files(folder: Path) -> dict[str, str | None]:
    """Write a new certificate, its key and its authority, and return their paths by the agent's options."""
    made = ThrowawayAuthority().client()
    for name, content in zip(NAMES, (made.certificate, made.key, made.ca), strict=True):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return {name: str(folder / name) for name in NAMES}


class UploadTests(PingingCase):
    """A certificate for one broker."""

    def setUp(self) -> None:
        """Have a certificate."""
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.material = Material(write_files(folder), "10.0.0.2")
        self.certificate = self.material.current()
        self.there = Answering(self.clock, broker_resource(self.persister))

    def stored(self) -> HostCertificate | None:
        """Return what the broker has stored."""
        return self.successResultOf(Deferred.fromCoroutine(self.persister.certificate("10.0.0.2")))

    def test_at_start(self) -> None:
        """After the first ping the broker has the certificate, in the README's format, and once."""
        self.pinger(self.there.send).start()
        self.pass_time(60)
        (body,) = self.there.puts
        assert self.certificate is not None
        self.assertEqual(set(body), {"Host", "ClientCert", "ClientKey", "CA"})
        self.assertEqual(body["ClientCert"], self.certificate.certificate)
        self.assertIsNotNone(self.stored())
        self.assertEqual(
            self.lines(),
            [
                "Registered with the broker broker:9998",
                "The broker broker:9998 has the client certificate for Docker",
            ],
        )

    def test_without_certificate(self) -> None:
        """An agent without a certificate sends none."""
        self.certificate = None
        self.pinger(self.there.send).start()
        self.pass_time(20)
        self.assertEqual(self.there.puts, [])

    def test_every_broker(self) -> None:
        """Each broker that is pinged gets it."""
        other = Answering(self.clock, broker_resource(self.persister))
        self.pinger(self.there.send, host="one").start()
        self.pinger(other.send, host="other").start()
        self.assertEqual((len(self.there.puts), len(other.puts)), (1, 1))

    def test_after_a_loss(self) -> None:
        """A broker that was lost and is back gets it again."""
        self.pinger(self.there.send).start()
        self.there.resource = answering(503, b"{}")
        self.pass_time(10)
        self.there.resource = broker_resource(self.persister)
        self.pass_time(10)
        self.assertEqual(len(self.there.puts), 2)

    def test_changed(self) -> None:
        """A certificate that has changed is sent with the next ping."""
        self.pinger(self.there.send).start()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.certificate = Material(write_files(folder), "10.0.0.2").current()
        self.pass_time(5)
        self.assertEqual(len(self.there.puts), 2)
        self.assertEqual(self.there.puts[1]["ClientCert"], (folder / "clientcert").read_text())

    def test_refused(self) -> None:
        """A certificate that the broker refuses is told once, and sent again after a while, or changed."""
        assert self.certificate is not None
        good, self.certificate = self.certificate, evolve(self.certificate, ca="nonsense")
        self.pinger(self.there.send).start()
        self.pass_time(PAUSE - 1)
        self.assertEqual(len(self.there.puts), 1)
        self.pass_time(6)
        self.assertEqual(len(self.there.puts), 2)
        _, refused = self.lines()
        self.assertIn("has not taken the client certificate for Docker: it answered 400: ca", refused)
        self.certificate = good
        self.pass_time(5)
        self.assertIsNotNone(self.stored())

    def test_hanging(self) -> None:
        """While the certificate hangs the pings go on, and it is given up in the end."""
        ready = self.there.resource

        def send(method: str, url: str, **options: object) -> Deferred[object]:
            self.there.resource = ready if method == "POST" else hanging()
            return self.there.send(method, url, **options)

        self.pinger(send).start()
        self.pass_time(LIMIT - 1)
        self.assertGreaterEqual(len(self.there.times), 4)
        self.pass_time(2)
        self.assertIn("did not answer in time", self.lines()[-1])

    def test_unexpected_error(self) -> None:
        """Whatever goes wrong with the certificate, the pings go on."""
        broker = self.broker(self.there.send)
        broker.uploader.current = lambda: (_ for _ in ()).throw(ZeroDivisionError("odd"))
        self.pinger_of([broker], lambda: 0.5).start()
        self.pass_time(60)
        self.assertGreater(len(self.there.times), 10)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_stop(self) -> None:
        """An upload that is under way when the agent ends is given up, without a word."""
        ready = self.there.resource

        def send(method: str, url: str, **options: object) -> Deferred[object]:
            self.there.resource = ready if method == "POST" else hanging()
            return self.there.send(method, url, **options)

        pinger = self.pinger(send)
        pinger.start()
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines(), ["Registered with the broker broker:9998"])

    def test_trial_failed(self) -> None:
        """What the broker says about its trial of the certificate is told."""
        ready = self.there.resource
        tried = b'{"Trials": [{"Succeeded": true}, {"Succeeded": false, "Description": "wrong\\nname"}, 5]}'

        def send(method: str, url: str, **options: object) -> Deferred[object]:
            self.there.resource = ready if method == "POST" else answering(200, tried)
            return self.there.send(method, url, **options)

        self.pinger(send).start()
        self.assertEqual(self.lines()[2:], ["The broker broker:9998 cannot use it: wrong name"])

    def test_secret(self) -> None:
        """No part of the key reaches the log, or is shown with what holds it."""
        assert self.certificate is not None

        def send(method: str, url: str, **options: object) -> Deferred[object]:
            return self.there.send(method, url, **options) if method == "POST" else Deferred()

        broker = self.broker(send)
        self.pinger_of([broker], lambda: 0.5).start()
        self.pass_time(LIMIT + 10)
        for line in self.certificate.key.reveal().splitlines()[1:-1]:
            self.assertNotIn(line, repr(broker))
            self.assertNotIn(line, "".join(self.lines()))


class MaterialTests(SynchronousTestCase):
    """The files of a certificate."""

    def setUp(self) -> None:
        """Write the files."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.files = write_files(self.folder)
        self.events = self.enterContext(capturedLogs())
        self.material = Material(self.files, "10.0.0.2")
        self.first = self.material.current()

    def lines(self) -> list[str]:
        """What was logged."""
        return [formatEvent(event) or "" for event in self.events]

    def test_read(self) -> None:
        """What is in the files is what is sent."""
        assert self.first is not None
        self.assertEqual(self.first.certificate, (self.folder / "clientcert").read_text())
        self.assertEqual(self.first.key, Secret((self.folder / "clientkey").read_text()))
        self.assertEqual(self.first.ca, (self.folder / "cacert").read_text())

    def test_combined(self) -> None:
        """A key that stands in the file of the certificate, too, is not taken for a part of that."""
        certificate, key = (Path(self.files[name] or "") for name in NAMES[:2])
        both = key.read_bytes() + certificate.read_bytes()
        certificate.write_bytes(both)
        current = self.material.current()
        assert current is not None
        self.assertNotIn("PRIVATE KEY", repr(current))
        self.assertIn("BEGIN CERTIFICATE", current.certificate)

    def test_none(self) -> None:
        """Without files there is no certificate, which is nothing to tell."""
        self.assertIsNone(Material({}, "10.0.0.2").current())
        self.assertEqual(self.lines(), [])

    def test_changed(self) -> None:
        """Files that change are read again, which is one line."""
        write_files(self.folder)
        changed = self.material.current()
        self.assertNotEqual(changed, self.first)
        self.assertIs(self.material.current(), changed)
        self.assertEqual(self.lines(), ["The client certificate for Docker has changed"])

    def test_broken(self) -> None:
        """Broken files are told once, and what was read before goes on until they are good."""
        good = (self.folder / "clientkey").read_bytes()
        for broken in (b"nonsense", b""):
            (self.folder / "clientkey").write_bytes(broken)
            for _ in range(3):
                self.assertEqual(self.material.current(), self.first)
        (self.folder / "clientkey").unlink()
        self.assertEqual(self.material.current(), self.first)
        (self.folder / "clientkey").write_bytes(good)
        (self.folder / "clientkey").chmod(0o600)
        self.assertEqual(self.material.current(), self.first)
        lines = self.lines()
        self.assertEqual(len(lines), 3)
        self.assertIn("are not used as they are now: --clientkey: ", lines[0])
        self.assertIn("cannot be read", lines[2])

    def test_half_exchanged(self) -> None:
        """While one file is new and another is not, what was read before goes on."""
        other = Path(self.mktemp())
        other.mkdir()
        write_files(other)
        (other / "clientcert").replace(self.folder / "clientcert")
        self.assertEqual(self.material.current(), self.first)
        (other / "clientkey").replace(self.folder / "clientkey")
        self.assertNotEqual(self.material.current(), self.first)
