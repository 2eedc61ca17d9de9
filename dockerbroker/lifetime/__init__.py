"""How a program lives: what it refuses to start with, in which order its parts start, and how they end."""

from dockerbroker.lifetime.addresses import check_endpoint
from dockerbroker.lifetime.children import in_child
from dockerbroker.lifetime.files import room_for
from dockerbroker.lifetime.hardening import check_user, keep_memory_private
from dockerbroker.lifetime.listening import listen
from dockerbroker.lifetime.opening import Opening
from dockerbroker.lifetime.pools import names_stage, pool_stage
from dockerbroker.lifetime.program import (
    ProgramOptions,
    end_with_failure,
    keep_what_is_loaded,
    make_or_refuse,
    use_monotonic_clock,
)
from dockerbroker.lifetime.stages import Lifetime, Stage

__all__ = [
    "Lifetime",
    "Opening",
    "ProgramOptions",
    "Stage",
    "check_endpoint",
    "check_user",
    "end_with_failure",
    "in_child",
    "keep_memory_private",
    "keep_what_is_loaded",
    "listen",
    "make_or_refuse",
    "names_stage",
    "pool_stage",
    "room_for",
    "use_monotonic_clock",
]
