"""All invariants by their names."""

from collections.abc import Callable, Mapping
from typing import Final

from dockerbroker.invariants.answers import i6, i7, i16
from dockerbroker.invariants.belongings import i1, i2, i3, i4
from dockerbroker.invariants.conduct import i12, i13, i14
from dockerbroker.invariants.progress import i5, i8, i10
from dockerbroker.invariants.snapshot import Snapshot

#: Each returns a sentence for each breach.
INVARIANTS: Final[Mapping[str, Callable[[Snapshot], list[str]]]] = {
    "I1": i1,
    "I2": i2,
    "I3": i3,
    "I4": i4,
    "I5": i5,
    "I6": i6,
    "I7": i7,
    "I8": i8,
    "I10": i10,
    "I12": i12,
    "I13": i13,
    "I14": i14,
    "I16": i16,
}


def breaches(world: Snapshot) -> list[str]:
    """Return a line for each breach of each invariant, such as `I4: port 20000 is reserved for nobody`."""
    return [f"{name}: {breach}" for name, check in INVARIANTS.items() for breach in check(world)]
