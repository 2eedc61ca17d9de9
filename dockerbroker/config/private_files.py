"""Files that nobody but the program's user may read or write, such as those of keys."""

import os
import stat
from pathlib import Path
from typing import Final

from dockerbroker.errors import InvalidConfiguration

LARGEST: Final = 64 * 1024

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path) -> bytes:
    """Return what a file holds.

    Raises `InvalidConfiguration` when it cannot be read, is a symbolic link or no ordinary file, may be read
    or written by others, or is larger than 64 KiB.
    """
    try:
        # A pipe would be waited for.
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise InvalidConfiguration(f"{path} is a symbolic link; name the file itself.") from None
        raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error}.") from None
    with os.fdopen(opened, "rb") as file:
        return _read(path, os.fstat(opened), file.read(LARGEST + 1) if _is_file(opened) else b"")


def _is_file(opened: int) -> bool:
    return stat.S_ISREG(os.fstat(opened).st_mode)


def _read(path: Path, status: os.stat_result, data: bytes) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidConfiguration(f"{path} is no file.")
    if status.st_uid not in {os.geteuid(), 0}:
        raise InvalidConfiguration(f"{path} belongs to another user; let its owner be the broker's user.")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise InvalidConfiguration(
            f"{path} may be used by others (its mode is {mode:04o}); run chmod 600 on it."
        )
    if len(data) > LARGEST:
        raise InvalidConfiguration(f"{path} is larger than {LARGEST} bytes.")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Put a file of mode 0600 in place at once and durably; raises `InvalidConfiguration`."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
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
