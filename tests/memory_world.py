"""What is in a Docker Engine in memory: images, containers and execs."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IReactorTime

from dockerbroker.errors import ExecutableOverrun
from dockerbroker.model.containers import Container, ContainerSpec, DockerImage, Volume

#: The exit status of what SIGKILL ended.
KILLED = 137

#: Exit status, standard output, standard error.
Printed = tuple[int, bytes, bytes]
#: What a command of an image does: it is given its input and its environment.
Script = Callable[[bytes, Mapping[str, str]], Printed | Awaitable[Printed]]


@define(kw_only=True)
class MemoryImage:
    """An image: its commands by first word, or by all words joined by blanks, and how it behaves.

    `exit_code` is that of a container that ends as soon as it is started; `startable` is false when its
    command cannot be run; `shell` is whether it has a `/bin/sh`, by which executions can be killed. `labels`
    are the image's own; `contents` is what new volumes get, by their paths in the container.
    """

    image: DockerImage
    scripts: dict[str, Script] = field(factory=dict)
    files: set[str] = field(factory=set)
    logs: str = ""
    exit_code: int | None = None
    startable: bool = True
    shell: bool = True
    labels: dict[str, str] = field(factory=dict)
    contents: dict[str, dict[str, bytes]] = field(factory=dict)


@define(kw_only=True, eq=False)
class MemoryVolume:
    """A volume of the engine; `contents` is what tests put into it, by path."""

    name: str
    labels: dict[str, str] = field(factory=dict)
    contents: dict[str, bytes] = field(factory=dict)

    def observed(self) -> Volume:
        """Return what Docker would tell of it."""
        return Volume(name=self.name, labels=dict(self.labels))


@define(kw_only=True, eq=False)
class MemoryContainer:
    """A container of the engine; `policy` is by what Docker would restart it.

    `anonymous` are the volumes that go with it, by path.
    """

    id: str
    spec: ContainerSpec
    image: MemoryImage
    running: bool = False
    paused: bool = False
    exit_code: int = 0
    policy: str = "no"
    logs: str = ""
    created_at: float = 0.0
    anonymous: dict[str, str] = field(factory=dict)

    @property
    def keeps_running(self) -> bool:
        """Whether Docker would restart it."""
        return self.policy != "no"

    @property
    def volumes(self) -> dict[str, str]:
        """All its volumes, by path."""
        return {**self.anonymous, **self.spec.volumes}

    def observed(self) -> Container:
        """Return what Docker would tell of it: a stopped container publishes nothing."""
        return Container(
            id=self.id,
            name=self.spec.name,
            image=self.spec.image,
            running=self.running,
            exit_code=self.exit_code,
            labels=dict(self.spec.labels),
            ports=dict(self.spec.ports) if self.running else {},
            created_at=self.created_at,
            volumes=self.volumes,
            paused=self.paused,
            configured=dict(self.spec.ports),
            is_kept=self.keeps_running,
        )


@define(kw_only=True, eq=False)
class MemoryExec:
    """An exec of the engine; `stdin` is what it was given."""

    id: str
    container: MemoryContainer
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: bytes | None = None
    running: bool = False
    exit_code: int | None = None
    work: Deferred[Printed] | None = None

    def kill(self) -> None:
        """End it as SIGKILL does."""
        if self.running and self.work is not None:
            self.work.cancel()

    async def finish(self) -> Printed:
        """Wait until it has ended, by itself or killed."""
        assert self.work is not None
        try:
            printed = await self.work
        except CancelledError:
            printed = (KILLED, b"", b"")
        self.running = False
        self.exit_code = printed[0]
        return printed


async def within(clock: IReactorTime, deadline: float, finish: Coroutine[Any, Any, Printed]) -> Printed:
    """Wait for the end, but no longer than the deadline: then raise `ExecutableOverrun`."""
    # The script goes on when the deadline passes, as a process in a container does.
    first: Deferred[Printed] = Deferred()

    def overrun() -> None:
        first.errback(ExecutableOverrun(f"The command did not end within {deadline:g} seconds.", ended=False))

    timer = clock.callLater(deadline, overrun)

    def ended(result: Any) -> None:
        if timer.active():
            timer.cancel()
            first.callback(result)

    ensureDeferred(finish).addBoth(ended)
    return await first


def deferred(printed: Printed | Awaitable[Printed]) -> Deferred[Printed]:
    """Return what a script returned, as a Deferred."""
    if isinstance(printed, Deferred):
        return printed
    if isinstance(printed, tuple):
        return succeed(printed)

    async def wait() -> Printed:
        return await printed

    return ensureDeferred(wait())
