"""The resource tree: which API a path belongs to, and what is checked before any route sees a request."""

import unicodedata
from collections.abc import Callable

from attrs import define, evolve, fields, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from dockerbroker.broker.administration import Administration
from dockerbroker.broker.authentication import Authenticator
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.credentials import Admission
from dockerbroker.broker.service import ServiceBroker
from dockerbroker.broker.sweeping import Sweeps
from dockerbroker.errors import BrokerError, InvalidRequest, Unavailable
from dockerbroker.model.connections import ConnectionLimits
from dockerbroker.model.roles import Principal, Role
from dockerbroker.web.administration import Administrators
from dockerbroker.web.agents import Agents
from dockerbroker.web.answers import answer_error, answer_failure, without_body
from dockerbroker.web.apis import Api, api_of
from dockerbroker.web.auth import check_version
from dockerbroker.web.certificates import CertificateRoutes
from dockerbroker.web.entrance import Entrance
from dockerbroker.web.guard import GuardedRequest, GuardedSite
from dockerbroker.web.health import Ask, Health
from dockerbroker.web.identity import ORIGINATING_IDENTITY, REQUEST_IDENTITY, originating_identity
from dockerbroker.web.operators import make_sections
from dockerbroker.web.osb_requests import check_identifier
from dockerbroker.web.page import CatalogPage
from dockerbroker.web.platform import Platform
from dockerbroker.web.principals import let_in
from dockerbroker.web.routes import Route, routes_of
from dockerbroker.web.sections import Sections, is_section
from dockerbroker.web.tls import ShownCertificate


def _no_shortcut(request: Request) -> None:
    del request


@frozen
class Gate:
    """One API: its routes, through which entrance one comes to them, if any, and whether it is versioned.

    `shortcut` returns the body of a 200 for requests that need no route, None for all others.
    """

    routes: IResource
    entrance: Entrance | None = None
    is_versioned: bool = False
    shortcut: Callable[[Request], bytes | None] = _no_shortcut

    @property
    def role(self) -> Role | None:
        """Whose API it is; nobody's that has no entrance."""
        return None if self.entrance is None else self.entrance.role


@frozen(kw_only=True)
class Gates:
    """The gates of the APIs."""

    platform: Gate
    agents: Gate
    certificates: Gate
    sections: Gate
    administrators: Gate

    @classmethod
    def closed(cls, authenticator: Authenticator) -> "Gates":
        """Return gates behind which nobody answers yet."""
        administrators = Gate(_Closed(), Entrance(authenticator, Role.ADMINISTRATOR))
        return cls(
            platform=Gate(_Closed(), Entrance(authenticator, Role.PLATFORM), is_versioned=True),
            agents=Gate(_Closed(), Entrance(authenticator, Role.AGENT)),
            # An agent brings the certificate by which its host is reached.
            certificates=Gate(_Closed(), Entrance(authenticator, Role.ADMINISTRATOR, {b"PUT": Role.AGENT})),
            sections=administrators,
            administrators=administrators,
        )


class _Closed(Resource):
    """Stands where the routes will be when the database is open."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Refuse the request."""
        error = Unavailable("The broker's database does not answer yet; try again later.")
        return without_body(request, answer_error(request, error))


@define(eq=False)
class Root(Resource):
    """Sends each request through the gate of its API; with a `refusal` only those of health are let in."""

    gates: Gates
    health: Gate
    refusal: str | None = None

    isLeaf = True

    def __attrs_pre_init__(self) -> None:
        """Initialize the resource."""
        Resource.__init__(self)

    def render(self, request: Request) -> bytes | int:
        """Answer the request, or let its route answer."""
        request.setHeader(b"server", b"dockerbroker")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-type", b"application/json")
        if identity := request.requestHeaders.getRawHeaders(REQUEST_IDENTITY):
            request.setHeader(REQUEST_IDENTITY, identity[0])
        gate = self._gate(_segments(request))
        if gate.entrance is None:
            return self._admit(request, gate)
        principal = gate.entrance.known(request)
        if principal is None:
            Deferred.fromCoroutine(self._ask(request, gate, gate.entrance))
            return NOT_DONE_YET
        _let_in(request, principal)
        return self._admit(request, gate)

    async def _ask(self, request: Request, gate: Gate, entrance: Entrance) -> None:
        """Answer the request when it is known who asks."""
        # Also with an answer: it is refused when too many bodies wait.
        gone: list[Failure | None] = []
        request.notifyFinish().addBoth(gone.append)
        try:
            principal = await entrance.ask(request)
            if gone:
                return
            _let_in(request, principal)
            body = self._admit(request, gate)
        except BrokerError as error:
            body = without_body(request, answer_error(request, error))
        except Exception:  # noqa: BLE001 (whatever it is, the client has an answer)
            body = without_body(request, answer_failure(request, Failure()))
        if isinstance(body, bytes) and not gone:
            if request.method != b"HEAD":
                request.setHeader(b"content-length", b"%d" % len(body))
            request.write(body)
            request.finish()

    def _admit(self, request: Request, gate: Gate) -> bytes | int:
        """Answer the request of somebody who may ask, or let its route answer."""
        segments = _segments(request)
        try:
            if gate.is_versioned:
                check_version(request.requestHeaders.getRawHeaders(b"x-broker-api-version", []))
            if self.refusal is not None and gate is not self.health:
                raise Unavailable(self.refusal)
            _check_path(segments)
            originating_identity(request.requestHeaders.getRawHeaders(ORIGINATING_IDENTITY, []))
        except BrokerError as error:
            return without_body(request, answer_error(request, error))
        if (body := gate.shortcut(request)) is not None:
            return body
        rendered: bytes | int = gate.routes.render(request)
        return rendered

    def _gate(self, segments: list[bytes]) -> Gate:
        # The same that has decided how large its body may be.
        api, gates = api_of(segments), self.gates
        if api is Api.PLATFORM:
            return gates.platform
        if api is Api.AGENTS:
            return gates.agents
        if api is Api.HEALTH:
            return self.health
        if api is Api.CERTIFICATES:
            return gates.certificates
        return gates.sections if is_section(segments) else gates.administrators


