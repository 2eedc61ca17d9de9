"""Work that is done in a process of its own."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

from dockerbroker.errors import BrokerError, InvalidConfiguration, Unavailable


def in_child(work: Callable[[], None]) -> None:
    """Do the work in a forked process, and return when it is done.

    What the work loads and opens goes with that process: memory, connections, threads. To be called before
    this process has threads of its own. `Unavailable` is raised here as well, and whatever else the work
    raises as `InvalidConfiguration`.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(work, sender))
    child.start()
    sender.close()
    try:
        error: BrokerError | None = receiver.recv()
    except EOFError:
        error = InvalidConfiguration("The check before the start was killed; try again.")
    child.join()
    if error is not None:
        raise error


def _report(work: Callable[[], None], sender: Connection) -> None:
    error: BrokerError | None = None
    try:
        work()
    except Unavailable as unavailable:
        error = Unavailable(unavailable.description)
    except BrokerError as refusal:
        error = InvalidConfiguration(refusal.description)
    except Exception as defect:  # noqa: BLE001  a traceback would be all that the operator sees
        what = f"{type(defect).__name__}: {defect}"
        error = InvalidConfiguration(f"The check before the start failed unexpectedly: {what}")
    sender.send(error)
    sender.close()
