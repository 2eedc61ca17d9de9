"""How a program lives: what it refuses to start with, in which order its parts start, and how they end."""

from dockerbroker.lifetime.pools import DaemonThreadPool, names_stage, pool_stage
from dockerbroker.lifetime.program import (
    ProgramOptions,
    end_with_failure,
    make_or_refuse,
    use_monotonic_clock,
)
from dockerbroker.lifetime.stages import Lifetime, Stage

__all__ = [
    "DaemonThreadPool",
    "Lifetime",
    "ProgramOptions",
    "Stage",
    "end_with_failure",
    "make_or_refuse",
    "names_stage",
    "pool_stage",
    "use_monotonic_clock",
]
