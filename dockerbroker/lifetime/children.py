"""Work that is done in a process of its own."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

from dockerbroker.errors import BrokerError, InvalidConfiguration


def in_child(work: Callable[[], None]) -> None:
    """Do the work in a forked process, and return when it is done.

    What the work loads and opens goes with that process: memory, connections, threads. To be called before
    this process has threads of its own. A `BrokerError` of the work is raised here as `InvalidConfiguration`.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(work, sender))
    child.start()
    sender.close()
    try:
        complaint = receiver.recv()
    except EOFError:
        complaint = "The check before the start was killed; try again."
    child.join()
    if complaint is not None:
        raise InvalidConfiguration(complaint)


def _report(work: Callable[[], None], sender: Connection) -> None:
    complaint = None
    try:
        work()
    except BrokerError as error:
        complaint = error.description
    except Exception as error:  # noqa: BLE001  a traceback would be all that the operator sees
        complaint = f"The check before the start failed unexpectedly: {type(error).__name__}: {error}"
    sender.send(complaint)
    sender.close()
