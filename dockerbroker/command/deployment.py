"""What a command works on."""

import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from dockerbroker.engines.interfaces import Engines
from dockerbroker.persisters.archive import IArchive
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.vault import Vault


@frozen(kw_only=True)
class Deployment:
    """The database and the Docker hosts of one deployment, and the clock of this process.

    `wall` returns seconds since 1970; `vault` has the keys to the secrets.
    """

    persister: IPersister
    archive: IArchive
    engines: Engines
    clock: IReactorTime
    wall: Callable[[], float] = time.time
    vault: Vault = field(factory=Vault)


@frozen(kw_only=True)
class Side:
    """A whole database; `name` is what people call it."""

    name: str
    archive: IArchive


#: What a command does; it returns the exit status.
Work = Callable[[Deployment], Coroutine[Any, Any, int]]
#: What a command does with the database that is moved, and the one to which it is moved.
MoveWork = Callable[[Side, Side], Coroutine[Any, Any, int]]


class Opener(Protocol):
    """Opens what brokers' configuration files describe, and says what stands in the way (`BrokerError`)."""

    def run(self, path: Path, work: Work, /) -> int:
        """Do the work on the deployment, and return the exit status."""

    def move(self, source: Path, target: Path, work: MoveWork, /) -> int:
        """Do the work on the databases of two files, and return the exit status."""
