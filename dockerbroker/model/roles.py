"""Who may ask what: the roles of those who talk to the broker, and who somebody has shown to be."""

from enum import Enum

from attrs import frozen


class Role(Enum):
    """What somebody is to the broker; each path belongs to one of them."""

    PLATFORM = "platform"
    AGENT = "agent"
    ADMINISTRATOR = "administrator"


@frozen(kw_only=True)
class Principal:
    """Somebody who has shown who it is: the role in which it asks, and its user name.

    An agent with a `host` speaks for the Docker host of that `ServiceHost` alone.
    """

    role: Role
    name: str
    host: str = ""
