"""Waiting for what other processes do, within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable

#: How long anything may take, in seconds, on a machine that is busy with other things; only waited for when
#: something is wrong.
PATIENCE = 120.0

#: The pause between two looks, in seconds, where nothing else is said.
SHORT_PAUSE = 0.02


def comes_true(condition: Callable[[], bool], seconds: float = PATIENCE, pause: float = SHORT_PAUSE) -> bool:
    """Wait for the condition, at most so many seconds; whether it came true.

    Between two looks there is a `pause`, in seconds: a look may take others' time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def poll(condition: Callable[[], bool], complaint: Callable[[], str], pause: float = SHORT_PAUSE) -> None:
    """Wait for the condition; fails with the complaint when that takes too long."""
    if not comes_true(condition, pause=pause):
        raise AssertionError(complaint())
