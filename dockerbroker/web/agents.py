"""The path to which the agents of the Docker hosts ping."""

from typing import ClassVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from dockerbroker import wire
from dockerbroker.broker.pings import Pings
from dockerbroker.errors import BrokerError, Forbidden, MethodNotAllowed
from dockerbroker.model.agent_commands import AllowedCommands
from dockerbroker.model.docker_addresses import AllowedAddresses
from dockerbroker.model.floors import outdated
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.pings import decode_ping
from dockerbroker.model.roles import check_speaker
from dockerbroker.model.vitals import Ping
from dockerbroker.web.answers import answer, answer_error, answer_failure, body_of, send
from dockerbroker.web.client_certificates import request_certificate
from dockerbroker.web.entrance import peer_of
from dockerbroker.web.origins import origin_of
from dockerbroker.web.principals import principal_of


class Agents(Resource):
    """What agents talk to; with `keep_alive` all of them are asked for that interval between pings.

    With `refuses_outdated` nothing is placed on hosts whose Docker is too old to hold containers.
    No router stands before it: pings are most of all requests, and the path is known.
    """

    isLeaf = True
    served: ClassVar = (("POST", "/ping"),)

    def __init__(
        self,
        pings: Pings,
        addresses: AllowedAddresses,
        keep_alive: float | None = None,
        commands: AllowedCommands | None = None,
        *,
        refuses_outdated: bool = False,
    ) -> None:
        super().__init__()
        self._refuses_outdated = refuses_outdated
        self._commands = commands or AllowedCommands()
        self._pings = pings
        self._addresses = addresses
        self._keep_alive = keep_alive

    def render(self, request: Request) -> int:
        """Answer a ping when it is stored."""
        if request.method == b"POST":
            Deferred.fromCoroutine(self._answer(request))
        else:
            request.setHeader(b"allow", b"POST")
            send(request, answer_error(request, MethodNotAllowed("This path supports POST only.")))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        """Answer, unless the agent is gone; its ping is stored all the same."""
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            body = await self._ping(request)
        except BrokerError as error:
            body = answer_error(request, error)
        except Exception:  # noqa: BLE001 (whatever it is, the agent has an answer)
            body = answer_failure(request, Failure())
        if not gone:
            send(request, body)

    async def _ping(self, request: Request) -> bytes:
        """Store what an agent tells of its host.

        The answer names the interval for which the next ping is asked.
        """
        ping = evolve(
            decode_ping(wire.decode_object(body_of(request))),
            origin=origin_of(request),
            is_bound=bool(principal_of(request).host) or request_certificate(request) is not None,
        )
        try:
            self._check(request, ping.host)
        except Forbidden as error:
            await self._pings.refuse(ping, error.description)
            raise
        await self._pings.record(self._judged(ping))
        own = ping.own_keep_alive or ping.host.keep_alive
        return answer(request, 200, {"KeepAlive": self._keep_alive or own})

    def _judged(self, ping: Ping) -> Ping:
        """Return the ping as it counts: a host whose Docker is too old may be one with trouble."""
        sentence = outdated(ping.vitals) if self._refuses_outdated else ""
        if not sentence or ping.vitals.trouble:
            return ping
        return evolve(ping, vitals=evolve(ping.vitals, trouble=sentence))

    def _check(self, request: Request, host: DockerHost) -> None:
        """Raise `Forbidden` for what this agent must not say of that host."""
        check_speaker(principal_of(request), host.key.service_host)
        _check_certificate(request, host.key.service_host)
        self._addresses.check(host.key, peer_of(request))
        self._commands.check(host)


def _check_certificate(request: Request, service_host: str) -> None:
    """Raise `Forbidden` when the agent has shown a certificate that is not that of the host."""
    shown = request_certificate(request)
    if shown is not None and service_host.lower() not in shown.names:
        raise Forbidden(
            f"The certificate of this agent is that of {', '.join(sorted(shown.names)) or 'nobody'}, and not "
            f"of the Docker host {service_host!r}."
        )
