"""What both programs have in common: their options, their refusals, their clock, their end."""

import atexit
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, NoReturn, TypeVar

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options, UsageError

from dockerbroker.errors import BrokerError

_Made = TypeVar("_Made")

_log = Logger()


class ProgramOptions(Options):
    """The options of a program; a wrong one is one sentence on standard error and exit status 1.

    twistd would print its help to standard output, and hide the sentence under it.
    """

    program: ClassVar[str]
    optParameters: ClassVar[list[list[Any]]] = [["config", "c", None, "The configuration file (required)."]]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the options, or leave with a sentence."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            refuse(self.program, f"{str(error).rstrip('.')}; twistd {self.program} --help tells the options.")

    def postOptions(self) -> None:
        """Require the configuration file."""
        if not self["config"]:
            raise UsageError("the option --config FILE is missing")

    def opt_version(self) -> NoReturn:
        """Display the version and exit."""
        sys.stdout.write(f"{self.program} {own_version()}\n")
        sys.exit(0)


def own_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("dockerbroker")
    except PackageNotFoundError:
        return "(run from a folder, without a version)"


def refuse(program: str, sentence: str) -> NoReturn:
    """Leave with one line on standard error and exit status 1.

    This must happen before twistd forks: afterwards nobody reads standard error, and the parent waits.
    """
    line = "".join(character if character.isprintable() else " " for character in sentence)
    raise SystemExit(f"{program}: {line}")


def make_or_refuse(program: str, make: Callable[[], _Made]) -> _Made:
    """Return what is made, or leave with the description of the `BrokerError` that stands in the way."""
    try:
        return make()
    except BrokerError as error:
        refuse(program, error.description)


def use_monotonic_clock(reactor: Any) -> None:
    """Let all timers run by a clock that nobody sets; to be called before the first one.

    The reactor's own is the time of day, and one step of it would fire or freeze every timer.
    """
    reactor.seconds = time.monotonic


def keep_what_is_loaded() -> None:
    """Spare the collector of garbage all that is there by now and stays: it would stop everything for long.

    A look at the objects of all modules takes many hundredths of a second, and comes when others want much.
    """
    gc.collect()
    gc.freeze()


def end_with_failure(reactor: Any, failure: Failure) -> None:
    """Tell the log why the program cannot go on, stop it in order, and leave with exit status 1."""
    if isinstance(failure.value, BrokerError):
        _log.critical("Cannot start: {sentence}", sentence=failure.value.description)
    else:
        _log.critical("Cannot start: {sentence}", sentence=failure.getErrorMessage())
        _log.failure("Cannot start", failure)
    # The reactor lets no exception through, and twistd would leave with status 0.
    atexit.register(_leave_with_failure)
    reactor.callWhenRunning(reactor.stop)


def _leave_with_failure() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
