"""Who may ask what: the roles of those who talk to the broker, and who somebody has shown to be."""

from enum import Enum

from attrs import frozen

from dockerbroker.errors import Forbidden


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


def check_speaker(principal: Principal, service_host: str) -> None:
    """Raise `Forbidden` when somebody must not speak for the Docker host of that `ServiceHost`."""
    if principal.host not in {"", service_host}:
        raise Forbidden(
            f"The credentials of this agent are for the Docker host {principal.host!r} and for no other one."
        )
