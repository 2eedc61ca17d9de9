"""The client certificate on its way to one broker."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.agent.answers import one_line, reason_of
from dockerbroker.agent.requests import Requests
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.wire import encode

#: The broker tries the certificate before it answers, so that takes longer than a ping; in seconds.
LIMIT: Final = 20.0
#: After a failure the same certificate is sent again after so many seconds, at the next ping.
PAUSE: Final = 30.0


@define(eq=False, kw_only=True)
class Uploader:
    """Sends the certificate to the broker whenever it may not have it, beside the pings.

    `current` returns the certificate, None when there is none to send; `docker_host` is for whom it is.
    """

    _log: ClassVar[Logger] = Logger()

    requests: Requests
    current: Callable[[], HostCertificate | None]
    docker_host: str
    clock: IReactorTime
    _sent: HostCertificate | None = field(default=None, init=False)
    _failed: HostCertificate | None = field(default=None, init=False)
    _again_at: float = field(default=0.0, init=False)
    _told: str = field(default="", init=False)
    _under_way: Deferred[None] | None = field(default=None, init=False)
    _is_stopped: bool = field(default=False, init=False)

    def registered(self) -> None:
        """Send the certificate if the broker, which has just taken a ping, may have another one or none."""
        certificate = self.current()
        if self._under_way is not None or certificate in (None, self._sent):
            return
        if certificate == self._failed and self.clock.seconds() < self._again_at:
            return
        assert certificate is not None
        sending = Deferred.fromCoroutine(self._send(certificate))
        if not sending.called:
            self._under_way = sending

    def lost(self) -> None:
        """Send it again when the broker is back, which may have another database then."""
        self._sent = self._failed = None

    async def stop(self) -> None:
        """Give up what is under way."""
        sending, self._under_way, self._is_stopped = self._under_way, None, True
        if sending is not None:
            sending.cancel()
            await sending

    async def _send(self, certificate: HostCertificate) -> None:
        # A broker that is lost meanwhile may not have kept it.
        self._sent, self._failed = certificate, None
        url = self.requests.server.certificate_url(self.docker_host)
        try:
            answer = await self.requests.ask(
                "PUT", url, encode(_document(self.docker_host, certificate)), LIMIT
            )
        except Exception as error:  # noqa: BLE001 (none may end the pings)
            if not self._is_stopped:
                self._note_failure(certificate, error)
        else:
            self._note_success(answer)
        self._under_way = None

    def _note_success(self, answer: dict[str, Any]) -> None:
        self._told = ""
        broker = self.requests.server.name
        self._log.info("The broker {broker} has the client certificate for Docker", broker=broker)
        for why in _troubles(answer):
            self._log.warn("The broker {broker} cannot use it: {why}", broker=broker, why=why)

    def _note_failure(self, certificate: HostCertificate, error: Exception) -> None:
        self._sent, self._failed = None, certificate
        self._again_at = self.clock.seconds() + PAUSE
        reason, broker = reason_of(error), self.requests.server.name
        if reason is None:
            reason = f"{type(error).__name__}: {error}"
            if reason != self._told:
                self._log.failure("Sending the certificate to {broker} failed unexpectedly", broker=broker)
        if reason != self._told:
            self._told = reason
            self._log.warn(
                "The broker {broker} has not taken the client certificate for Docker: {reason}",
                broker=broker,
                reason=reason,
            )


def _document(docker_host: str, certificate: HostCertificate) -> dict[str, str]:
    return {
        "Host": docker_host,
        "ClientCert": certificate.certificate,
        "ClientKey": certificate.key.reveal(),
        "CA": certificate.ca,
    }


def _troubles(answer: dict[str, Any]) -> list[str]:
    """Return why the broker could not connect to Docker with the certificate."""
    trials = answer.get("Trials")
    return [
        one_line(str(trial.get("Description")))
        for trial in (trials if isinstance(trials, list) else [])
        if isinstance(trial, dict) and trial.get("Succeeded") is False
    ]
