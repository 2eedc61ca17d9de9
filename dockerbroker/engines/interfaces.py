"""The seam between the broker and Docker."""

from collections.abc import Callable, Mapping, Sequence

from zope.interface import Interface

from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.containers import (
    Container,
    ContainerSpec,
    DockerImage,
    ExecOutput,
    ExecState,
    Volume,
    VolumePlace,
)
from dockerbroker.model.executables import Execution, ExecutionResult
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.secrets import Secret
from dockerbroker.model.vitals import Vitals


class IEngine(Interface):
    """The Docker Engine of one host.

    Every call has a deadline of its own and raises an `EngineError`: `EngineUnreachable` when the engine has
    not seen the request, `OutcomeUnknown` when it may have done it, the others when it refused. Containers
    are named by id or name.
    """

    async def image(reference: str) -> DockerImage:
        """Return what the host knows of the image.

        Raises `NoImage`, or `EngineError` when the image bears labels of the broker's own, which containers
        inherit.
        """

    async def create(spec: ContainerSpec) -> str:
        """Create a container without starting it and return its id.

        Its volumes are made with it, labelled, in the same call; a volume that exists keeps its data and its
        labels. Raises `NameTaken` when a container of that name exists, `NoImage`, `DiskFull`, or
        `BadCommand`. It is not restarted when it ends, until `keep_running` is called.
        """

    async def start(container_id: str) -> None:
        """Start a container; one that runs already is left as it is.

        Raises `HostPortTaken` when a port is in use on the host, `DiskFull`, `BadCommand`, or `NotThere`.
        """

    async def stop(container_id: str, *, grace: float) -> None:
        """Stop a container, killing it after `grace` seconds; one that does not run is left as it is.

        Docker does not restart it afterwards, whatever its policy was. Raises `NotThere`.
        """

    async def keep_running(container_id: str, policy: str = "unless-stopped") -> None:
        """Let Docker restart the container by one of the policies of `RESTARTS`; raises `NotThere`.

        By the first of them it is restarted whenever it ends, unless somebody stops it.
        """

    async def inspect(container_id: str) -> Container | None:
        """Return what is observed of the container, or None when there is none."""

    async def containers(cluster_id: str) -> list[Container]:
        """Return every container that bears the cluster's label, whether it runs or not."""

    async def logs(container_id: str, lines: int) -> str:
        """Return the last lines that the container printed; raises `NotThere`."""

    async def remove(container_id: str, *, grace: float) -> None:
        """Stop a container, killing it after `grace` seconds, and remove it with its anonymous volumes.

        Volumes with names stay. A container that is gone already is no error.
        """

    async def volumes(cluster_id: str) -> list[Volume]:
        """Return every volume that bears the cluster's label, whether a container uses it or not."""

    async def remove_volume(name: str) -> None:
        """Remove a volume with all its data; one that is gone already is no error.

        Raises `EngineError`, saying so, when a container uses it, be it one that does not run.
        """

    async def has_file(container_id: str, path: str) -> bool:
        """Whether the container's file system has something at the absolute path; raises `NotThere`."""

    async def create_exec(container_id: str, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """Prepare a command in a running container and return the exec's id; nothing is run yet.

        Raises `NotThere` or `NotRunning`.
        """

    async def start_exec(exec_id: str, stdin: Secret[bytes], *, limit: int, deadline: float) -> ExecOutput:
        """Run a prepared exec: send the input, close it, and read the output until the command has ended.

        At most `limit` bytes of standard output are read: beyond, and also when `deadline` seconds have
        passed, `ExecutableOverrun` is raised (`ended` is false: Docker cannot kill an exec). An exec is run
        at most once: a second start raises `BadCommand`, as does a command that cannot be run.
        """

    async def inspect_exec(exec_id: str) -> ExecState:
        """Return whether the exec runs, and its exit status; raises `NotThere`."""


class IExecutor(Interface):
    """A way of running an executable of a service image in its container.

    The two halves are apart, so that the exec's id can be stored before anything is run.
    """

    async def prepare(execution: Execution) -> str:
        """Prepare the run and return an id that can be run at most once; raises an `EngineError`."""

    async def run(exec_id: str, execution: Execution) -> ExecutionResult:
        """Run it and return how it ended, whatever its exit status.

        Raises `ExecutableOverrun` when the deadline or the output limit was passed, after everything that
        bears the execution's marker was killed (`ended` tells whether that is certain), and also when the
        run may still go on although nobody listens to it. Raises an `EngineError` when it could not be run or
        its outcome is unknown.
        """

    async def end(container_id: str, marker: str) -> bool:
        """Kill whatever bears the marker in the container; returns whether it is certain that nothing does.

        For a run whose broker died: nobody else knows whether it still goes on.
        """


class ICopies(Interface):
    """Copies what is in volumes from one host to another.

    Both raise `NotThere` for a container or path that is not there, and `EngineUnreachable` or
    `OutcomeUnknown` when a host does not answer, or is silent for too long in the midst of it.
    """

    async def is_empty(place: VolumePlace) -> bool:
        """Return whether nothing is in the volume but folders, in which other volumes may be mounted."""

    async def copy(source: VolumePlace, target: VolumePlace, told: Callable[[int], object]) -> None:
        """Copy all that is in a volume into another one, which is empty, and compare what is there then.

        With it go volumes that are mounted within it. Names, kinds, modes, owners, times in seconds, sizes
        and contents are as they were; neither container may run, and the path is the same in both. It takes
        as long as it takes: `told` is called now and then with the bytes that were copied.
        Cancelling it ends it soon, with the target unfinished. Raises `EngineError` when the two differ.
        """


class IProbe(Interface):
    """The Docker Engine of the agent's own host, as far as the agent tells of it."""

    async def look() -> Vitals:
        """Return how the engine and its machine are, without trouble and what is the agent's own.

        The session of the engine is another one when that was restarted since the look before, and seldom
        otherwise. The look has a deadline of its own, and raises an `EngineError` when the engine does not
        answer, not in time or not well.
        """

    async def close() -> None:
        """Close the connections to the engine."""


#: Returns the engine of a host.
Engines = Callable[[DockerHost], IEngine]
#: Returns the executor that a host's agent asks for.
Executors = Callable[[DockerHost], IExecutor]


class ITrials(Interface):
    """Whether a certificate opens the Docker Engine of a host."""

    def check(certificate: HostCertificate) -> None:
        """Raise `InvalidRequest` when no connection can be made with the certificate at all."""

    async def attempt(host: DockerHost, certificate: HostCertificate) -> None:
        """Connect to the host's engine with that certificate, and to no other; it may have another one now.

        Raises an `EngineError` that says why it cannot be used: neither side accepts the other, or nobody
        answers within a few seconds.
        """
