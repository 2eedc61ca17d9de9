"""Mends what libfaketime breaks in programs whose wall clock it sets: it refuses their `time.sleep`."""

import select
import time


def sleep(seconds: float) -> None:
    """Wait."""
    select.select([], [], [], seconds)


time.sleep = sleep  # type: ignore[assignment]
