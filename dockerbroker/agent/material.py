"""The client certificate for Docker, as it stands in its files now."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from attrs import define, field
from twisted.logger import Logger

from dockerbroker.config.certificates import CERTIFICATE_OPTIONS, load_certificates
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.certificates import HostCertificate

#: What tells that a file was written, exchanged, or made readable.
_Stamp = tuple[int, int, int, int] | None


@define(eq=False)
class Material:
    """Reads the files again whenever they have changed.

    Files that cannot be used, as while somebody exchanges one after the other, are told once, and what was
    read before goes on.
    """

    _log: ClassVar[Logger] = Logger()

    files: Mapping[str, str | None]
    host: str
    _stamps: list[_Stamp] | None = field(default=None, init=False)
    _current: HostCertificate | None = field(default=None, init=False)

    def current(self) -> HostCertificate | None:
        """Return the certificate that is to be used now, None when the agent was given none."""
        stamps = [_stamp(self.files.get(option)) for option in CERTIFICATE_OPTIONS]
        if stamps != self._stamps:
            self._stamps = stamps
            self._read()
        return self._current

    def _read(self) -> None:
        before = self._current
        try:
            self._current = load_certificates(self.files, self.host)
        except InvalidConfiguration as error:
            self._log.warn(
                "The files of the client certificate are not used as they are now: {sentence}",
                sentence=error.description,
            )
        else:
            if before not in (None, self._current):
                self._log.info("The client certificate for Docker has changed")


def _stamp(path: str | None) -> _Stamp:
    if not path:
        return None
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
