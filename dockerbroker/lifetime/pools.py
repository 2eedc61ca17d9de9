"""Thread pools that never keep a program from ending."""

from functools import partial
from threading import Thread
from typing import Any

from twisted.internet._resolver import GAIResolver  # the public modules offer no other way to choose its pool
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorPluggableNameResolver
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from dockerbroker.lifetime.stages import Stage

#: How long the calls of a pool may take to end when the program stops, in seconds.
PATIENCE = 10.0


class _DaemonThread(Thread):
    """A thread that the interpreter does not wait for when it ends."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, daemon=True, **options)


class DaemonThreadPool(ThreadPool):
    """A pool of its own for one kind of blocking call, so that no other kind starves when they hang.

    It starts no thread before there is work for it.
    """

    threadFactory = _DaemonThread

    def __init__(self, name: str, threads: int) -> None:
        super().__init__(minthreads=0, maxthreads=threads, name=name)


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

    _DaemonThread(target=stop, name=f"stopping {pool.name}").start()
    return joined
