"""The closed list of what can go wrong, in the words of the Open Service Broker API and of Docker.

No HTTP in here: `dockerbroker.web.osb` holds the one table from these classes to status codes.
Every error carries a `description`: one sentence or two that a person reads in `cf service` and can act on.
It never holds a secret.
"""


class BrokerError(Exception):
    """Something went wrong, and the description says what and what to do about it."""

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


class InvalidRequest(BrokerError):
    """The request is malformed, incomplete, or asks for something that the catalog does not offer."""


class Unauthenticated(BrokerError):
    """The request does not carry credentials that this broker knows."""


class Forbidden(BrokerError):
    """The request asks for something that the operator does not allow to whoever asks."""


class PreconditionFailed(BrokerError):
    """What is stored is not what the change was decided on: somebody else was there first."""


class TooManyRequests(BrokerError):
    """Whoever asks has to wait; `retry_after` is for how many seconds."""

    def __init__(self, description: str, *, retry_after: int) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class UnsupportedVersion(BrokerError):
    """The request does not name a version of the API that this broker speaks."""


class NotFound(BrokerError):
    """The named thing does not exist."""


class MethodNotAllowed(BrokerError):
    """The path exists but does not support this method."""


class TooLarge(BrokerError):
    """The request's body is larger than this broker reads."""


class TooSlow(BrokerError):
    """The request arrives so slowly that this broker does not wait for the rest of it."""


class TargetTooLong(BrokerError):
    """The request's target is longer than this broker reads."""


class HeadTooLarge(BrokerError):
    """The request has more headers, or longer ones, than this broker reads."""


class UnsupportedContent(BrokerError):
    """The request's body says that it is compressed, or no JSON."""


class Gone(BrokerError):
    """The instance or binding that is to be deleted does not exist, or not any more."""


class Conflict(BrokerError):
    """The identifier is in use with other attributes, or what is to be removed is still in use."""


class ConcurrencyError(BrokerError):
    """Another operation holds the instance (OSB error code `ConcurrencyError`)."""


class AsyncRequired(BrokerError):
    """The work cannot be done within the request, which must allow that (OSB error code `AsyncRequired`)."""


class UpdateRefused(BrokerError):
    """The service instance cannot be changed in this way, or not in its present state."""


class MaintenanceInfoConflict(BrokerError):
    """The asked version of a plan is not the catalog's (OSB error code `MaintenanceInfoConflict`)."""


class NoCapacity(BrokerError):
    """No Docker host can take the instance now."""


class NoPort(NoCapacity):
    """Too few of a host's ports are free."""


class Unavailable(BrokerError):
    """Something that the broker itself depends on, such as its database, does not answer."""


class Unreadable(Unavailable):
    """A record of the database cannot be read; `id` is that of the record, empty if it has none."""

    def __init__(self, description: str, record_id: str = "") -> None:
        """Remember which record it is: whoever goes through all of them leaves it out."""
        super().__init__(description)
        self.id = record_id


class OperationFailed(BrokerError):
    """The operation was begun, and failed; what it had made is undone or is being undone.

    `instance_usable` tells of an update or deprovision whether the instance can still be used, and
    `update_repeatable` of an update whether it may be tried again; None is unsaid.
    """

    def __init__(
        self,
        description: str,
        *,
        instance_usable: bool | None = None,
        update_repeatable: bool | None = None,
    ) -> None:
        super().__init__(description)
        self.instance_usable = instance_usable
        self.update_repeatable = update_repeatable


class InvalidConfiguration(BrokerError):
    """A configuration file cannot be used; the description holds every complaint, each with its key."""


# What a persister says.


class AlreadyExists(BrokerError):
    """The record is there already; somebody else won the race for its identifier."""


class Busy(BrokerError):
    """Another operation holds the instance."""


class PortLeased(BrokerError):
    """One of the ports is leased to another instance of the same host."""


class HostFull(BrokerError):
    """Others have reserved what was left of the host, or it may not be used; whoever asks looks again."""


class LostLease(BrokerError):
    """Somebody else has taken the operation over; nothing was written."""


# What an engine says. All but `OutcomeUnknown` are known results.


class EngineError(BrokerError):
    """Docker refused or failed; nothing was changed."""


class NotThere(EngineError):
    """Docker does not know the named container, exec or file."""


class NoImage(EngineError):
    """The image is not on that host."""


class NameTaken(EngineError):
    """Another container bears the name."""


class HostPortTaken(EngineError):
    """Another process or container of the host listens on one of the ports; the container did not start."""


class BadCommand(EngineError):
    """The container's or exec's command cannot be run."""


class DiskFull(EngineError):
    """The disk of the host has no space left."""


class NotRunning(EngineError):
    """The container does not run, so that nothing can be executed in it."""


class EngineUnreachable(EngineError):
    """No connection to the engine could be made; it has not seen the request."""


class OutcomeUnknown(EngineError):
    """The deadline passed or the reply was lost: the engine may or may not have done it. Look."""


# What an executable of a service image says.


class ExecutableFailed(BrokerError):
    """The executable answered with a failure, or with output that breaks its contract."""


class ExecutableOverrun(ExecutableFailed):
    """The executable passed its deadline or its output limit and had to be ended.

    `ended` is true when every process of it is known to be gone.
    """

    def __init__(self, description: str, *, ended: bool) -> None:
        super().__init__(description)
        self.ended = ended