def _let_in(request: Request, principal: Principal) -> None:
    """Remember who asks; the body does not count among those of strangers any more."""
    let_in(request, principal)
    if isinstance(request, GuardedRequest):
        request.let_in()


def _segments(request: Request) -> list[bytes]:
    segments: list[bytes] = request.postpath or [b""]
    return segments


def _check_path(segments: list[bytes]) -> None:
    """Raise `InvalidRequest` for what Klein would answer with plain text or take for another path."""
    try:
        texts = [segment.decode("utf-8") for segment in segments]
    except UnicodeDecodeError:
        raise InvalidRequest("The path is not valid UTF-8.") from None
    if texts[:2] == ["v2", "service_instances"]:
        for text in texts[2:3]:
            check_identifier("instance id", text)
        for text in texts[4:5] if texts[3:4] == ["service_bindings"] else []:
            check_identifier("binding id", text)
    path = "".join(texts)
    # Nearly every path is printable, which is quickly found out.
    if not path.isprintable() and any(unicodedata.category(character) == "Cc" for character in path):
        raise InvalidRequest("The path holds a control character.")


@frozen(kw_only=True)
class Apis:
    """What answers requests while the database is open; `ask` asks the database something."""

    platform: Platform
    agents: Agents
    certificates: CertificateRoutes
    sections: Sections
    administrators: Administrators
    ask: Ask


def make_apis(
    reactor: IReactorTime,
    broker: ServiceBroker,
    administration: Administration,
    certificates: Certificates,
    agents: Agents,
    sweeps: Sweeps,
    admission: Admission,
    shown: ShownCertificate | None = None,
) -> Apis:
    """Return the APIs of a broker, which shows that certificate, or none."""
    page = CatalogPage(broker, reactor)
    return Apis(
        platform=Platform(broker, page),
        agents=agents,
        certificates=CertificateRoutes(certificates),
        sections=make_sections(administration, certificates, sweeps, admission, shown),
        administrators=Administrators(administration, page),
        ask=administration.persister.cluster_id,
    )


class BrokerSite(GuardedSite):
    """The site of the APIs, which answer with 503 until it is opened, and of the broker's health."""

    def __init__(
        self, reactor: IReactorTime, authenticator: Authenticator, limits: ConnectionLimits | None = None
    ) -> None:
        self._health = Health(reactor)
        self._root = Root(Gates.closed(authenticator), Gate(self._health))
        super().__init__(self._root, reactor, limits)

    def open(self, apis: Apis) -> None:
        """Let requests in."""
        closed, platform = self._root.gates, apis.platform
        self._root.gates = Gates(
            platform=evolve(closed.platform, routes=platform.resource(), shortcut=platform.shortcut),
            agents=evolve(closed.agents, routes=apis.agents),
            certificates=evolve(closed.certificates, routes=apis.certificates.resource()),
            sections=evolve(closed.sections, routes=apis.sections),
            administrators=evolve(closed.administrators, routes=apis.administrators.resource()),
        )
        self._health.ask = apis.ask

    def routes(self) -> list[Route]:
        """Return all that is served, each once, in the order of the paths; little until it is opened."""
        gates = (getattr(self._root.gates, one.name) for one in fields(Gates))
        found = [route for gate in (*gates, self._root.health) for route in routes_of(gate.routes, gate.role)]
        return sorted(set(found), key=lambda route: (route.path, route.method))

    def refuse(self, refusal: str | None) -> None:
        """Refuse every request with that sentence, and be not ready, until it is None."""
        self._root.refusal = self._health.refusal = refusal

    def drain(self) -> Deferred[None]:
        """Be not ready any more, and drain."""
        self._health.is_ending = True
        return super().drain()
