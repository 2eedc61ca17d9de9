"""`IEngine` on Docker Engine: docker-py in threads, with a limit per host and a deadline on every call."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, field
from docker.errors import APIError, NotFound
from zope.interface import implementer

from dockerbroker.engines import observations, translation
from dockerbroker.engines.address import DockerAddress, address_of, port_address
from dockerbroker.engines.client import Client
from dockerbroker.engines.configuration import configuration
from dockerbroker.engines.connections import Connections, Trust
from dockerbroker.engines.hijack import ExecStart
from dockerbroker.engines.interfaces import IEngine
from dockerbroker.engines.pool import Lane, Reactor
from dockerbroker.errors import EngineUnreachable, OutcomeUnknown
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    Container,
    ContainerSpec,
    DockerImage,
    ExecOutput,
    ExecState,
    Volume,
)
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.plans import RESTARTS
from dockerbroker.model.secrets import Secret
from dockerbroker.threads import DaemonThreadPool

#: Deadlines, in seconds. Stopping takes its grace, and removing then as long as looking.
_CREATE = 20.0
_START = 30.0
_LOOK = 10.0
_STOP = 5.0
#: How long a change waits for its turn while others on the host are under way, in seconds.
_TURN = 30.0
#: Looks, changes and execs have places of their own.
_LANES = 3
#: How many volumes are copied at once, to and from all hosts.
MOST_COPIES = 8
#: What a start of an exec may take beyond the command's own deadline: beginning, and looking at its end.
_AROUND_EXEC = 10.0
_POLL = 0.1
_CONFLICT = 409

T = TypeVar("T")


@implementer(IEngine)
@define(eq=False)
class DockerEngine:
    """The Docker Engine of one host.

    Execs have a lane of their own, since they last as long as the image's executables do, and so have
    changes, since a container may be slow to stop: neither must keep the host from being looked at. Ports are
    published at `port_address`, or where Docker does it by itself when that is empty.
    """

    address: DockerAddress
    calls: Lane
    changes: Lane
    execs: Lane
    connections: Connections
    port_address: str = ""

    async def image(self, reference: str) -> DockerImage:
        """Return what the host knows of the image; see `IEngine.image`."""
        return await self._ask(
            _LOOK, lambda client: observations.image(reference, client.inspect_image(reference))
        )

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container; see `IEngine.create`."""

        def ask(client: Client) -> str:
            body = configuration(client, spec, self.port_address)
            answer = client.create_container_from_config(body, spec.name)
            return _text(answer["Id"])

        return await self._change(_CREATE, ask)

    async def start(self, container_id: str) -> None:
        """Start the container; see `IEngine.start`."""
        await self._change(_START, lambda client: client.start(container_id))

    async def stop(self, container_id: str, *, grace: float) -> None:
        """Stop the container; see `IEngine.stop`."""

        def ask(client: Client) -> None:
            # By the policy `always` Docker would start it again whenever the engine is restarted.
            client.update_container(container_id, restart_policy=_policy("no"))
            client.stop(container_id, timeout=math.ceil(grace))

        await self._change(math.ceil(grace) + _STOP, ask)

    async def keep_running(self, container_id: str, policy: str = RESTARTS[0]) -> None:
        """Let Docker restart the container; see `IEngine.keep_running`."""
        await self._ask(
            _LOOK, lambda client: client.update_container(container_id, restart_policy=_policy(policy))
        )

    async def inspect(self, container_id: str) -> Container | None:
        """Return what is observed of the container; see `IEngine.inspect`."""

        def ask(client: Client) -> Container | None:
            inspected = _inspected(client, container_id)
            return None if inspected is None else observations.container(inspected)

        return await self._ask(_LOOK, ask)

    async def containers(self, cluster_id: str) -> list[Container]:
        """Return every container of the cluster; see `IEngine.containers`."""
        filters = {"label": f"{LABEL_CLUSTER}={cluster_id}"}
        return await self._ask(
            _LOOK,
            lambda client: [
                observations.listed(item) for item in client.containers(all=True, filters=filters)
            ],
        )

    async def logs(self, container_id: str, lines: int) -> str:
        """Return the last lines that the container printed; see `IEngine.logs`."""

        def ask(client: Client) -> str:
            printed: bytes = client.logs(container_id, stdout=True, stderr=True, tail=lines)
            return printed.decode("utf-8", "replace")

        return await self._ask(_LOOK, ask)

    async def remove(self, container_id: str, *, grace: float) -> None:
        """Stop and remove the container; see `IEngine.remove`."""

        def ask(client: Client) -> None:
            if grace > 0:
                _ignoring_absence(lambda: client.stop(container_id, timeout=math.ceil(grace)))
            _ignoring_absence(lambda: client.remove_container(container_id, v=True, force=True))
            while _inspected(client, container_id) is not None:
                if time.monotonic() > client.until:
                    raise OutcomeUnknown(f"The Docker host {self.address} is still removing the container.")
                time.sleep(_POLL)

        await self._change(math.ceil(grace) + _STOP + _LOOK, ask)

    async def volumes(self, cluster_id: str) -> list[Volume]:
        """Return every volume of the cluster; see `IEngine.volumes`."""
        filters = {"label": f"{LABEL_CLUSTER}={cluster_id}"}
        return await self._ask(_LOOK, lambda client: observations.volumes(client.volumes(filters=filters)))

    async def remove_volume(self, name: str) -> None:
        """Remove the volume; see `IEngine.remove_volume`."""
        await self._change(_LOOK, lambda client: _ignoring_absence(lambda: client.remove_volume(name)))

    async def has_file(self, container_id: str, path: str) -> bool:
        """Whether the container has something at the path; see `IEngine.has_file`."""
        return await self._ask(_LOOK, lambda client: client.knows_path(container_id, path))

    async def create_exec(
        self, container_id: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> str:
        """Prepare a command; see `IEngine.create_exec`."""

        def ask(client: Client) -> str:
            answer = client.exec_create(
                container_id, list(command), stdin=True, environment=dict(environment)
            )
            return _text(answer["Id"])

        return await self._ask(_LOOK, ask)

    async def start_exec(
        self, exec_id: str, stdin: Secret[bytes], *, limit: int, deadline: float
    ) -> ExecOutput:
        """Run a prepared exec; see `IEngine.start_exec`."""

        def look(wanted: str) -> Mapping[str, Any]:
            inspected: Mapping[str, Any] = self.connections.clients.ask(
                lambda client: client.exec_inspect(wanted), _AROUND_EXEC / 2
            )
            return inspected

        def call(remaining: float) -> ExecOutput:
            seconds = remaining - _AROUND_EXEC
            if seconds <= 0:
                raise EngineUnreachable(f"The Docker host {self.address} is busy with other commands.")
            clients = self.connections.clients
            start = ExecStart(
                address=clients.address,
                version=clients.version(_AROUND_EXEC / 2),
                look=look,
                exec_id=exec_id,
                limit=limit,
                until=time.monotonic() + seconds,
                deadline=deadline,
            )
            try:
                return start.run(stdin)
            except (KeyError, TypeError, ValueError) as error:
                raise translation.malformed(str(self.address), repr(error)) from error

        await self.connections.renew()
        return await self.execs.run(deadline + _AROUND_EXEC, call)

    async def inspect_exec(self, exec_id: str) -> ExecState:
        """Return what is observed of the exec; see `IEngine.inspect_exec`."""
        return await self._ask(_LOOK, lambda client: observations.exec_state(client.exec_inspect(exec_id)))

    async def _change(self, deadline: float, question: Callable[[Client], T]) -> T:
        await self.connections.renew()
        # Containers that are slow to stop must keep nobody from looking, and others wait for their turn.
        return await self.changes.run(
            deadline, lambda remaining: self.connections.clients.ask(question, remaining), patience=_TURN
        )

    async def _ask(self, deadline: float, question: Callable[[Client], T]) -> T:
        await self.connections.renew()
        return await self.calls.run(
            deadline, lambda remaining: self.connections.clients.ask(question, remaining)
        )


def _policy(name: str) -> Any:
    return {"Name": name}


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("no id")
    return value


def _inspected(client: Client, container_id: str) -> Mapping[str, Any] | None:
    try:
        inspected: Any = client.inspect_container(container_id)
    except NotFound:
        return None
    if not isinstance(inspected, dict):
        raise TypeError("no container")
    return inspected


def _ignoring_absence(call: Callable[[], object]) -> None:
    try:
        call()
    except NotFound:
        return
    except APIError as error:
        # Somebody else removes it, and it will be gone soon.
        if error.status_code != _CONFLICT or "already in progress" not in str(error.explanation):
            raise


async def _no_certificate(_host: DockerHost) -> HostCertificate | None:
    return None


@define(eq=False)
class DockerEngines:
    """The `Engines` of a fleet: an engine per address, in one pool of threads that grows with the fleet.

    Each host has places for `per_host` changes, as many looks and as many execs, and the pool has room for
    all of them, so that hosts which hang take nothing from the others. `trust` finds the certificate of a
    host at each call; `allows_plain` is whether Docker may be reached without TLS over a network. With
    `narrow_ports` ports are published at the host's service address alone, where that is no name.
    """

    reactor: Reactor
    threads: DaemonThreadPool
    per_host: int = 4
    trust: Trust = _no_certificate
    allows_plain: bool = False
    narrow_ports: bool = False
    _engines: dict[tuple[DockerAddress, str], DockerEngine] = field(factory=dict, init=False)

    def __call__(self, host: DockerHost) -> DockerEngine:
        """Return the host's engine, the same one as long as its address is the same."""
        address = address_of(host)
        place = address, port_address(host) if self.narrow_ports else ""
        if place not in self._engines:
            self._engines[place] = self._engine(host, *place)
        return self._engines[place]

    async def close(self) -> None:
        """Close all connections; calls that are under way keep theirs until they return."""
        for engine in self._engines.values():
            engine.connections.close()

    def _engine(self, host: DockerHost, address: DockerAddress, published_at: str) -> DockerEngine:
        room = _LANES * self.per_host * (len(self._engines) + 1) + MOST_COPIES
        self.threads.adjustPoolsize(0, max(room, self.threads.max))
        return DockerEngine(
            address=address,
            calls=Lane(self.reactor, self.threads, self.per_host, str(address)),
            changes=Lane(self.reactor, self.threads, self.per_host, str(address)),
            execs=Lane(self.reactor, self.threads, self.per_host, str(address)),
            connections=Connections(host, self.trust, self.allows_plain),
            port_address=published_at,
        )
