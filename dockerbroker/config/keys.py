"""The keys with which secrets are sealed in the database: a file, or a variable of the environment.

Each line is a label, a blank and a key of 32 bytes in base64. New keys are added at the end: a new database
begins with the last one. Which one an existing database uses is written in it.
"""

import binascii
import fcntl
import os
import re
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import field, frozen

from dockerbroker.config.private import check_private_file
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.secrets import Secret

#: The variable that holds keys; its lines may also be divided by commas.
VARIABLE: Final = "DOCKERBROKER_KEYS"
KEY_BYTES: Final = 32
_LARGEST: Final = 64 * 1024

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@frozen(kw_only=True)
class KeyRing:
    """Keys by their labels, in the order in which they were added."""

    keys: Mapping[str, Secret[bytes]] = field(factory=dict)

    @property
    def newest(self) -> str | None:
        """The label of the key that was added last, if there is any."""
        return list(self.keys)[-1] if self.keys else None


@frozen(kw_only=True)
class KeySource:
    """Where keys are read from, whenever they are needed: a file, or else a text; nothing when both lack."""

    file: Path | None = None
    text: Secret[str] | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        if self.text is not None:
            return f"the variable {VARIABLE}"
        return "no key file (the member keys of the configuration)" if self.file is None else str(self.file)

    def load(self) -> KeyRing:
        """Return the keys as they are now; raises `InvalidConfiguration`."""
        if self.text is not None:
            return read_keys(self.text.reveal().replace(",", "\n"), self.name)
        if self.file is None:
            return KeyRing()
        return load_keys(self.file)


def load_keys(path: Path) -> KeyRing:
    """Return the keys of a file; raises `InvalidConfiguration`."""
    check_private_file(path)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("ascii")
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"{path} holds something else than keys.") from None
    return read_keys(text, str(path))


def read_keys(text: str, name: str) -> KeyRing:
    """Return the keys of a text; raises `InvalidConfiguration`, and shows nothing of the text."""
    keys: dict[str, Secret[bytes]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        label = words[0]
        if not _LABEL.fullmatch(label) or len(words) != 2:  # noqa: PLR2004  (a label and a key)
            raise InvalidConfiguration(f"{name}: line {number} is no label, blank and key in base64.")
        if label in keys:
            raise InvalidConfiguration(f"{name}: line {number} has the label {label} once more.")
        keys[label] = _key(words[1], f"{name}: line {number}")
    if not keys:
        raise InvalidConfiguration(f"{name} holds no key; make one by dockerbroker keys generate.")
    return KeyRing(keys=keys)


def _key(text: str, where: str) -> Secret[bytes]:
    try:
        key = b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidConfiguration(f"{where} holds no key of {KEY_BYTES} bytes in base64.")
    return Secret(key)


def require_label(label: str) -> None:
    """Raise `InvalidConfiguration` unless a key may be called so."""
    if not _LABEL.fullmatch(label):
        raise InvalidConfiguration(
            "A label has at most 64 letters, digits, dots, hyphens and underscores, and begins with one of "
            "the first two."
        )


def add_key(path: Path, label: str) -> None:
    """Add a new key at the end of the file, made when it is absent; raises `InvalidConfiguration`."""
    require_label(label)
    # What a link leads to is replaced, and not the link.
    path = path.resolve()
    with _locked(path):
        known = load_keys(path).keys if os.path.lexists(path) else {}
        if label in known:
            raise InvalidConfiguration(f"{path} has a key with the label {label} already.")
        _write(path, {**known, label: Secret(secrets.token_bytes(KEY_BYTES))})


def remove_key(path: Path, label: str) -> None:
    """Remove a key that is not the only one from the file; raises `InvalidConfiguration`."""
    path = path.resolve()
    with _locked(path):
        known = dict(load_keys(path).keys)
        if known.pop(label, None) is None:
            raise InvalidConfiguration(f"{path} has no key with the label {label}.")
        if not known:
            raise InvalidConfiguration(f"{label} is the only key of {path}.")
        _write(path, known)


def new_label() -> str:
    """Return a label that no other key has."""
    return f"key-{secrets.token_hex(6)}"


def _write(path: Path, keys: Mapping[str, Secret[bytes]]) -> None:
    head = "# Keys of the broker's database. Keep a copy in a safe place, apart from its backups.\n"
    lines = [f"{label} {b64encode(key.reveal()).decode('ascii')}\n" for label, key in keys.items()]
    _write_private(path, "".join([head, *lines]).encode("ascii"))


def _write_private(path: Path, data: bytes) -> None:
    """Put a file in place at once and durably; raises `InvalidConfiguration`.

    Its mode is 0600; whatever group could read the file before can read it now.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _let_read(file.fileno(), path)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be written: {error.strerror}.") from None


def _let_read(file: int, path: Path) -> None:
    """Let the group read that may read what is replaced; it is that of a broker for which root does this."""
    if not path.exists():
        return
    before = path.stat()
    if before.st_uid == os.geteuid() and before.st_mode & stat.S_IRGRP:
        os.fchown(file, -1, before.st_gid)
        os.fchmod(file, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let nobody else change the file meanwhile."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be written: {error.strerror}.") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
