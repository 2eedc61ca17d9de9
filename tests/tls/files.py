"""The files of certificates and keys."""

from __future__ import annotations

from pathlib import Path

from attrs import define
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.config.listening import TlsConfiguration


@define
class Files:
    """A folder with the files of a broker's certificate."""

    folder: Path

    @classmethod
    def of(cls, case: SynchronousTestCase | TestCase) -> Files:
        """Make a folder for a test."""
        folder = Path(case.mktemp()).absolute()
        folder.mkdir()
        return cls(folder)

    def write(self, name: str, content: bytes) -> Path:
        """Put a file in place at once, so that only its owner can read it."""
        path, part = self.folder / name, self.folder / f"{name}.new"
        part.write_bytes(content)
        part.chmod(0o600)
        return part.replace(path)

    def put(self, certificate: bytes, key: bytes) -> TlsConfiguration:
        """Put a pair in place; return the configuration that names it."""
        return TlsConfiguration(
            certificate=self.write("broker.crt", certificate), private_key=self.write("broker.key", key)
        )
