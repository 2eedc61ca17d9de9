"""The certificate that the broker shows now, while its files change."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from attrs import evolve
from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.listening import TlsConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.serving import INTERVAL, TELLING, CurrentCertificate, check_tls
from tests.engines.certificates import Authority
from tests.tls.files import Files
from tests.tls.memory import Meeting, client_context, pair_of

_DAY: Final = 86400.0
_HOUR: Final = dt.timedelta(hours=1)
_SWAPS: Final = 100


class _Case(SynchronousTestCase):
    """Has a broker's certificate, and a clock."""

    def setUp(self) -> None:
        """Put the first pair in place."""
        self.clock, self.files, self.authority = Clock(), Files.of(self), Authority()
        self.now = dt.datetime.now(dt.UTC).timestamp()
        self.first = self.authority.issue("first")
        self.configuration = self.files.put(*self.first)

    def started(self, configuration: TlsConfiguration | None = None) -> CurrentCertificate:
        """Return what shows the certificate, started."""
        shown = CurrentCertificate(
            configuration=configuration or self.configuration, clock=self.clock, wall=lambda: self.now
        )
        shown.start()
        self.addCleanup(shown.stop)
        return shown

    def look(self) -> None:
        """Let the broker look at its files, and once more, when it takes what is in them."""
        self.clock.pump([INTERVAL, INTERVAL])

    def meet(self, shown: CurrentCertificate) -> Meeting:
        """Return a client that has just connected."""
        server: Any = shown.serverConnectionForTLS(None)  # type: ignore[arg-type]
        server.set_accept_state()
        client = SSL.Connection(client_context(), None)
        client.set_connect_state()
        return Meeting(client, server)

    def shown_to(self, meeting: Meeting) -> bytes:
        """Return the certificate that a client has seen, after a handshake and two messages."""
        certificate = meeting.shake().client.get_peer_certificate()
        assert certificate is not None
        return pem(certificate)


