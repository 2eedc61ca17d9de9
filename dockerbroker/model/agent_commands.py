"""Which commands agents may have run on the broker's machine."""

from collections.abc import Iterable

from attrs import frozen

from dockerbroker.errors import Forbidden
from dockerbroker.model.hosts import DOCKER_COMMAND_EXEC, DockerHost, split_arguments
from dockerbroker.model.members import shown


@frozen
class AllowedCommands:
    """The commands that agents may ask for by their `ExecArgs`, each as a whole, word for word.

    Without words of an agent it is `docker-enter` of the broker's machine that runs, and always allowed.
    """

    commands: frozenset[tuple[str, ...]] = frozenset()

    def allows(self, host: DockerHost) -> bool:
        """Return whether the executables of the host may run in the way that its agent asks for."""
        is_command = host.exec_command == DOCKER_COMMAND_EXEC and host.exec_arguments
        return not is_command or host.exec_arguments in self.commands

    def check(self, host: DockerHost) -> None:
        """Raise `Forbidden` when they may not."""
        if not self.allows(host):
            raise Forbidden(
                f"The ExecArgs {shown(','.join(host.exec_arguments))} of an agent name a command on the "
                "broker's machine that is not among the execcommands of the broker's configuration."
            )


def read_commands(entries: Iterable[str]) -> AllowedCommands:
    """Return what a configuration allows: each entry is written as in `ExecArgs`."""
    return AllowedCommands(frozenset(map(split_arguments, entries)))
