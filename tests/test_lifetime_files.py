"""How many files a program may have open, and how much of its memory is looked at."""

import gc
import resource

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.lifetime import keep_what_is_loaded
from dockerbroker.lifetime.files import OTHERS, fitting_connections, room_for


class FileTests(SynchronousTestCase):
    """The limits of this process, which are put back."""

    def setUp(self) -> None:
        """Remember the limits."""
        self.now, self.most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (self.now, self.most))

    def test_more(self) -> None:
        """A program that may open few files asks for as many as it needs, and for no fewer than it has."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (700, self.most))
        with capturedLogs() as events:
            for wanted, allowed in ((400, 912), (64, 912)):
                self.assertEqual(room_for(wanted), wanted)
                self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (allowed, self.most))
        self.assertEqual(events, [])

    def test_too_few(self) -> None:
        """Where the system allows fewer, there are fewer connections, and the log says so."""
        if self.most == resource.RLIM_INFINITY:
            self.skipTest("the system has no limit")
        with capturedLogs() as events:
            self.assertEqual(room_for(self.most), self.most - OTHERS)
        self.assertIn(f"{self.most} files", str(formatEvent(events[0])))

    def test_least(self) -> None:
        """However few files there may be, half of them are for connections."""
        found = [fitting_connections(4096, files) for files in (256, 1024, 4608, 5000)]
        self.assertEqual(found, [128, 512, 4096, 4096])


class MemoryTests(SynchronousTestCase):
    """What the collector of garbage looks at."""

    def test_what_is_loaded(self) -> None:
        """What is there when a program is ready is not looked at again, and later garbage still is."""
        self.addCleanup(gc.unfreeze)
        keep_what_is_loaded()
        self.assertGreater(gc.get_freeze_count(), 10_000)
        self.assertLess(len(gc.get_objects()), 10_000)
        later: list[object] = []
        later.append(later)
        del later
        self.assertGreater(gc.collect(), 0)
