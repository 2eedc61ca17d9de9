"""Threads that may hang for ever do not hold up the end of a program.

That a pool waits for its calls unless it is told otherwise is shown with its stage, in `test_lifetime`.
"""

from threading import Event, Thread

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.threads import DaemonThreadPool

#: How long a thread may take, in seconds; only waited for when something is wrong.
PATIENCE = 30.0


class DaemonThreadPoolTests(SynchronousTestCase):
    """A pool with a call that hangs."""

    def setUp(self) -> None:
        """Have a call that returns when it is told to."""
        self.begun, self.release = Event(), Event()
        self.addCleanup(self.release.set)

    def hanging(self, pool: DaemonThreadPool) -> Thread:
        """Start the pool and the call in it, and return the call's thread."""

        def hang() -> None:
            self.begun.set()
            self.release.wait(PATIENCE)

        pool.start()
        pool.callInThread(hang)
        self.assertTrue(self.begun.wait(PATIENCE))
        thread: Thread = pool.threads[0]
        return thread

    def test_no_work(self) -> None:
        """A pool without work has no threads."""
        pool = DaemonThreadPool("test", 2)
        pool.start()
        self.assertEqual(pool.threads, [])
        pool.stop()

    def test_daemons(self) -> None:
        """The interpreter waits for no thread of a pool."""
        pool = DaemonThreadPool("test", 2)
        self.assertTrue(self.hanging(pool).daemon)
        self.release.set()
        pool.stop()

    def test_leaves_busy(self) -> None:
        """Stopping does not wait for a call that hangs, if the pool is told so."""
        pool = DaemonThreadPool("test", 2, leaves_busy=True)
        thread = self.hanging(pool)
        pool.stop()
        self.assertTrue(thread.is_alive())
