"""The certificate that the broker shows now."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

from attrs import define, field
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from dockerbroker.config.listening import TlsConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.contexts import load_authorities, server_context
from dockerbroker.tls.pairs import Pair, load_pair

#: Seconds between two looks at the files; what has changed is read when two looks see the same.
INTERVAL: Final = 1.0
#: Seconds between two lines of the log about how long the certificate is still valid.
TELLING: Final = 86400.0
#: With so many days left the line is a warning.
FEW_DAYS: Final = 30

#: What tells that files were written, exchanged, or made readable.
Stamps = tuple[tuple[int, int, int, int] | None, ...]


def stamps_of(*files: Path | None) -> Stamps:
    """Return what changes when one of the files does."""
    return tuple(None if file is None else _stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int, int, int] | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def load_context(configuration: TlsConfiguration) -> tuple[Pair, SSL.Context]:
    """Return what the files hold now; raises `InvalidConfiguration` with what cannot be used."""
    pair = load_pair(configuration.certificate, configuration.private_key, "tls.")
    authority = configuration.client_ca
    authorities = None if authority is None else load_authorities(authority, "tls.clientca")
    return pair, server_context(pair, configuration.minimum, authorities)


def check_tls(configuration: TlsConfiguration, now: float) -> None:
    """Raise `InvalidConfiguration` when the files cannot be used; one that has ended may be told to be so."""
    pair, _ = load_context(configuration)
    if configuration.refuses_expired and not _is_valid(pair, now):
        raise InvalidConfiguration(
            f"tls.certificate: {configuration.certificate} has ended, or is not valid yet."
        )


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False, kw_only=True)
class CurrentCertificate:
    """Shows everybody who connects the certificate that is in the files now.

    Connections that exist keep theirs. Files that cannot be used change nothing, and the log tells it once;
    nor does a certificate that has ended or not begun, while the present one is valid. `wall` is the time of
    day, in seconds.
    """

    _log: ClassVar[Logger] = Logger()

    configuration: TlsConfiguration
    clock: IReactorTime
    wall: Callable[[], float]
    _pair: Pair | None = field(default=None, init=False)
    _context: SSL.Context | None = field(default=None, init=False)
    _used: Stamps = field(default=(), init=False)
    _seen: Stamps = field(default=(), init=False)
    _calls: list[LoopingCall] = field(factory=list, init=False)

    def start(self) -> None:
        """Read the files, tell the log of them, and look from now on whether they change.

        Raises `InvalidConfiguration` when they cannot be used.
        """
        self._used = self._seen = self._stamps()
        self._take(*load_context(self.configuration))
        for call, interval in ((self.look, INTERVAL), (self.tell, TELLING)):
            loop = LoopingCall(call)
            loop.clock = self.clock
            loop.start(interval, now=False)
            self._calls.append(loop)

    def stop(self) -> None:
        """Look no more; the present certificate goes on being shown."""
        while self._calls:
            self._calls.pop().stop()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the connection of somebody who has just connected."""
        del tlsProtocol
        assert self._context is not None, "nobody connects before the start"
        return SSL.Connection(self._context, None)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the certificate that is shown now."""
        return "" if self._pair is None else self._pair.fingerprint

    @property
    def ends(self) -> float:
        """Until when it is valid, in seconds since 1970."""
        return 0.0 if self._pair is None else self._pair.ends.timestamp()

    @property
    def days_left(self) -> float:
        """For how many days it is still valid; less than none when it has ended."""
        return 0.0 if self._pair is None else self._pair.days_left(self.wall())

    def look(self) -> None:
        """Take what is in the files when they have changed, and are what they were at the last look.

        So whoever exchanges one after the other has time for it.
        """
        before, self._seen = self._seen, self._stamps()
        if self._seen in (self._used, ()) or self._seen != before:
            return
        self._used = self._seen
        try:
            self._exchange()
        except InvalidConfiguration as error:
            self._log.error(
                "The files of the broker's certificate are not used as they are now: {sentence}",
                sentence=error.description,
            )
        except Exception:  # noqa: BLE001 (it would end the looks for ever)
            self._log.failure("reading the broker's certificate")

    def tell(self) -> None:
        """Tell the log for how long the certificate is still valid."""
        if self._pair is None:
            return
        days = self._pair.days_left(self.wall())
        file, ends = self.configuration.certificate.name, self._pair.ends.strftime("%Y-%m-%d")
        if days < 0 or not self._pair.has_begun(self.wall()):
            words = "has ended" if days < 0 else "is not valid yet"
            self._log.critical(
                "The broker's certificate {file} {words} (valid until {ends}): who verifies it does not talk "
                "to this broker; exchange the files of tls",
                file=file,
                words=words,
                ends=ends,
            )
        elif days < FEW_DAYS:
            self._log.warn(
                "The broker's certificate {file} ends in {days:.0f} days, on {ends}",
                file=file,
                days=days,
                ends=ends,
            )
        else:
            self._log.info(
                "The broker's certificate {file} is valid until {ends}, for {days:.0f} days",
                file=file,
                days=days,
                ends=ends,
            )

    def _exchange(self) -> None:
        pair, context = load_context(self.configuration)
        assert self._pair is not None, "it has started"
        if _is_valid(self._pair, self.wall()) and not _is_valid(pair, self.wall()):
            raise InvalidConfiguration("tls.certificate: it has ended, or is not valid yet.")
        self._take(pair, context)

    def _take(self, pair: Pair, context: SSL.Context) -> None:
        # Another authority, or the same pair written again, needs a new context as well.
        if self._pair is None or pair.fingerprint != self._pair.fingerprint:
            self._log.info(
                "The broker's certificate has the SHA-256 fingerprint {fingerprint}",
                fingerprint=pair.fingerprint,
            )
        self._pair, self._context = pair, context
        self.tell()

    def _stamps(self) -> Stamps:
        files = self.configuration
        return stamps_of(files.certificate, files.private_key, files.client_ca)


def _is_valid(pair: Pair, now: float) -> bool:
    return pair.has_begun(now) and pair.days_left(now) > 0
