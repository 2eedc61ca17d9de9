"""Files that hold secrets: who else can read or exchange them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dockerbroker.errors import InvalidConfiguration

_OTHERS_MAY = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
_ROOT = 0


def check_private_file(path: Path) -> None:
    """Raise `InvalidConfiguration` unless only this program's user, and root, can read and exchange the file.

    It must be a file that belongs to one of the two. Its group may read it only where root has given it to
    that group, as systemd's credentials and Debian's `ssl-cert` are. A symbolic link must belong to one of
    the two as well, and no folder above it or above what it leads to may be writable by everybody, unless
    files there are removed by their owners alone (`/tmp`).
    """
    try:
        trouble = private_trouble(path, os.geteuid())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidConfiguration(f"{path}: cannot be read: {reason}.") from None
    if trouble is not None:
        raise InvalidConfiguration(f"{path}: holds a key and {trouble}.")


def private_trouble(path: Path, user: int) -> str | None:
    """Return what makes the file unfit for a key of a program that runs as the user, or None.

    Raises `OSError` when it, or what is above it, cannot be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if found.st_uid not in (_ROOT, user) or path.lstat().st_uid not in (_ROOT, user):
        return "belongs to another user, whose programs alone may use it"
    if (wrong := mode_trouble(found.st_mode, found.st_uid, found.st_gid, user=user)) is not None:
        return wrong
    for folder in _above(path):
        if is_open(folder.stat().st_mode):
            return f"is below {folder}, where everybody can exchange it; run chmod o-w on that folder"
    return None


def mode_trouble(mode: int, owner: int, group: int, *, user: int) -> str | None:
    """Return what others may do with a key of this mode that belongs to the owner and the group, or None."""
    # Root administers what it has given to the group of a program that runs as another user.
    may_group_read = owner == _ROOT and (user, group) != (_ROOT, _ROOT)
    forbidden = _OTHERS_MAY if may_group_read else _OTHERS_MAY | stat.S_IRGRP
    if not mode & forbidden:
        return None
    return f"has mode {stat.S_IMODE(mode):04o}, so that others can reach it; run chmod 600 on it"


def openness(path: Path, what: str) -> list[str]:
    """Return what is to be said of a file that holds that, and is open to everybody.

    Nothing is said of one that cannot be looked at.
    """
    try:
        mode, folder = path.stat().st_mode, path.resolve().parent
        is_folder_open = is_open(folder.stat().st_mode)
    except (OSError, ValueError):
        return []
    said = []
    if mode & stat.S_IROTH:
        said.append(f"{path}: holds {what} and is readable by everybody; run chmod 600 on it")
    if mode & stat.S_IWOTH:
        said.append(f"{path}: holds {what} and can be changed by everybody; run chmod 600 on it")
    if is_folder_open:
        said.append(f"{path}: holds {what}, and everybody can exchange it; run chmod o-w on {folder}")
    return said


def is_open(mode: int) -> bool:
    """Whether everybody can exchange files in a folder of this mode."""
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _above(path: Path) -> Iterator[Path]:
    yield from dict.fromkeys((*path.absolute().parents, *path.resolve().parents))
