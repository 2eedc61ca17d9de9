"""Runs tests by trial, in random order: `python -m tests [TRIAL_ARGUMENT...]`.

Without arguments all of them run: whole programs, and what mostly works with real servers, each in a process
of their own, and the others, which mostly compute, in one beside them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

_FOLDER: Final = Path(__file__).parent
#: Packages that have a process of their own.
_WAITING: Final = (
    ("integration",),
    ("drivers", "fleet"),
    ("command", "contracts", "faults", "races", "servers"),
)


def _everything_else() -> list[str]:
    packages = sorted(path.parent.name for path in _FOLDER.glob("*/__init__.py"))
    modules = sorted(path.stem for path in _FOLDER.glob("test_*.py"))
    elsewhere = {name for group in _WAITING for name in group}
    return [name for name in (*packages, *modules) if name not in elsewhere]


def _trial(
    names: Sequence[str], folder: str, output: IO[bytes] | None = None, package: str = "tests."
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "twisted.trial", "--random=0", f"--temp-directory={folder}"]
    words = [f"{package}{name}" for name in names]
    return subprocess.Popen([*command, *words], stdout=output, stderr=output)


def main(arguments: list[str]) -> int:
    """Run the tests; return trial's exit status, or that of the first of several that failed."""
    if arguments:
        return _trial(arguments, "_trial_temp", package="").wait()
    with ExitStack() as stack:
        kept = [stack.enter_context(tempfile.TemporaryFile()) for _ in _WAITING]
        beside = [
            _trial(names, f"_trial_temp_{names[0]}", output)
            for names, output in zip(_WAITING, kept, strict=True)
        ]
        statuses = [_trial(_everything_else(), "_trial_temp").wait(), *(each.wait() for each in beside)]
        for output in kept:
            output.seek(0)
            sys.stdout.buffer.write(output.read())
    return next(filter(None, statuses), 0)


sys.exit(main(sys.argv[1:]))
