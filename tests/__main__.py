"""Runs tests by trial, in random order: `python -m tests [TRIAL_ARGUMENT...]`.

Without arguments all of them run: those with Docker, which mostly wait, in one process, and the others, which
mostly compute, in a second one beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
_WITH_DOCKER: Final = ("contracts", "integration")


def _everything_else() -> list[str]:
    packages = sorted(path.parent.name for path in _FOLDER.glob("*/__init__.py"))
    modules = sorted(path.stem for path in _FOLDER.glob("test_*.py"))
    return [name for name in (*packages, *modules) if name not in _WITH_DOCKER]


def _trial(arguments: list[str], folder: str, output: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "twisted.trial", "--random=0", f"--temp-directory={folder}"]
    return subprocess.Popen([*command, *arguments], stdout=output, stderr=output)


def main(arguments: list[str]) -> int:
    """Run the tests; return trial's exit status, or that of the first of two that failed."""
    if arguments:
        return _trial(arguments, "_trial_temp").wait()
    with tempfile.TemporaryFile() as kept:
        beside = _trial([f"tests.{name}" for name in _WITH_DOCKER], "_trial_temp_docker", kept.fileno())
        first = _trial([f"tests.{name}" for name in _everything_else()], "_trial_temp").wait()
        second = beside.wait()
        kept.seek(0)
        sys.stdout.buffer.write(kept.read())
    return first or second


sys.exit(main(sys.argv[1:]))
