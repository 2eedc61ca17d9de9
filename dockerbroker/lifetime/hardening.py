"""What a program does against its misuse: as which user it runs, and who can read its memory."""

import ctypes
import os
import resource
from collections.abc import Mapping
from typing import Final

from dockerbroker.errors import InvalidConfiguration

#: In the environment, with 1: a program may run as root.
ALLOW_ROOT: Final = "DOCKERBROKER_ALLOW_ROOT"

_ROOT: Final = 0
#: prctl(2).
_SET_DUMPABLE: Final = 4


def check_user(user: int, environment: Mapping[str, str]) -> None:
    """Raise `InvalidConfiguration` for root, unless the environment allows it.

    Neither program needs anything that only root can do. Taken over it would be the whole machine.
    """
    if user == _ROOT and environment.get(ALLOW_ROOT) != "1":
        raise InvalidConfiguration(
            "It runs as root, which it does not need: start it as a user of its own, in the group docker if "
            f"Docker is reached over its socket, or allow it with {ALLOW_ROOT}=1 in its environment."
        )


def keep_memory_private() -> None:
    """Let no core be dumped, and no other process of the same user read this one's memory (prctl(2)).

    What the program executes is not concerned by the second.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
