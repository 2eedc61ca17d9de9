"""What must always be true of rows, containers and answers, as functions of what was seen."""

from dockerbroker.invariants.checks import INVARIANTS, breaches
from dockerbroker.invariants.gathering import gather
from dockerbroker.invariants.history import Event, read_history
from dockerbroker.invariants.snapshot import HostView, Run, Sample, Snapshot

__all__ = [
    "INVARIANTS",
    "Event",
    "HostView",
    "Run",
    "Sample",
    "Snapshot",
    "breaches",
    "gather",
    "read_history",
]