def pem(certificate: Any) -> bytes:
    """Return a certificate as its file has it."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return bytes(certificate.to_cryptography().public_bytes(Encoding.PEM))


class SwapTests(_Case):
    """Files that change."""

    def test_swaps(self) -> None:
        """Through a hundred changes no handshake fails, whether it has begun before or comes after."""
        shown, before = self.started(), self.first[0]
        for number in range(_SWAPS):
            begun, half, kept = self.meet(shown), self.meet(shown), self.meet(shown).shake()
            half.step()
            pair = self.authority.issue(f"number{number}")
            self.files.put(*pair)
            self.look()
            self.assertEqual(shown.fingerprint, pair_of(*pair).fingerprint)
            self.assertEqual(self.shown_to(self.meet(shown)), pair[0])
            self.assertEqual((self.shown_to(begun), self.shown_to(half)), (before, before))
            kept.exchange(b"still?", b"there")
            before = pair[0]

    def test_one_after_the_other(self) -> None:
        """A certificate that is exchanged before its key is not taken between the two; nothing is said."""
        shown, second = self.started(), self.authority.issue("second")
        with capturedLogs() as events:
            self.files.write("broker.crt", second[0])
            self.clock.advance(INTERVAL)
            self.files.write("broker.key", second[1])
            self.clock.advance(INTERVAL)
            self.assertEqual(self.shown_to(self.meet(shown)), self.first[0])
            self.clock.advance(INTERVAL)
        self.assertEqual(self.shown_to(self.meet(shown)), second[0])
        self.assertEqual([event for event in events if event["log_level"] is LogLevel.error], [])

    def test_bad_files(self) -> None:
        """Whatever is wrong with new files, the old certificate is shown on, and the log says it once."""
        shown, (certificate, key) = self.started(), self.authority.issue("second")
        for bad_certificate, bad_key, mode, said in (
            (b"junk", key, 0o600, "tls.certificate: "),
            (certificate[:200], key, 0o600, "tls.certificate: "),
            (certificate, self.first[1], 0o600, "is not the key of the certificate"),
            (certificate, b"", 0o600, "tls.privatekey: "),
            (certificate, key, 0o644, "tls.privatekey: "),
            (*self.authority.issue("ended", lasts=-_HOUR), 0o600, "it has ended"),
            (*self.authority.issue("early", begins=_HOUR), 0o600, "is not valid yet"),
        ):
            with capturedLogs() as events:
                self.files.put(bad_certificate, bad_key).private_key.chmod(mode)
                self.look()
                self.look()
            (event,) = (event for event in events if event["log_level"] is LogLevel.error)
            self.assertIn(said, formatEvent(event))
            self.assertEqual(self.shown_to(self.meet(shown)), self.first[0])
        self.configuration.certificate.unlink()
        self.look()
        self.assertEqual(self.shown_to(self.meet(shown)), self.first[0])
        self.files.put(certificate, key)
        self.look()
        self.assertEqual(self.shown_to(self.meet(shown)), certificate)

    def test_authority(self) -> None:
        """An authority of clients that is exchanged counts for who connects from then on."""
        old, new = Authority("old"), Authority("new")
        configuration = evolve(self.configuration, client_ca=self.files.write("ca.pem", old.pem()))
        shown = self.started(configuration)
        self.assertIsNone(self.refusal(shown, old))
        self.files.write("ca.pem", new.pem())
        self.look()
        self.assertIsNone(self.refusal(shown, new))
        self.assertIsNotNone(self.refusal(shown, old))

    def refusal(self, shown: CurrentCertificate, authority: Authority) -> SSL.Error | None:
        """Return why a client of the authority is not let in, None when it is."""
        pair, meeting = pair_of(*authority.issue("host")), self.meet(shown)
        meeting.client.use_certificate(pair.certificate)
        meeting.client.use_privatekey(pair.key.reveal())  # type: ignore[arg-type]
        try:
            meeting.shake()
        except SSL.Error as error:
            return error
        return None


class EndTests(_Case):
    """How long the certificate is valid."""

    def test_days_left(self) -> None:
        """The log tells the days that are left at the start and each day, and the last ones as warnings."""
        with capturedLogs() as events:
            pair = self.authority.issue("broker", lasts=dt.timedelta(days=31, hours=1))
            shown = self.started(self.files.put(*pair))
            self.assertEqual(int(shown.days_left), 31)
            for _ in range(3):
                self.now += _DAY
                self.clock.advance(TELLING)
        levels = [event["log_level"] for event in events if "for {days" in str(event["log_format"])]
        self.assertEqual(levels, [LogLevel.info, LogLevel.info])
        warned = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(warned), 2)
        for words, days in zip(warned, (29, 28), strict=True):
            self.assertIn(f"ends in {days} days", str(words))

    def test_ended(self) -> None:
        """A certificate that has ended, or has not begun, is an alarm in the log, and shown all the same."""
        for pair, said in (
            (self.authority.issue("broker", lasts=-_HOUR), "has ended"),
            (self.authority.issue("broker", begins=_HOUR), "is not valid yet"),
        ):
            configuration = self.files.put(*pair)
            check_tls(configuration, self.now)
            with capturedLogs() as events:
                shown = self.started(configuration)
            (alarm,) = (event for event in events if event["log_level"] is LogLevel.critical)
            self.assertIn(said, formatEvent(alarm))
            self.assertEqual(self.shown_to(self.meet(shown)), pair[0])
            strict = evolve(configuration, refuses_expired=True)
            self.assertRaises(InvalidConfiguration, check_tls, strict, self.now)

    def test_renewed(self) -> None:
        """In place of one that has ended any other is taken, also one that has ended as well."""
        shown = self.started(self.files.put(*self.authority.issue("ended", lasts=-_HOUR)))
        for pair in (self.authority.issue("ended too", lasts=-_HOUR), self.authority.issue("good")):
            self.files.put(*pair)
            self.look()
            self.assertEqual(self.shown_to(self.meet(shown)), pair[0])
