"""Threads for blocking calls, which never keep a program from ending."""

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


def run_in(reactor: IReactorFromThreads, pool: ThreadPool, function: Callable[[], T]) -> Deferred[T]:
    """Call the function in a thread of the pool, and return a Deferred of what it returns or raises."""
    return deferToThreadPool(reactor, pool, function)


class DaemonThread(Thread):
    """A thread that the interpreter does not wait for when it ends."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, daemon=True, **options)


class DaemonThreadPool(ThreadPool):
    """A pool of its own for one kind of blocking call, so that no other kind starves when they hang.

    It starts no thread before there is work for it. `stop` returns when all calls have, or with
    `leaves_busy` at once: then threads that are in a call are left alone, which may hang for ever.
    """

    threadFactory = DaemonThread

    def __init__(self, name: str, threads: int, *, leaves_busy: bool = False) -> None:
        super().__init__(minthreads=0, maxthreads=threads, name=name)
        self._leaves_busy = leaves_busy

    def stop(self) -> None:
        """Let idle threads end, and wait for the others unless they are left alone."""
        if self._leaves_busy:
            self.threads.clear()
        super().stop()
