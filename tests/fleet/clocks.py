"""Clocks of programs that are set while they run, by libfaketime."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from attrs import define, field

_PATTERNS: Final = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib*/faketime/libfaketime.so.1")

#: What is loaded into the programs as well.
_MENDING: Final = Path(__file__).parent / "faked"


def library() -> Path | None:
    """Return where libfaketime is, None where it is not installed."""
    return next((path for pattern in _PATTERNS for path in Path("/").glob(pattern)), None)


@define(eq=False)
class Clocks:
    """What time it is for whom: each program reads how wrong its wall clock is from a file of its own."""

    folder: Path = field(factory=lambda: Path(tempfile.mkdtemp(prefix="dockerbroker-clocks-")))
    names: list[str] = field(factory=list, init=False)

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a program with a clock of that name; none where there is no libfaketime.

        Only its wall clock can be wrong, as with a machine that is set: no clock of the kernel's is set back.
        """
        found = library()
        if found is None:
            return {}
        if name not in self.names:
            self.names.append(name)
            self.set(0, name)
        return {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # It lets timed waits of threads return at once, so that they spin.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            # Python would compile everything anew whose times look different.
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": os.pathsep.join([str(_MENDING), *filter(None, sys.path)]),
        }

    def set(self, seconds: float, *names: str) -> None:
        """Set the clocks of these so much ahead of the right time, within a second."""
        for name in names:
            new = self._file(name).with_suffix(".new")
            new.write_text(f"{seconds:+.0f}\n")
            new.replace(self._file(name))

    def remove(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self.folder / name
