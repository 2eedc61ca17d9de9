"""As which user programs run, and who can read their memory."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime.hardening import ALLOW_ROOT, check_user
from tests.programs import environment

_TOLD = """
import ctypes, resource
from dockerbroker.lifetime.hardening import keep_memory_private
resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
prctl = ctypes.CDLL(None).prctl
before = prctl(3, 0, 0, 0, 0)
keep_memory_private()
print(before, prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


class UserTests(SynchronousTestCase):
    """The user of a program (S66)."""

    def test_root(self) -> None:
        """Root is refused with a sentence that says what to do, unless it is allowed by its word."""
        for variables in ({}, {ALLOW_ROOT: ""}, {ALLOW_ROOT: "0"}, {ALLOW_ROOT: "yes"}):
            refused = self.assertRaises(InvalidConfiguration, check_user, 0, variables)
            self.assertIn(f"{ALLOW_ROOT}=1", str(refused))
        check_user(0, {ALLOW_ROOT: "1"})

    def test_others(self) -> None:
        """Every other user may run it."""
        check_user(1000, {})


class MemoryTests(SynchronousTestCase):
    """The memory of a program (S58)."""

    def test_private(self) -> None:
        """No core is dumped, and the process is not dumpable, so that others cannot read it."""
        ended = subprocess.run(
            [sys.executable, "-c", _TOLD], env=environment(), capture_output=True, text=True, check=True
        )
        self.assertEqual(ended.stdout.split(), ["1", "0", "0", "0"])
