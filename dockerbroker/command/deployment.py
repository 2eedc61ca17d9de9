"""What a command works on."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from dockerbroker.engines.interfaces import Engines
from dockerbroker.persisters.interfaces import IPersister


@frozen(kw_only=True)
class Deployment:
    """The database and the Docker hosts of one deployment, and the clock of this process."""

    persister: IPersister
    engines: Engines
    clock: IReactorTime


#: What a command does; it returns the exit status.
Work = Callable[[Deployment], Coroutine[Any, Any, int]]
#: Does the work on the deployment that a broker's configuration file describes; returns the exit status.
Run = Callable[[Path, Work], int]
