"""How many connections a broker takes."""

from typing import Final

from attrs import frozen

#: Enough for a platform whose requests all come from one router, and for a large fleet of agents.
DEFAULT_PER_PEER: Final = 512
DEFAULT_IN_ALL: Final = 4096


@frozen(kw_only=True)
class ConnectionLimits:
    """How many connections there may be from one address, and in all."""

    per_peer: int = DEFAULT_PER_PEER
    in_all: int = DEFAULT_IN_ALL
