"""How long a reactor does nothing but one thing: measured in the process whose reactor it is."""

import signal
import time
from pathlib import Path
from typing import Any, Final

from attrs import define, field

#: The variable of the environment that names the file for what was measured.
VARIABLE: Final = "DOCKERBROKER_STALLS"

_INTERVAL: Final = 0.005


@define(eq=False)
class Stalls:
    """Looks at the clock every 5 ms; on SIGUSR1 it writes how many seconds it was late at worst.

    Beside that stand the most seconds that the thread has computed between two looks: a machine that does
    something else as well makes it late, but not compute.
    """

    loop: Any
    path: Path
    _worst: float = field(default=0.0, init=False)
    _computed: float = field(default=0.0, init=False)
    _due: float = field(default=0.0, init=False)
    _spent: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Begin to measure."""
        signal.signal(signal.SIGUSR1, lambda *_: self.loop.callFromThread(self._write))
        self._due, self._spent = self.loop.seconds(), time.thread_time()
        self._look()

    def _look(self) -> None:
        now, spent = self.loop.seconds(), time.thread_time()
        self._worst = max(self._worst, now - self._due)
        self._computed = max(self._computed, spent - self._spent)
        self._due, self._spent = now + _INTERVAL, spent
        self.loop.callLater(_INTERVAL, self._look)

    def _write(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(f"{self._worst} {self._computed}", "utf-8")
        part.replace(self.path)
        self._worst = self._computed = 0.0
