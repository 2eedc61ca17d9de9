"""The stages of thread pools."""

from functools import partial
from typing import Any

from twisted.internet._resolver import GAIResolver  # the public modules offer no other way to choose its pool
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorPluggableNameResolver
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from dockerbroker.lifetime.stages import Stage
from dockerbroker.threads import DaemonThread

#: How long the calls of a pool may take to end when the program stops, in seconds.
PATIENCE = 5.0


def pool_stage(reactor: IReactorFromThreads, pool: ThreadPool, *, patience: float = PATIENCE) -> Stage:
    """Return the stage that starts the pool, and stops it when its last call has ended.

    Nothing may be called in the pool from then on: such a call would never return.
    """
    return Stage(
        name=f"the threads {pool.name}",
        start=pool.start,
        stop=partial(_joined, reactor, pool),
        patience=patience,
    )


def names_stage(reactor: Any, pool: ThreadPool, *, patience: float = PATIENCE) -> Stage:
    """Return the stage of a pool in which the names of hosts are resolved.

    The reactor's own pool would be joined at the end while the reactor stands still, however long a name
    server does not answer.
    """
    stage = pool_stage(reactor, pool, patience=patience)

    def start() -> None:
        pool.start()
        resolving: IReactorPluggableNameResolver = reactor
        resolving.installNameResolver(GAIResolver(reactor, lambda: pool))

    return Stage(name=stage.name, start=start, stop=stage.stop, patience=patience)


def _joined(reactor: IReactorFromThreads, pool: ThreadPool) -> Deferred[None]:
    """Stop the pool; the Deferred fires when its threads have ended, for which the reactor does not wait."""
    joined: Deferred[None] = Deferred()

    def stop() -> None:
        try:
            pool.stop()
        except Exception:  # noqa: BLE001 (it belongs to whoever waits)
            reactor.callFromThread(joined.errback, Failure())
        else:
            reactor.callFromThread(joined.callback, None)

    DaemonThread(target=stop, name=f"stopping {pool.name}").start()
    return joined
