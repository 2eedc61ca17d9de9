"""Runs tests by trial, in random order: `python -m tests [TRIAL_ARGUMENT...]`.

Without arguments all of them run: four processes beside each other, which take about as long as one another.
Each has servers and engines of its own, so tests that need the same ones stay together.
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
#: What three processes run: packages, and modules of packages of which another process has the rest.
_BESIDE: Final = (
    ("integration",),
    (
        "drivers",
        "fleet",
        "persisters",
        "servers",
        "integration.test_many_brokers",
        "integration.test_rolling",
        "integration.test_schema",
    ),
    ("command", "contracts", "faults", "races"),
)


def _modules(name: str) -> list[str]:
    """Return the test modules of a package, or the module that this is."""
    folder = _FOLDER.joinpath(*name.split("."))
    found = sorted(path.stem for path in folder.glob("test_*.py"))
    return [f"{name}.{module}" for module in found] or [name]


def _shared_out() -> list[list[str]]:
    """Return the modules of each process; the first has whatever no other one has."""
    named = {name for names in _BESIDE for name in names}
    beside = [
        [module for name in names for module in _modules(name) if module == name or module not in named]
        for names in _BESIDE
    ]
    taken = {module for modules in beside for module in modules}
    packages = sorted(path.parent.name for path in _FOLDER.glob("*/__init__.py"))
    every = [module for package in packages for module in _modules(package) if module != package]
    every += sorted(path.stem for path in _FOLDER.glob("test_*.py"))
    return [[module for module in every if module not in taken], *beside]


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
    first, *others = _shared_out()
    with ExitStack() as stack:
        kept = [stack.enter_context(tempfile.TemporaryFile()) for _ in others]
        beside = [
            _trial(modules, f"_trial_temp_{number}", output)
            for number, (modules, output) in enumerate(zip(others, kept, strict=True), 1)
        ]
        statuses = [_trial(first, "_trial_temp").wait(), *(each.wait() for each in beside)]
        for output in kept:
            output.seek(0)
            sys.stdout.buffer.write(output.read())
    return next(filter(None, statuses), 0)


sys.exit(main(sys.argv[1:]))
