"""What this machine gives to private database servers: programs, accounts, folders and ports."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path

from tests.engine_private import processes_of, remove
from tests.polling import comes_true

_FOLDER_PREFIX = "dockerbroker-server-"
#: Memory, where nothing waits for a disk.
_FAST = Path("/dev/shm")


class MissingProgram(Exception):
    """The server cannot be run here; says why."""


def program(*names: str) -> Path:
    """Return the path of the first of the programs that is installed; raises `MissingProgram`."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    raise MissingProgram(f"{names[0]} is not installed")


def is_root() -> bool:
    """Whether these tests run as root."""
    return os.geteuid() == 0


def require_account(name: str) -> None:
    """Raise `MissingProgram` when there is no such account."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise MissingProgram(f"there is no account {name}") from None


def new_folder(*, durable: bool) -> Path:
    """Make a folder, on disk when the server is to be durable; removes those that nobody owns any more."""
    _sweep()
    where = _FAST if _FAST.is_dir() and not durable else None
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", dir=where))


def _sweep() -> None:
    """Remove what test processes left that were killed before they could end their servers."""
    for place in {_FAST, Path(tempfile.gettempdir())}:
        for folder in place.glob(f"{_FOLDER_PREFIX}*-*"):
            owner = int(folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0])
            if not Path(f"/proc/{owner}").exists():
                # Those that were to end by themselves, and have not yet.
                comes_true(lambda: not list(processes_of(folder)), 1)  # noqa: B023
                remove(folder)
