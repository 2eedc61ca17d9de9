"""What a broker must prove to an agent, and the agent to it."""

from ipaddress import ip_address
from typing import ClassVar

from attrs import define, field, frozen
from cryptography.x509 import Certificate
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    AcceptableCiphers,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.ssl import Certificate as TwistedCertificate
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from dockerbroker.config.agent import BrokerTls
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.contexts import CIPHERS, HTTP, load_authorities
from dockerbroker.tls.pairs import load_pair
from dockerbroker.tls.serving import Stamps, stamps_of

_WHERE = "brokerservers."


@implementer(IOpenSSLClientConnectionCreator)
@frozen(eq=False)
class VerifiedConnections:
    """Makes connections on which nothing is said before the other side has proven who it is.

    Twisted's own would let a certificate through that has no alternative names at all.
    """

    options: IOpenSSLClientConnectionCreator
    identity: ServiceID

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the connection, whose handshake fails unless the certificate is the other side's."""
        connection: SSL.Connection = self.options.clientConnectionForTLS(tlsProtocol)
        required = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT

        def judge(_: SSL.Connection, shown: X509, __: int, depth: int, ok: int) -> bool:
            if depth or not ok:
                return bool(ok)
            try:
                verify_service_identity(extract_patterns(shown), [self.identity], [])
            except Exception:  # noqa: BLE001 (whatever it is: it has proven nothing)
                tlsProtocol.failVerification(Failure())
                return False
            return True

        connection.set_verify(required, judge)
        return connection


def _identity(host: str) -> ServiceID:
    try:
        ip_address(host)
    except ValueError:
        return DNS_ID(host.encode("idna").decode("ascii"))
    return IPAddress_ID(host)


@implementer(IPolicyForHTTPS)
@define(eq=False, kw_only=True)
class BrokerPolicy:
    """Verifies one broker, by the authorities and with the certificate that are in the files now.

    Files that cannot be used any more are told once, and what was read before goes on.
    """

    _log: ClassVar[Logger] = Logger()

    host: str
    tls: BrokerTls
    _stamps: Stamps | None = field(default=None, init=False)
    _creator: IOpenSSLClientConnectionCreator | None = field(default=None, init=False)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """Return what makes connections to the broker; it is asked for no other host."""
        del hostname, port
        stamps = stamps_of(self.tls.ca, self.tls.certificate, self.tls.private_key)
        if self._creator is None or stamps != self._stamps:
            self._stamps = stamps
            self._read()
        assert self._creator is not None, "it is there, or there was an error"
        return self._creator

    def load(self) -> IOpenSSLClientConnectionCreator:
        """Return what the files make of connections now; raises `InvalidConfiguration`."""
        trusted = None
        if self.tls.ca is not None:
            authorities = load_authorities(self.tls.ca, f"{_WHERE}cacert")
            trusted = trustRootFromCertificates(
                [TwistedCertificate(_x509(one)) for one in authorities.certificates]
            )
        try:
            options = optionsForClientTLS(
                self.host,
                trusted,
                acceptableProtocols=[HTTP],
                extraCertificateOptions={
                    "raiseMinimumTo": TLSVersion.TLSv1_2,
                    "acceptableCiphers": AcceptableCiphers.fromOpenSSLCipherString(":".join(CIPHERS)),
                    **self._shown(),
                },
            )
            return VerifiedConnections(options, _identity(self.host))
        except (ValueError, UnicodeError):
            raise InvalidConfiguration(f"{_WHERE}host: {self.host} is no name for a certificate.") from None

    def _shown(self) -> dict[str, object]:
        if self.tls.certificate is None or self.tls.private_key is None:
            return {}
        pair = load_pair(self.tls.certificate, self.tls.private_key, _WHERE)
        return {
            "certificate": _x509(pair.certificate),
            "privateKey": PKey.from_cryptography_key(pair.key.reveal()),  # type: ignore[arg-type]
            "extraCertChain": [_x509(one) for one in pair.chain[1:]],
        }

    def _read(self) -> None:
        try:
            self._creator = self.load()
        except InvalidConfiguration as error:
            if self._creator is None:
                raise
            self._log.warn(
                "The files for the broker {host} are not used as they are now: {sentence}",
                host=self.host,
                sentence=error.description,
            )


def _x509(certificate: Certificate) -> X509:
    return X509.from_cryptography(certificate)
